"""Which saved runs there are, and which a name means."""

from pathlib import Path

import pytest

from pytest_tfthreads.core.saved_runs import BaselineError
from pytest_tfthreads.core.storage import Storage, looks_like_tests

OWN = "Linux-CPython-3.12-64bit"
FILES = (
    f"{OWN}/0001_a.json",
    f"{OWN}/0002_b.json",
    f"{OWN}/out.json",
    "Linux-CPython-3.9-64bit/0001_x.json",
    "Linux-CPython-3.9-64bit/0007_y.json",
    "Other/0007_z.json",
    "Other/0008_z.json",
)


@pytest.fixture
def root(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


def names(root, paths):
    return [str(path.relative_to(root)) for path in paths]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0002", [FILES[1]]),
        ("0001", [FILES[0]]),  # of this Python, though another has that number, too
        ("00", [FILES[0], FILES[1]]),
        ("0008", [FILES[6]]),  # only another has it
        ("*/0008", [FILES[6]]),
        ("Linux-CPython-3.9-64bit/0001", [FILES[3]]),
        ("*3.9*/0007_y", [FILES[4]]),
        ("*/0007*", [FILES[4], FILES[5]]),
        ("*3.9*/*", [FILES[3], FILES[4]]),
    ],
)
def test_numbers_and_globs(root, text, found):
    assert names(root, Storage(root, OWN).find(text)) == found


def test_files_are_taken_as_they_are(root, monkeypatch):
    monkeypatch.chdir(root)
    for text in (f"{OWN}/out.json", "none.json", "no/such/file", str(root / "none")):
        assert [str(path) for path in Storage(root).find(text)] == [text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; name one by its file or its number, such as "),
        (" ", "is empty"),
        ("0009", "matches '0009'; .* or Other/0008"),
        ("nothing/0001", "matches 'nothing/0001'"),
        ("**x/0001", "matches"),
        ("0007", "in several directories of .*: name it by Linux-CPython-3.9-64bit/0007 or Other"),
        ("*/0001", "'[*]/0001' is in several directories .*: name it by 0001 or Linux-CPython-3.9"),
    ],
)
def test_names_of_nothing_and_of_several(root, text, message):
    with pytest.raises(BaselineError, match=message):
        Storage(root, OWN).find(text)


def test_a_name_that_no_file_can_have(root):
    """As one that this user may not look at, the file is taken as it is, or there is none."""
    name = "x" * 300
    with pytest.raises(BaselineError, match=r"no saved run in .* matches"):
        Storage(root).find(name)
    for text in (f"{name}.json", f"{root}/{name}"):
        assert [str(path) for path in Storage(root).find(text)] == [text]


def test_a_number_that_nobody_says_is_ours_may_be_several(root):
    with pytest.raises(BaselineError, match=rf"name it by {OWN}/0001 or Linux-CPython-3.9-64bit/"):
        Storage(root).find("0001")
    assert names(root, Storage(root).find("0002")) == [FILES[1]]


def test_a_directory_is_no_run(root):
    with pytest.raises(BaselineError, match="is a directory, no saved run; name one by its file"):
        Storage(root).find(str(root / "Other"))
    with pytest.raises(BaselineError, match="holds none; make one with --benchmark-save"):
        Storage(root / "new").find("0001")


def test_those_of_each_kind_and_those_before(root):
    storage = Storage(root, OWN)
    assert names(root, storage.of_this_kind()) == [*FILES[:2]]
    assert [names(root, one) for one in storage.of_other_kinds()] == [
        [FILES[3], FILES[4]],
        [FILES[5], FILES[6]],
    ]
    assert names(root, storage.before(root / FILES[1])) == [FILES[0]]
    assert names(root, storage.before(root / FILES[6])) == [FILES[5]]
    assert storage.before(root / FILES[2]) == []
    (root / "0009_root.json").write_text("{}")
    assert names(root, storage.of_this_kind()) == [*FILES[:2], "0009_root.json"]
    assert len(storage.every_run()) == len(FILES) + 1


def test_a_run_may_be_named_by_another_path_than_the_storage_has(root, monkeypatch):
    monkeypatch.chdir(root)
    (root / "link").symlink_to(root)
    for name in (FILES[1], f"link/{FILES[1]}", str(root / "link" / FILES[1])):
        assert names(root, Storage(root, OWN).before(Path(name))) == [FILES[0]]
    elsewhere = root / "elsewhere" / FILES[1]
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text("{}")
    assert Storage(root, OWN).before(elsewhere) == []


def test_a_name_that_no_file_can_have_is_there_as_little_as_others(root):
    for name in ("x" * 300, f"{OWN}/{'x' * 300}"):
        with pytest.raises(BaselineError, match="matches"):
            Storage(root, OWN).find(name)


def test_what_looks_like_tests(root, monkeypatch):
    monkeypatch.chdir(root)
    (root / "test_a.py").touch()
    assert all(map(looks_like_tests, ("test_a.py", "test_a.py::test_x", "Other")))
    assert not any(map(looks_like_tests, ("", "0001", FILES[0], "::test_x")))
