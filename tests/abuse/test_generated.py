"""Generated damage to run directories and tickets: each is told in a line, or left out with one."""

import pytest

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_sample_of_the_damage_is_told(generated):
    found, bad = generated.count(every=24)
    assert not bad and sum(found.values()) > 45


@pytest.mark.abuse
def test_all_of_the_damage_is_told(generated):
    found, bad = generated.count()
    print(found)
    assert not bad and sum(found.values()) > 1_000, found


def test_a_whole_run_is_read(generated, tmp_path):
    run = generated.write_run(tmp_path / "now/run")
    assert generated.read_run(run) == "" and generated.read_ticket(tmp_path / "now/t") == ""
