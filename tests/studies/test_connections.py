"""Connections of units by hand, and chance against all masks that there are."""

import dataclasses
import itertools

import numpy as np
import pytest

from lth_tf.lottery.opened_run import open_run
from lth_tf.runs.experiment import Training
from lth_tf.studies.connections import UnitConnections, connections

TICKET = Training(0, 1, "ticket")


def test_connections_by_hand():
    mask = np.array([[1, 1, 0], [1, 0, 0]], bool)  # two units before, three behind
    incoming = connections(mask, -1, "incoming", "a", TICKET)
    assert (incoming.units, incoming.empty, incoming.density) == (3, 1, 0.5)
    assert incoming.deviation == pytest.approx(np.std([1, 0.5, 0]))
    assert [i for i, n in enumerate(incoming.histogram) if n] == [0, 20, 39]
    outgoing = connections(mask, -2, "outgoing", "a", TICKET)
    assert (outgoing.units, outgoing.empty) == (2, 0)
    assert outgoing.deviation == pytest.approx(np.std([2 / 3, 1 / 3]))
    # A convolution's units are its channels.
    kernel = np.zeros((2, 2, 1, 2), bool)
    kernel[..., 0] = True
    assert connections(kernel, -1, "incoming", "c", TICKET).deviation == 0.5


def test_units_without_connections_are_counted_in_whole_numbers():
    row = dataclasses.replace(connections(np.eye(2) > 0, -1, "incoming", "a", TICKET), empty=1234)
    assert UnitConnections().table([row, row]).rows[0][5] == "1,234"
    few = dataclasses.replace(row, empty=1)
    assert UnitConnections().table([few, dataclasses.replace(row, empty=2)]).rows[0][5] == "1.5"


def test_a_level_that_is_empty_in_the_first_layer_is_in_the_legend():
    rows = [
        connections(np.full((2, 2), left), -1, "incoming", layer, Training(0, level, "ticket"))
        for level in (1, 2)
        for layer, left in (("a", True), ("b", True))
    ]
    rows[2] = dataclasses.replace(rows[2], histogram=(0,) * len(rows[2].histogram))
    (legend,) = UnitConnections().pictures(rows)[0].draw().legends
    assert [text.get_text() for text in legend.get_texts()] == ["level 1", "level 2"]


def test_chance_is_the_mean_over_all_masks():
    variances = []
    for chosen in itertools.combinations(range(6), 4):
        mask = np.isin(np.arange(6), chosen).reshape(2, 3)
        variances.append(((mask.mean(0) - 4 / 6) ** 2).mean())
        found = connections(mask, -1, "incoming", "a", TICKET)
    assert found.deviation_by_chance == pytest.approx(np.sqrt(np.mean(variances)))


def test_each_ticket_layer_and_direction_has_a_row(reference):
    study, run = UnitConnections(), open_run(reference)
    rows = study.compute(run)
    assert len(rows) == 2 * 2 * 3 * 2 and all(row.level for row in rows)
    mask = run.masks(Training(1, 2, "ticket"))["dense2/kernel"]
    of_mask = [r for r in rows if (r.replicate, r.level, r.layer) == (1, 2, "dense2/kernel")]
    shares = {"incoming": mask.mean(0), "outgoing": mask.mean(1)}
    assert {r.direction: r.deviation for r in of_mask} == pytest.approx(
        {direction: share.std() for direction, share in shares.items()}
    )
    assert {r.direction: r.units for r in of_mask} == {"incoming": 100, "outgoing": 300}
    assert "At level 2" in study.sentence(rows) and "incoming" in study.sentence(rows)
