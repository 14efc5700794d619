"""Overlap of masks by hand, and chance against all masks that there are."""

import itertools
import shutil

import numpy as np
import pytest
from scipy import stats

from lth_tf.errors import UserError
from lth_tf.lottery.opened_run import open_run
from lth_tf.runs.experiment import Training
from lth_tf.studies.mask_overlap import MaskOverlap, jaccard_by_chance, overlaps
from lth_tf.studies.rows import read_rows, rows_csv


def masks_of(size, kept):
    for chosen in itertools.combinations(range(size), kept):
        yield np.isin(np.arange(size), chosen)


def test_overlap_by_hand_and_chance_against_all_masks():
    ones = {"a": np.array([True, True, False, False]), "b": np.array([True, False, False])}
    others = {"a": np.array([False, True, True, True]), "b": np.array([True, True, False])}
    one, other = Training(0, 1, "ticket"), Training(1, 1, "ticket")
    whole, a, b = overlaps("x", one, ones, other, others)
    assert (whole.layer, a.layer, b.layer) == ("all layers", "a", "b")
    assert (a.jaccard, a.hamming, a.density) == (1 / 4, 3 / 4, 1 / 2)
    assert (b.jaccard, b.hamming) == (1 / 2, 1 / 3)
    assert (whole.jaccard, whole.hamming, whole.density) == (2 / 6, 4 / 7, 3 / 7)

    def flat(*parts):
        return np.concatenate(parts)

    all_a, all_b = (itertools.product(*(masks_of(size, k) for k in both)) for size, both in
                    ((4, (2, 3)), (3, (1, 2))))  # fmt: skip
    jaccards, hammings = [], []
    for (a1, a2), (b1, b2) in itertools.product(all_a, all_b):
        first, second = flat(a1, b1), flat(a2, b2)
        jaccards.append((first & second).sum() / (first | second).sum())
        hammings.append((first ^ second).mean())
    assert whole.jaccard_by_chance == pytest.approx(np.mean(jaccards), rel=1e-12)
    assert whole.hamming_by_chance == pytest.approx(np.mean(hammings), rel=1e-12)


def test_chance_in_large_layers_is_the_hypergeometric_distributions():
    size, one, other = 20_000, 4_000, 3_000
    shared = np.arange(other + 1)
    chances = stats.hypergeom.pmf(shared, size, one, other)
    expected = chances @ (shared / (one + other - shared))
    assert jaccard_by_chance([(size, one, other)]) == pytest.approx(expected, rel=1e-9)
    assert jaccard_by_chance([(5, 0, 0)]) == 1 and jaccard_by_chance([(5, 5, 5)]) == 1


def test_replicates_levels_and_other_runs_are_compared(reference, tmp_path):
    other = shutil.copytree(reference, tmp_path / "other")
    shutil.rmtree(other / "replicate_01")
    study = MaskOverlap(beside=(str(other),))
    run = open_run(reference)
    rows = study.compute(run)
    whole = [row for row in rows if row.layer == "all layers"]
    found = {(r.of, r.replicate, r.other_replicate, r.level, r.other_level) for r in whole}
    assert found == {
        ("replicates", 0, 1, 1, 1),
        ("replicates", 0, 1, 2, 2),
        ("successive levels", 0, 0, 2, 1),
        ("successive levels", 1, 1, 2, 1),
        ("this run and other", 0, 0, 1, 1),
        ("this run and other", 0, 0, 2, 2),
    }
    for row in whole:
        if row.of == "successive levels":  # nested
            level_1 = run.store.result(Training(row.replicate, 1, "ticket")).density
            assert row.jaccard == pytest.approx(row.density / level_1)
        if row.of == "this run and other":
            assert (row.jaccard, row.hamming) == (1, 0)
    path = tmp_path / "rows.csv"
    path.write_text(rows_csv(rows))
    assert read_rows(path, study.row) == rows
    assert "masks of successive levels share 80.0%" in study.sentence(rows)


def test_a_run_with_other_kernels_is_refused(reference, run, tmp_path):
    assert run(tmp_path, "--name=narrow", "--rounds=1", "--width=0.05", "--iterations=20") == 0
    beside = str(tmp_path / "narrow")
    with pytest.raises(UserError, match=r"--beside=.*narrow: must have the kernels of this run"):
        MaskOverlap(beside=(beside,)).compute(open_run(reference))
