"""The ready queue: in order, nothing before what it needs, and what is preferred first."""

from lth_tf.lottery.schedulers.ready import ReadyQueue

NEEDS = {"a1": "a0", "a2": "a1", "b1": "b0", "c1": "finished before"}


def test_nothing_is_taken_before_what_it_needs_and_the_rest_in_order():
    queue = ReadyQueue(["a0", "a1", "a2", "b0", "b1", "c1"], NEEDS.get)
    assert [queue.take() for _ in range(3)] == ["a0", "b0", "c1"]
    assert not queue
    queue.finish("b0")
    queue.finish("a0")
    assert [queue.take() for _ in range(2)] == ["a1", "b1"]
    assert not queue  # a2 needs a1, which is not finished
    queue.finish("b1")
    assert not queue
    queue.finish("a1")
    assert queue.take() == "a2" and not queue


def test_what_is_preferred_goes_first_where_it_is_ready():
    queue = ReadyQueue(["a0", "a1", "b0", "b1", "b2"], NEEDS.get, lambda item: item[0])
    assert [queue.take("b") for _ in range(3)] == ["b0", "b2", "a0"]  # b1 is not ready
    queue.finish("b0")
    queue.finish("a0")
    assert queue.take("c") == "a1" and queue.take("a") == "b1" and not queue


def test_a_long_queue_asks_of_each_item_once():
    asked = []
    queue = ReadyQueue(range(2_000), lambda item: None, lambda item: asked.append(item) or item % 3)
    assert [queue.take() for _ in range(2_000)] == [*range(2_000)]
    assert len(asked) == 2_000
