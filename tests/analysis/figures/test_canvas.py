"""What figures have in common."""

import pytest

from lth_tf.analysis.figures import canvas


def test_no_two_of_49_lines_look_alike():
    looks = [tuple(canvas.look(place).values()) for place in range(49)]
    assert len(set(looks)) == 49
    assert looks[0] == (canvas.COLOURS[0], canvas.MARKERS[0])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01, "0.01"), (2.5, "2.5"), (2999.9999999999995, "3,000"), (2e6, "2,000,000")],
)
def test_numbers_of_an_axis_have_commas_and_no_digits_too_few(value, text):
    axis = canvas.new_figure().subplots().xaxis
    canvas.thousands(axis)
    assert axis.get_major_formatter()(value) == text
