"""The notebook runs from top to bottom, and shows what it says."""

from pathlib import Path

import nbclient
import nbformat
import pytest

pytestmark = pytest.mark.long

TOUR = Path(__file__).parents[2] / "docs/tour.ipynb"


def outputs(notebook):
    """By cell's source, the kinds of what it shows, and all its text."""
    return {
        cell.source: [
            (kind, data) for out in cell.outputs for kind, data in out.get("data", {}).items()
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def test_the_tour_runs_and_its_kept_outputs_are_such(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TOUR.parents[1]))
    kept = nbformat.read(TOUR, as_version=4)
    ran = nbformat.read(TOUR, as_version=4)
    shorter = {
        "iterations=900": "iterations=60",
        "rounds=4": "rounds=3",
        "replicates=5": "replicates=2",
        # The network's function is the notebook's own, which other processes cannot import.
        'folder="tour_run"': 'folder="tour_run", settings=lth_tf.Settings(jobs=2)',
    }
    for cell in ran.cells:
        for long, short in shorter.items():
            cell.source = cell.source.replace(long, short)
    nbclient.NotebookClient(ran, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    for notebook in (kept, ran):
        shown = outputs(notebook)
        assert "image/png" in dict(shown["found.plot()"])
        assert "<table" in dict(shown["found"])["text/html"]
        assert not any(
            out.output_type == "error" for c in notebook.cells for out in c.get("outputs", ())
        )
    assert (tmp_path / "ticket.safetensors").exists() and (tmp_path / "ticket.keras").exists()
