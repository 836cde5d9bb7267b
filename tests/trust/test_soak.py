"""The program with many runs and many tests sees what grows. The figures are made up here."""

import json

import pytest

from repository import program


@pytest.fixture(scope="module")
def soak():
    return program("trust/soak.py")


def notes(soak, **figures):
    """Sixteen notes: of each figure, what there was after each."""
    return [
        soak.Note("x", 1.0, {name: of(number) for name, of in figures.items()})
        for number in range(16)
    ]


def rows(soak, bytes_each=0, **figures):
    return {row.figure: row for row in soak.rows_of("runs", notes(soak, **figures), bytes_each)}


def test_what_stays_is_no_violation(soak):
    found = rows(soak, descriptors=lambda _: 7, threads=lambda number: 3 - number // 8)
    assert not any(row.is_violation for row in found.values())
    assert (found["descriptors"].first, found["descriptors"].last) == (7, 7)


@pytest.mark.parametrize("figure", ["descriptors", "threads", "files"])
def test_what_grows_by_one_is_a_violation(soak, figure):
    assert rows(soak, **{figure: lambda number: number // 13})[figure].is_violation


@pytest.mark.parametrize(("each", "is_violation"), [(900, False), (1200, True)])
def test_memory_may_grow_by_so_much_a_test(soak, each, is_violation):
    found = rows(soak, 1000, bytes=lambda number: number * each)
    assert found["bytes"].is_violation is is_violation


def test_memory_of_equal_runs_may_differ_a_little(soak):
    assert not rows(soak, bytes=lambda number: 1000 + number)["bytes"].is_violation
    assert rows(soak, bytes=lambda number: 1000 + 3 * number)["bytes"].is_violation


def test_times_are_told_and_never_a_violation(soak):
    slower = [soak.Note("x", 1.0 + number, {}) for number in range(16)]
    (row,) = soak.rows_of("runs", slower)
    assert (row.figure, row.first, row.last, row.is_violation) == ("seconds", 2.5, 14.5, False)


def test_too_few_notes_tell_nothing(soak):
    with pytest.raises(soak.Violation, match="7 are too few"):
        soak.rows_of("runs", notes(soak, files=int)[:7])


def test_only_the_notes_of_pytest_itself_are_read(soak):
    told = {"bytes": 1, "descriptors": 2, "threads": 3, "files": 0}
    lines = [
        {**told, "pid": pid, "name": f"test_it.py::{name}[{at_s}]", "at_s": at_s}
        for pid, name, at_s in (
            (1, "test_a", 1),
            (2, "test_a", 2),
            (1, "test_a", 4),
            (1, "test_b", 5),
        )
    ]
    found = soak.read_notes("\n".join(map(json.dumps, lines)), 1)
    assert {name: [one.seconds for one in of] for name, of in found.items()} == {
        "test_a": [3],
        "test_b": [1],
    }
    assert found["test_a"][0].figures == told


def test_the_projects_are_python(soak):
    for text in (soak.SHORT, soak.LONG, soak.CONFTEST):
        compile(text, "x.py", "exec")
