"""Files are read where they are files, and of a size that can be meant."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_tfthreads.core import file_reading
from pytest_tfthreads.core.file_reading import UnfitFileError, check_fit, read_file
from pytest_tfthreads.core.saved_runs import BaselineError, read_run
from unfit_files import IDS, UNFIT

pytestmark = pytest.mark.timeout(20)


@pytest.mark.parametrize("data", [b"", b"\r\n\xff", bytes(3 << 20)], ids=["empty", "odd", "large"])
def test_files_come_as_they_are_through_links_too(tmp_path, data):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(data)
    link.symlink_to(file)
    assert read_file(file) == read_file(link) == data
    check_fit(link)


def test_files_whose_size_nobody_knows_before_are_read():
    file = Path("/proc/self/cmdline")
    assert file.stat().st_size == 0
    assert read_file(file) == file.read_bytes() != b""
    with pytest.raises(UnfitFileError, match="and more than 5 are not read"):
        read_file(file, most_bytes=5)


@pytest.mark.parametrize(("words", "make"), UNFIT.items(), ids=IDS)
def test_what_is_no_file_or_too_large_is_neither_waited_for_nor_read(tmp_path, words, make):
    path = tmp_path / "0001_x.json"
    make(path)
    for read in (read_file, check_fit):
        with pytest.raises(UnfitFileError) as caught:
            read(path)
        assert str(caught.value).startswith(words)
    with pytest.raises(BaselineError) as refused:
        read_run(path)
    assert str(refused.value).startswith(f"{path}: cannot be read: {words}")


def test_the_limit_itself_is_no_more_than_the_limit(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_file(tmp_path / "file", most_bytes=5) == b"12345"
    with pytest.raises(UnfitFileError, match="it has 5 bytes, and more than 4 are not read"):
        read_file(tmp_path / "file", most_bytes=4)


def test_a_pipe_that_the_shell_gives_is_read_to_its_end():
    program = (
        "import pathlib, sys; from pytest_tfthreads.core.file_reading import read_file;"
        "print(len(read_file(pathlib.Path(sys.argv[1]), 10)))"
    )
    for bytes_written, told in ((10, "10"), (11, "and more than 10 are not read")):
        script = f"{sys.executable} -c '{program}' <(sleep 0.2; head -c {bytes_written} /dev/zero)"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        assert told in done.stdout + done.stderr


def test_what_was_put_there_since_it_was_looked_at_is_no_file_either(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    as_it_was = os.stat(tmp_path / "file")
    monkeypatch.setattr(file_reading.os, "stat", lambda _: as_it_was)
    with pytest.raises(UnfitFileError, match="it is a named pipe"):
        read_file(tmp_path / "pipe")


def test_what_cannot_be_read_at_all_is_any_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")
