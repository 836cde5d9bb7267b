"""What is installed, as an interpreter lends it to its forks."""

import importlib.metadata

import pytest

from pytest_tfthreads.measuring import distributions

FIND = importlib.metadata.distributions


@pytest.fixture
def lent(monkeypatch):
    monkeypatch.setattr(distributions, "_read", {})
    # Tests before this may have lent in this process, or have imported importlib_metadata.
    monkeypatch.setattr(importlib.metadata, "distributions", FIND)
    distributions.read()
    distributions.lend()
    yield
    distributions.take_back()


def told(found):
    return [
        (one.metadata["Name"], one.version, list(one.entry_points), one.files)
        for one in found
        if any(entry.group == "pytest11" for entry in one.entry_points)
    ]


def test_they_are_those_that_are_installed(lent):
    lent_ones = list(importlib.metadata.distributions())
    originals = list(FIND())
    assert importlib.metadata.distributions is not FIND
    assert [one._path for one in lent_ones] == [one._path for one in originals]
    assert told(lent_ones) == told(originals)
    assert all(isinstance(*pair) for pair in zip(lent_ones, map(type, originals), strict=True))


def test_each_is_read_once(lent):
    (first,) = (one for one in importlib.metadata.distributions() if one.name == "pytest-benchmark")
    (again,) = (one for one in importlib.metadata.distributions() if one.name == "pytest-benchmark")
    assert first is again
    assert first.files is again.files
    assert first.entry_points is again.entry_points


def test_who_asks_for_one_by_name_finds_it_anew(lent):
    (found,) = importlib.metadata.distributions(name="pytest-benchmark")
    assert type(found) is type(next(iter(FIND())))
    assert importlib.metadata.distribution("pytest-benchmark").version == found.version


def test_what_was_not_there_before_is_found_as_it_is(lent, tmp_path, monkeypatch):
    folder = tmp_path / "made_up-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [one.version for one in importlib.metadata.distributions() if one.name == "made-up"] == [
        "1.0"
    ]


def test_taken_back_it_is_as_before(lent):
    distributions.take_back()
    assert importlib.metadata.distributions is FIND


def test_what_a_plugin_has_put_there_meanwhile_stays(lent, monkeypatch):
    def own():
        return iter(())

    monkeypatch.setattr(importlib.metadata, "distributions", own)
    distributions.take_back()
    assert importlib.metadata.distributions is own


def test_nothing_is_lent_where_nothing_was_read(monkeypatch):
    monkeypatch.setattr(distributions, "_read", {})
    distributions.lend()
    assert importlib.metadata.distributions is FIND
