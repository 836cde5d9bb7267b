"""Another environment is asked about itself before anything is run in it."""

import errno
import json
import os
import sys
import venv
from pathlib import Path

import pytest

import pytest_tfthreads
from pytest_tfthreads.engine.environment import (
    Environment,
    EnvironmentUnfitError,
    OwnEnvironmentError,
)


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    venv.create(tmp_path / "an environment", symlinks=True)
    return tmp_path / "an environment"


def add_to_path(environment, *entries):
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "more.pth").write_text("\n".join(entries))


def test_an_environment_with_the_plugin(environment):
    add_to_path(environment, *(one for one in sys.path if one))
    found = Environment.probe(str(environment))
    # The link, not what it leads to: it makes the environment what it is.
    assert found.python == str(environment / "bin" / "python")
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert any(Path(one).parts[-3:-2] == ("lib",) for one in found.sys_path)
    assert "" not in found.sys_path
    assert Environment.probe(str(environment / "bin" / "python")) == found


def test_without_the_plugin(environment):
    with pytest.raises(EnvironmentUnfitError, match=r"No module named.*pip install"):
        Environment.probe(str(environment))


def test_with_another_version_of_the_plugin(environment, tmp_path):
    package = tmp_path / "other" / "pytest_tfthreads"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "0.0.9"')
    add_to_path(environment, str(tmp_path / "other"))
    with pytest.raises(EnvironmentUnfitError, match=r"has pytest-tfthreads 0\.0\.9: install"):
        Environment.probe(str(environment))


def test_itself():
    with pytest.raises(OwnEnvironmentError, match="is the environment that runs these tests"):
        Environment.probe(sys.executable)


def test_another_python_with_the_same_prefix(tmp_path):
    """As /usr/bin/python3.11 beside /usr/bin/python3.12: this one only says that it is older."""
    script, file = tmp_path / "older.py", tmp_path / "python"
    file.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{script}' \"$@\"\n")
    file.chmod(0o755)
    script.write_text(
        "import json, sys\n"
        f"sys.path[:] = {sys.path!r}\n"
        "_, _, probe, *sys.argv[1:] = sys.argv\n"
        "import pytest_tfthreads\n"
        "sys.version_info = (3, 9, 7)\n"
        "exec(probe)\n"
    )
    assert Environment.probe(str(file)).version == "3.9.7"
    assert Environment.other(str(file)).python == str(file)


_ANSWER = {
    "path": [],
    "who": ["/usr", "cpython", 3, 12, ""],
    "plugin": pytest_tfthreads.__version__,
    "problem": "",
    "python": [3, 12, 1],
    "missing": [],
}
_SHAPES = (
    *("{}", "[]", "1", "null", '"text"', "[" * 9999),
    *(json.dumps({**_ANSWER, name: 1}) for name in _ANSWER),
    *(json.dumps({**_ANSWER, name: [None]}) for name in _ANSWER),
)


@pytest.mark.parametrize(
    "script", ["exit 3", "echo no JSON", "true", *(f"echo '{one}'" for one in _SHAPES)]
)
def test_what_is_no_python(tmp_path, script):
    file = tmp_path / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    with pytest.raises(EnvironmentUnfitError, match="is no Python that works"):
        Environment.probe(str(file))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may execute nothing that is not executable")
def test_what_must_not_be_executed(tmp_path):
    (tmp_path / "python").write_text("")
    with pytest.raises(EnvironmentUnfitError, match="is no Python that works"):
        Environment.probe(str(tmp_path / "python"))


def test_what_is_not_there(tmp_path):
    with pytest.raises(EnvironmentUnfitError, match="there is no interpreter"):
        Environment.probe(str(tmp_path))


def test_the_home_of_nobody():
    with pytest.raises(EnvironmentUnfitError, match=r"there is no interpreter ~nobody_here/venv$"):
        Environment.probe("~nobody_here/venv")


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG])
def test_what_nobody_may_look_at(tmp_path, monkeypatch, number):
    """Root may look everywhere, so the kernel's answer is made up; another is a real one."""
    place = str(tmp_path / ("venv" if number == errno.EACCES else "x" * 300))
    look = os.stat

    def stat(path, *args, **kwargs):
        if number == errno.EACCES and str(path).startswith(place):
            raise PermissionError(number, os.strerror(number), path)
        return look(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(EnvironmentUnfitError) as error:
        Environment.probe(place)
    assert str(error.value) == f"there is no interpreter {place}: {os.strerror(number)}"


def test_without_what_the_plugin_needs(environment, tmp_path):
    alone = tmp_path / "the plugin alone"
    alone.mkdir()
    (alone / "pytest_tfthreads").symlink_to(Path(pytest_tfthreads.__file__).parent)
    add_to_path(environment, str(alone))
    with pytest.raises(EnvironmentUnfitError, match=r"lacks .*pytest_benchmark.*pip install"):
        Environment.probe(str(environment))
