"""Readers with data that nobody should have written: the short form of benchmarks/trust."""

import base64
import hashlib
import os
import random

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
    "row",
    [
        "| a | b | c |",
        "| a |",
        "| a | <x-evil> |",
        "| a | <b>b</b> |",
        "| a | [b](https://example.com) |",
        "| a | !\\[b\\](c) |",
        "| a | https://example.com |",
        "| a | www.example.com |",
        "| a | $x$ |",
        "| a | `b` |",
        "| a | b \\\\| |",
        "- *a*",
        "a\tb",
        "    code",
    ],
)
def test_what_github_would_take_for_markup_is_seen(readers, row):
    table = "### a\\-b\n\n| a | b |\n| --- | --- |\n"
    readers.check_markdown(f"{table}| \\[a\\|\\] | &lt;b&gt; <span>$</span>x |\n\n- a\\.b\n")
    with pytest.raises(readers.Violation):
        readers.check_markdown(table + row)


def test_names_of_files_are_among_what_is_tried(readers):
    rng = random.Random(1)
    names = {readers.file_name(rng, 1) for _ in range(500)}
    assert "0001_x.json" in names
    assert any("\x1b" in name for name in names)
    for name in names:
        assert not {"/", "\0"} & {*name}
        assert len(os.fsencode(name)) < 256


def page_of(body):
    """A page with a policy that knows one script, and this body."""
    known = "sha256-" + base64.b64encode(hashlib.sha256(b"known()").digest()).decode()
    policy = f"default-src 'none'; script-src '{known}'"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>x</title>'
    return f"<!DOCTYPE html><html><head>{head}</head><body>{body}<script>known()</script></body>"


@pytest.mark.parametrize(
    "page",
    [
        page_of("<p><x-evil></p>"),
        page_of('<p onclick="x"></p>'),
        page_of('<a href=" javascript:x">y</a>'),
        page_of('<script type="application/json">{"name": ["<x-evil>"]}</script>'),
        page_of("<script>other()</script>"),
        page_of("").replace("default-src 'none'; ", ""),
        page_of("").replace("<meta", "<title>y</title><meta"),
        "<p>A page without a policy</p>",
        "",
    ],
)
def test_what_a_browser_would_run_is_seen(readers, page):
    readers.check_page(page_of('<p>&lt;x-evil&gt;</p><a href="x">y</a>'))
    with pytest.raises(readers.Violation):
        readers.check_page(page)
