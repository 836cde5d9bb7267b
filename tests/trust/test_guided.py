"""Inputs that coverage guides: the bytes of an input decide what random numbers decide else."""

import random
from pathlib import Path

import pytest

from repository import program


@pytest.fixture(scope="module")
def guided():
    return program("trust/guided.py")


def test_bytes_decide_what_is_drawn(guided):
    rng = guided.Steered(bytes([1, 0, 2, 0, 0, 128]))
    assert [rng.randrange(2), rng.randrange(2), rng.randrange(4)] == [1, 0, 2]
    assert guided.Steered(b"\x00\x80").random() == 0.5
    assert guided.Steered(b"\xff\xff").random() < 1
    data = random.Random(1).randbytes(100)
    one, other, another = (guided.Steered(each) for each in (data, data, b"\x07" + data))
    drawn = [one.sample(range(50), 20) for _ in range(9)]
    assert drawn == [other.sample(range(50), 20) for _ in range(9)]
    assert drawn != [another.sample(range(50), 20) for _ in range(9)]


def test_where_no_bytes_are_left_draws_go_on_and_end(guided):
    rng = guided.Steered(b"")
    assert sorted(rng.sample(range(50), 50)) == [*range(50)]
    assert guided.Steered(b"").randbytes(8) == guided.Steered(b"").randbytes(8)


def test_an_input_that_was_kept_is_repeated(guided, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(Path(guided.__file__).parent)
    kept = tmp_path / "input"
    kept.write_bytes(random.Random(1).randbytes(200))
    assert guided.main(["leases", "messages", f"--only={kept}"]) == 0
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit):
        guided.main(["nothing"])
    assert "there is no reader ['nothing']; there are ['commands'" in capsys.readouterr().err
    monkeypatch.setattr(guided.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit):
        guided.main(["leases"])
    assert "pip install atheris" in capsys.readouterr().err
