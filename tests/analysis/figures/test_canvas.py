"""What figures have in common."""

from lth_tf.analysis.figures import canvas


def test_no_two_of_49_lines_look_alike():
    looks = [tuple(canvas.look(place).values()) for place in range(49)]
    assert len(set(looks)) == 49
    assert looks[0] == (canvas.COLOURS[0], canvas.MARKERS[0])
