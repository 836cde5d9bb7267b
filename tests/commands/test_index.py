"""The index of saved runs: with it all commands say what they say without, in any state of it."""

import hashlib
import json
import os
import random
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from pytest_tfthreads.commands import reading
from pytest_tfthreads.core.saved_runs import BaselineError, StoredRun, read_run
from pytest_tfthreads.history import kept
from pytest_tfthreads.history.entries import Entry
from pytest_tfthreads.system import file_index, run_index

OFF = file_index.NO_INDEX_VARIABLE
VERDICT = {
    "test": "bench/test_it.py::a",
    "metric": "throughput",
    "status": "regression",
    "configuration": "2×1",
    "unit": "images",
    "now": {"value": 1.0, "low": 0.5, "high": 2.0},
    "tolerance": 0.05,
    "reason": "slower",
}
ANYWHERE = 40
"""Places of a damaged database that are tried."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The index's folder, empty. Files of tests were written just now, and are indexed at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_index, "SETTLED_NS", 0)
    return tmp_path / "cache" / "pytest-tfthreads"


@pytest.fixture
def database(cache):
    return cache / "saved-runs.sqlite"


@pytest.fixture
def varied(storage):
    """A storage with all that there may be in one; its files."""

    def of_worker(worker, speed, **machine):
        whose = {
            "test": "bench/test_it.py::a",
            "group": f"a@{worker}",
            "configuration": {"id": "intra2-inter1", "intra": "2", "inter": "1"},
        }
        return {**storage.of(speed, **machine), **whose}

    for number in range(8):
        storage.save(f"{number:040x}", a=100.0 + number, b=50.0)
    storage.save(
        **{
            "a@gw0": of_worker("gw0", 100.0, host="one"),
            "a@gw1": of_worker("gw1", 50.0, host="two", cpu="Modell Ü \ud800", reference_s=0.001),
        }
    )
    storage.save(None, dirty=True, about={"failed": ["b", "c"], "complete": False}, a=20.0)
    storage.save("f" * 40, name="ref", a={**storage.of(30.0), "verdicts": [VERDICT]})
    storage.save("f" * 40, a=storage.of(25.0, reference_s=0.002), b=storage.of(9.0, unit="rows"))
    good = storage.save("e" * 40, a=31.0)
    text = good.read_text()
    older = storage.path / "Linux-CPython-3.10-64bit"
    older.mkdir()
    (older / "0001_old.json").write_text(text.replace("3.12.1", "3.10.2"))
    (storage.path / "named.json").write_text(text)
    (storage.path / "unmarked.json").write_text(text.replace("tf_threads", "theirs"))
    storage.write("0100_cut.json", text[: len(text) // 2])
    storage.write("0101_wrong.json", text.replace('"wall_s": [', '"wall_s": [-1, '))
    storage.write("0102_newer.json", text.replace('"schema": 1', '"schema": 99'))
    storage.write("0103_empty.json", "")
    storage.write("0104_other.json", "[]")
    storage.write("0105_latin.json", "").write_bytes(b"\xff\xfe{}")
    storage.write("0106_deep.json", "[" * 100_000)
    (storage.path / "0107_folder.json").mkdir()
    return sorted(storage.path.glob("**/*.json"))


@pytest.fixture
def said(command, storage, tmp_path, monkeypatch):
    """All that the commands say of the storage, with the index or without."""

    def run(index=True):
        monkeypatch.setenv(OFF, "" if index else "1")
        page = tmp_path / "page.html"
        commands = [
            [name, *form] for name in ("list", "history") for form in ([], ["--json"], ["--csv"])
        ]
        commands += [["history", "::a"], ["report", "-o", page]]
        results = [command(*one, "--storage", storage.path) for one in commands]
        return results, page.read_bytes()

    return run


@pytest.fixture
def read_files(monkeypatch):
    """The files that are read, from now on."""
    files = []

    def read(path, *more):
        files.append(path)
        return read_run(path, *more)

    monkeypatch.setattr(reading, "read_run", read)
    monkeypatch.setattr(run_index, "read_run", read)
    return files


def all_of(found):
    """Runs and errors, for comparing."""
    return [str(one) if isinstance(one, BaselineError) else one for one in found]


def rewrite(path, change):
    """Write a file in place, which shows in its inode's time: clocks of file systems are coarse."""
    before, data = path.stat().st_ctime_ns, change(path.read_bytes())
    while path.stat().st_ctime_ns == before:
        path.write_bytes(data)


def test_commands_say_the_same_with_the_index(varied, said):
    without = said(index=False)
    assert [code for code, _, _ in without[0]] == [0] * len(without[0])
    assert "0106_deep.json" in without[0][0][2]
    assert said() == without  # as it is filled
    assert said() == without  # as it is used


def test_what_is_indexed_is_not_read_again(varied, storage, command, read_files):
    command("list", "--storage", storage.path)
    assert set(read_files) == set(varied)
    read_files.clear()
    command("history", "--storage", storage.path)
    # What cannot be opened is nothing that a file says.
    assert read_files == [storage.path / "0107_folder.json"]


def test_names_are_told_as_the_caller_has_them(varied, storage, command, monkeypatch, tmp_path):
    before = command("list", "--storage", storage.path)
    monkeypatch.chdir(tmp_path)
    _, out, err = command("list", "--json")  # of .benchmarks
    assert all(run["path"].startswith(".benchmarks/") for run in json.loads(out))
    assert err == before[2].replace(f"{tmp_path}/", "")
    monkeypatch.setenv(OFF, "1")
    assert command("list", "--json") == (0, out, err)


def test_changes_of_files_are_seen(varied, storage, said):
    def both_agree():
        now = said()
        assert now == said(index=False)
        assert now == said()
        return now

    seen = [both_agree()]
    first, second, third, *_ = [path for path in varied if path.name.endswith("nightly.json")]
    old = second.stat()
    storage.save("d" * 40, a=77.0)
    seen.append(both_agree())
    first.unlink()
    seen.append(both_agree())
    # Of the same size, and the time of modification set back.
    rewrite(second, lambda data: data.replace(b"2026-01", b"2025-01"))
    os.utime(second, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert (second.stat().st_size, second.stat().st_mtime_ns) == (old.st_size, old.st_mtime_ns)
    seen.append(both_agree())
    # Another file in the place, of the same size and time.
    old = third.stat()
    other = third.with_suffix(".part")
    other.write_bytes(third.read_bytes().replace(b"2026-01", b"2024-01"))
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.replace(third)
    seen.append(both_agree())
    rewrite(storage.path / "named.json", lambda data: data[:-20])
    seen.append(both_agree())
    texts = [repr(one) for one in seen]
    assert len(set(texts)) == len(texts)


def test_a_file_that_changes_while_it_is_read_is_not_kept(varied, storage, monkeypatch, said):
    def read(path, *more):
        found = read_run(path, *more)
        if path.name == "0001_nightly.json":
            rewrite(path, lambda data: data.replace(b"2026-01", b"2025-01"))
        elif path.name == "0002_nightly.json":
            path.unlink()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_run", read)
        reading.read_all(varied)
    assert said() == said(index=False)


def test_a_file_that_was_written_just_now_is_not_kept(varied, monkeypatch, read_files):
    monkeypatch.setattr(file_index, "SETTLED_NS", 3600 * 10**9)
    for _ in range(2):
        read_files.clear()
        reading.read_all(varied)
        assert set(read_files) == set(varied)


def test_the_gate_reads_the_same(varied, read_files):
    read = [one.condensed() for path in varied if isinstance(one := read_or_error(path), StoredRun)]
    filled, used = run_index.read_condensed(varied), run_index.read_condensed(varied)
    assert [one for one in filled if isinstance(one, StoredRun)] == read
    assert all_of(used) == all_of(filled)
    assert read_files.count(varied[0]) == 2  # a directory
    assert read_files.count(varied[1]) == 1


def read_or_error(path):
    try:
        return read_run(path)
    except BaselineError as error:
        return error


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"no database" * 1000,
        "truncated",
        "another version",
        "no table",
        "another table",
    ],
)
def test_a_damaged_index_is_made_anew(damage, varied, said, database, read_files):
    without = said(index=False)
    said()
    if isinstance(damage, bytes):
        database.write_bytes(damage)
    elif damage == "truncated":
        database.write_bytes(database.read_bytes()[:5000])
    else:
        execute(
            database,
            *{
                "another version": ["PRAGMA user_version = 99"],
                "no table": ["DROP TABLE texts"],
                "another table": ["DROP TABLE texts", "CREATE TABLE texts (text)"],
            }[damage],
        )
    assert said() == without
    read_files.clear()
    assert said() == without
    assert varied[-1] not in read_files


def execute(database, *statements):
    connection = sqlite3.connect(database)
    with connection:
        for one in statements:
            connection.execute(one)
    connection.close()


def test_an_index_that_is_damaged_anywhere_misleads_nobody(varied, database):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OFF, "1")
        without = all_of(reading.read_all(varied))
    reading.read_all(varied)
    whole, rng = database.read_bytes(), random.Random(1)
    for _ in range(ANYWHERE):
        data = bytearray(whole)
        start = rng.randrange(len(data))
        size = rng.choice([1, 1, 8, 300, 5000])
        data[start : start + size] = rng.randbytes(len(data[start : start + size]))
        database.write_bytes(data)
        assert all_of(reading.read_all(varied)) == without
        assert all_of(reading.read_all(varied)) == without


def test_no_text_in_the_index_is_believed(varied, database):
    """Rows that somebody wrote with a digest that is right."""
    reading.read_entries(varied)
    run_index.read_condensed(varied)
    connection = sqlite3.connect(database)
    rows = connection.execute("SELECT * FROM texts").fetchall()
    connection.close()
    wrongs = [None, True, -1, 0, 1e308, 10**400, float("nan"), "x", [], {}, [[]], {"h": 99}]
    rng = random.Random(2)
    for turn in range(60):
        connection = sqlite3.connect(database)
        with connection:
            for file, kind, stamp, text, _ in rows:
                data = json.loads(text)
                replace_somewhere(data, rng, wrongs[turn % len(wrongs)])
                changed = json.dumps(data).encode("ascii")
                digest = file_index._digest(file, kind, stamp, changed)
                connection.execute(
                    "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?)",
                    (file, kind, stamp, changed, digest),
                )
        connection.close()
        reading.read_entries(varied)
        for one in reading.read_all(varied):
            if not isinstance(one, BaselineError):
                for point in one.all_points:
                    for metric in ("throughput", "cpu_efficiency"):
                        assert point.estimate(metric).value > 0
                        point.session(metric)
        for one in run_index.read_condensed(varied):
            if isinstance(one, StoredRun):
                for stored in one.tests.values():
                    assert all(each.measurement.throughput.value > 0 for each in stored)


def replace_somewhere(data, rng, wrong):
    """Put a wrong value into a random place of JSON's values."""
    while True:
        keys = list(data) if isinstance(data, dict) else range(len(data))
        key = rng.choice(list(keys))
        if not isinstance(data[key], (dict, list)) or not data[key] or rng.random() < 0.15:
            data[key] = wrong
            return
        data = data[key]


def test_several_processes_use_one_index(varied, database):
    """Threads here: each opens the index for itself, as a process does."""
    without = all_of(run_index.read_condensed(varied))
    histories = all_of(reading.read_all(varied))

    def use(number):
        if number % 10 == 9:
            database.write_bytes(b"damaged" * 999)
        return all_of(reading.read_all(varied)), all_of(run_index.read_condensed(varied))

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(use, range(60)):
            assert found == (histories, without)


def test_an_index_in_use_is_not_removed(varied, database, said):
    """Another process has the index open that is damaged: nobody may make the index anew."""
    without = said(index=False)
    said()
    with file_index._opened():
        database.write_bytes(b"damaged")
        assert said() == without
        assert database.read_bytes() == b"damaged"
    assert said() == without
    assert database.read_bytes() != b"damaged"


def test_an_index_that_another_process_writes_is_left(varied, database, said, monkeypatch):
    monkeypatch.setattr(file_index, "_BUSY_S", 0.01)
    without = said(index=False)
    said()
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    assert said() == without
    connection.execute("ROLLBACK")
    connection.close()
    assert said() == without


def test_what_is_gone_is_removed_and_the_size_is_limited(varied, storage, database, monkeypatch):
    def indexed():
        connection = sqlite3.connect(database)
        found = connection.execute("SELECT file, length(text) FROM texts").fetchall()
        connection.close()
        return {Path(os.fsdecode(file)): size for file, size in found}

    reading.read_all(varied)
    assert set(indexed()) == {path for path in varied if path.is_file()}
    for path in varied[1:3]:
        path.unlink()
    new = storage.save(a=5.0)
    reading.read_all([new])
    assert set(indexed()) == {path for path in [*varied[3:], new] if path.is_file()}
    newer = storage.save(a=6.0)
    most = sum(indexed().values()) // 2
    monkeypatch.setattr(file_index, "MOST_BYTES", most)
    reading.read_all([newer])
    assert sum(indexed().values()) <= most
    assert newer in indexed()
    assert varied[4] not in indexed()


def test_the_folder_is_private(varied, cache, database):
    reading.read_all(varied)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert cache.parent.stat().st_mode & 0o777 == 0o700
    assert database.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "place", ["writable by the group", "writable by all", "a link", "another user's", "a file"]
)
def test_a_folder_that_others_may_write_is_not_used(
    place, varied, cache, said, tmp_path, monkeypatch
):
    without = said(index=False)
    cache.parent.mkdir(mode=0o700)
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    if place == "a link":
        cache.symlink_to(target)
    elif place == "a file":
        cache.write_bytes(b"")
    else:
        cache.mkdir(mode=0o700)
        cache.chmod({"writable by the group": 0o770, "writable by all": 0o777}.get(place, 0o700))
    if place == "another user's":
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert said() == without
    assert list(target.iterdir()) == []
    assert cache.is_file() or list(cache.iterdir()) == []


@pytest.mark.parametrize("home", ["/proc", "/dev/null", "/nowhere/at/all"])
def test_without_a_writable_cache_all_works(home, varied, said, monkeypatch):
    without = said(index=False)
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert said() == without


def test_without_sqlite_all_works(varied, said, cache, monkeypatch):
    without = said(index=False)
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    assert said() == without
    assert not cache.exists() or list(cache.iterdir()) == []


def test_the_cache_is_in_the_home_directory_by_default(varied, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    reading.read_all(varied)
    assert (tmp_path / ".cache/pytest-tfthreads/saved-runs.sqlite").is_file()


def test_switched_off_nothing_is_made(varied, cache, monkeypatch):
    monkeypatch.setenv(OFF, "1")
    reading.read_all(varied)
    run_index.read_condensed(varied)
    assert not cache.parent.exists()


def test_what_another_version_made_is_not_used(varied, monkeypatch, read_files):
    reading.read_all(varied)
    monkeypatch.setattr(run_index, "_VERSIONS", "another")
    read_files.clear()
    reading.read_all(varied)
    assert set(read_files) == set(varied)


FORMS = {
    1: "9096cf2f4427cd94",
    2: "a099e20cfb8a70a0",
    3: "eaca9a3f10f8a95a",
    4: "4d7b9727993d579a",
    5: "7475e4a3e1fb541a",
    6: "36c834f83c11db5f",
    7: "32a5498cb2a898c2",
    8: "aa6ea4b5e46aac22",
}
"""By `run_index._SCHEMA`: a digest of all fields that are kept, and of their types."""


def test_a_change_of_what_is_kept_has_a_schema_number_of_its_own():
    """A field that has a default would else be missing in what an earlier version kept."""
    shape = "\n".join(
        sorted(
            shapes(StoredRun)
            | shapes(Entry)
            | shapes(kept._Run)
            | shapes(kept._How)
            | shapes(run_index._Kept)
        )
    )
    digest = hashlib.blake2b(shape.encode(), digest_size=8).hexdigest()
    assert FORMS.get(run_index._SCHEMA) == digest, "raise _SCHEMA, and note its digest here"


def shapes(kind):
    """Lines that name every dataclass within, its fields and their annotations."""
    found = set()
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        names = [f"{one.name} {one.type}" for one in fields(kind)]
        found.add(f"{kind.__qualname__}: {', '.join(names)}")
        for one in fields(kind):
            found |= shapes(hints[one.name])
    for inner in get_args(kind):
        found |= shapes(inner)
    return found
