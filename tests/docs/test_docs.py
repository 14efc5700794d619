"""The pages' code runs as it stands, and the API page is what the docstrings say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS.parent / "README.md", DOCS.parent / "runs/README.md", *sorted(DOCS.glob("*.md"))]
_BLOCK = re.compile(r"^```python(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)


def test_the_guide_runs_from_top_to_bottom(tmp_path):
    script = []
    for name, code in _BLOCK.findall((DOCS / "guide.md").read_text(encoding="utf-8")):
        if name:
            (tmp_path / name).write_text(code)
        else:
            script.append(code)
    long, short = "iterations=400", "iterations=100"
    assert any(long in code for code in script)
    (tmp_path / "guide.py").write_text("\n".join(script).replace(long, short))
    done = subprocess.run(
        [sys.executable, "guide.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 replicates" in done.stdout
    assert (tmp_path / "runs/digits/report/report.html").exists()
    assert (tmp_path / "digits.safetensors").exists()


def test_the_api_page_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import make_api

    assert (DOCS / "api.md").read_text(encoding="utf-8") == make_api.page()


def test_the_tables_of_arms_and_studies_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import make_tables

    for path in make_tables.PAGES:
        assert path.read_text(encoding="utf-8") == make_tables.page(path)
    text = "".join(map(make_tables.page, make_tables.PAGES))
    assert "| `random_mask_reinit` |" in text and "| `connectivity` |" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link
