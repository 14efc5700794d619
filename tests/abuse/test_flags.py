"""Wrong flags are refused in a line that names them: a sample here, all of them by `-m abuse`."""

import pytest

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def counted(generated, flag_cases, tmp_path, monkeypatch):
    """Counts how every n-th case ends, in a folder of its own."""
    run = generated.write_run(tmp_path / "now/run")
    monkeypatch.chdir(tmp_path)
    return lambda every: flag_cases.count(run, every)


def test_a_sample_of_the_wrong_flags_is_told(counted):
    found, bad = counted(7)
    assert not bad and sum(found.values()) > 100, found


@pytest.mark.abuse
def test_all_of_the_wrong_flags_are_told(counted):
    found, bad = counted(1)
    print(found)
    assert not bad and sum(found.values()) > 900, found
