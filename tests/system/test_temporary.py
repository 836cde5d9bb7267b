"""The directory for temporary files is one that all processes have in common."""

import tempfile

import pytest

from pytest_tfthreads.system.temporary import temporary_directory


def test_it_is_the_one_that_python_has(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert temporary_directory() == tmp_path


def test_the_current_directory_is_none_where_python_takes_it_for_want_of_another(
    current_directory_only,
):
    with pytest.raises(FileNotFoundError) as caught:
        temporary_directory()
    told = f"the current one, {current_directory_only}, is none for temporary files; name one in"
    assert told in caught.value.strerror
    assert not list(current_directory_only.iterdir())


@pytest.mark.parametrize("name", ["TMPDIR", "TEMP", "TMP"])
def test_the_current_directory_is_one_where_it_is_named(
    current_directory_only, monkeypatch, tmp_path, name
):
    monkeypatch.setenv(name, str(current_directory_only))
    assert temporary_directory() == current_directory_only


def test_a_current_directory_that_is_gone_is_not_asked(current_directory_only):
    found = tempfile.gettempdir()
    current_directory_only.rmdir()
    assert str(temporary_directory()) == found
