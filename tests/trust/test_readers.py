"""Readers with data that nobody should have written: the short form of benchmarks/trust."""

import pytest

from repository import program

INPUTS = {
    "commands": 150,
    "gate": 150,
    "messages": 600,
    "xdist": 200,
    "traces": 600,
    "machine": 150,
    "git": 100,
    "leases": 600,
    "steps": 100,
}


@pytest.fixture(scope="module")
def readers():
    return program("trust/readers.py")


def test_every_reader_has_its_turn(readers):
    assert readers.READERS.keys() == INPUTS.keys()


@pytest.mark.parametrize("name", INPUTS)
def test_whatever_is_read(readers, name):
    tally = readers.campaign(name, INPUTS[name], seed=2026)
    assert tally.shown == {}
    assert tally.inputs == INPUTS[name]


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        (lambda rng, room: {}["x"], "KeyError"),
        (lambda rng, room: bytearray(4 << 30), "MemoryError"),
        (lambda rng, room: _for_ever(), "TooLong"),
    ],
)
def test_a_violation_is_seen(readers, monkeypatch, reader, kind):
    monkeypatch.setitem(readers.READERS, "leases", reader)
    monkeypatch.setattr(readers, "LONGEST_S", 0.2)
    tally = readers.campaign("leases", 1, seed=1)
    assert [*tally.violations] == [f"{kind} in the output"]


def _for_ever():
    while True:
        pass


@pytest.mark.parametrize("text", ["a\x1b[31m", "a\x9b", "\ud800", "a\u202e"])
def test_what_a_terminal_would_obey_is_seen(readers, text):
    readers.check_terminal("plain – 12 × 3 µs\n")
    with pytest.raises(readers.Violation):
        readers.check_terminal(text)


@pytest.mark.parametrize(
    "page",
    [
        "<p><x-evil></p>",
        '<p onclick="x"></p>',
        '<a href=" javascript:x">y</a>',
        '<script type="application/json">{"name": ["<x-evil>"]}</script>',
    ],
)
def test_what_a_browser_would_run_is_seen(readers, page):
    readers.check_page('<p>&lt;x-evil&gt;</p><a href="x">y</a>')
    with pytest.raises(readers.Violation):
        readers.check_page(page)
