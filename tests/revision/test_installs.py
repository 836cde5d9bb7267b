"""How build backends install a package editable, and that `sys.path` leads to another tree then."""

import errno
import importlib.util
import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from pytest_tfthreads.revision.counterparts import Counterparts, redirected
from pytest_tfthreads.revision.installs import Install, all_installs, import_hooks

_BUILD = (
    "import importlib, json, sys; backend, directory, config = json.loads(sys.argv[1]);"
    "importlib.import_module(backend).build_editable(directory, config)"
)
# What a duet does: the path is found here, and an interpreter of the same environment gets it.
_LOOK = """
import json, subprocess, sys
from pathlib import Path
from pytest_tfthreads.revision.installs import all_installs
from pytest_tfthreads.revision.counterparts import Counterparts, redirected
top, root = map(Path, sys.argv[1:])
path = redirected(sys.path, Counterparts(top, root, prefixes=()), all_installs())
load = "import sys; sys.path[:] = {!r}; import product; print(product.VALUE)".format(path)
there = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=True)
import product
print(json.dumps([product.VALUE, int(there.stdout), [[one.tool, one.comes_first]
    for one in all_installs() if one.leads_to("product")]]))
"""
_PROJECT = "[project]\nname = 'product'\nversion = '1'\ndescription = 'x'\n"


def pyproject(backend, more=""):
    return f"{_PROJECT}[build-system]\nrequires = []\nbuild-backend = '{backend}'\n{more}"


_FIND = "[tool.setuptools.packages.find]\nwhere = ['src']\n"
_HATCH = "[tool.hatch.build.targets.wheel]\npackages = ['src/product']\n"
_EXACT = "[tool.hatch.build]\ndev-mode-exact = true\n"
_EDITABLES = "[tool.pdm.build]\neditable-backend = 'editables'\n"
_STRICT, _LENIENT, _COMPAT = ({"editable_mode": one} for one in ("strict", "lenient", "compat"))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("backend", "more", "config", "tool"),
    [
        ("setuptools.build_meta", _FIND, _STRICT, "setuptools (editable_mode=strict)"),
        ("setuptools.build_meta", "", _LENIENT, None),
        ("setuptools.build_meta", _FIND, _COMPAT, None),
        ("hatchling.build", _HATCH, None, None),
        ("hatchling.build", _HATCH + _EXACT, None, "editables (hatchling, pdm-backend)"),
        ("flit_core.buildapi", "", None, None),
        ("poetry.core.masonry.api", "", None, None),
        ("pdm.backend", "", None, None),
        ("pdm.backend", _EDITABLES, None, "editables (hatchling, pdm-backend)"),
    ],
)
def test_every_backend_is_led_to_the_other_tree(tmp_path, backend, more, config, tool):
    if importlib.util.find_spec(backend.partition(".")[0]) is None:
        pytest.skip(f"{backend} is not installed")
    top, root = tmp_path.resolve() / "here/tree", tmp_path.resolve() / "there/tree"
    write(top / "src/product/__init__.py", "from product.value import VALUE\n")
    write(top / "src/product/value.py", "VALUE = 2\n")
    write(root / "src/product/__init__.py", "from product.another import VALUE\n")
    write(root / "src/product/another.py", "VALUE = 1\n")
    write(top / "pyproject.toml", pyproject(backend, more))
    environment, wheels = tmp_path / "environment", tmp_path / "wheels"
    wheels.mkdir()
    told = json.dumps([backend, str(wheels), config])
    subprocess.run([sys.executable, "-c", _BUILD, told], cwd=top, check=True, capture_output=True)
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    ours = [one for one in sys.path if Path(one).is_dir() and "python3" not in Path(one).name]
    write(packages / "0.pth", "\n".join(ours))  # before those of the wheel
    look = subprocess.run(
        [environment / "bin/python", "-c", _LOOK, top, root],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert look.returncode == 0, look.stderr
    here, there, found = json.loads(look.stdout)
    assert (here, there) == (2, 1)
    assert found == ([] if tool is None else [[tool, False]])


@pytest.fixture
def counterparts(tmp_path):
    base = tmp_path.resolve()
    for name in ("current/tree", "temp/tree"):
        (base / name).mkdir(parents=True)
    return Counterparts(base / "current/tree", base / "temp/tree", prefixes=())


def test_finders_of_setuptools(counterparts):
    finder = ModuleType("__editable___mypkg_1_0_finder")
    finder.MAPPING = {
        "mypkg": str(counterparts.top / "src/mypkg"),
        "space.inner": str(counterparts.top / "lib/space/inner"),
        "single": str(counterparts.top / "single.py"),
        "renamed": str(counterparts.top / "sources"),
        "other": "/elsewhere/other",
    }
    odd = ModuleType("__editable___odd_finder")
    modules = {finder.__name__: finder, odd.__name__: odd, "mypkg": ModuleType("mypkg")}
    (install,) = all_installs([], modules, [])
    assert install.leads_to("mypkg.deep")
    assert install.leads_to("renamed")
    assert not install.leads_to("mypkg2")
    hook = "__editable__.mypkg.finder.__path_hook__"
    assert redirected(["/x", hook], counterparts, [install]) == [
        *(str(counterparts.root / "src"), str(counterparts.root), str(counterparts.root / "lib")),
        *("/x", hook),
    ]


def test_a_link_among_the_installed_packages(counterparts, tmp_path):
    write(counterparts.top / "lib/product/__init__.py", "")
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "product").symlink_to(counterparts.top / "lib/product")
    write(packages / "numpy/__init__.py", "")
    (install,) = all_installs([str(packages), "/absent/site-packages"], {}, [])
    assert redirected([str(packages)], counterparts, [install]) == [
        str(counterparts.root / "lib"),
        str(packages),
    ]


class MesonpyMetaFinder:
    """As meson-python's: a class of this name with these attributes."""

    def __init__(self, names, build):
        self._top_level_modules = names
        self._build_path = build


class ScikitBuildRedirectingFinder:
    """As scikit-build-core's."""

    def __init__(self, sources, wheel):
        self.known_source_files = sources
        self.known_wheel_files = wheel


def test_hooks_of_builds_come_before_the_path(counterparts):
    meson = MesonpyMetaFinder({"product"}, str(counterparts.top / "build/cp311"))
    scikit = ScikitBuildRedirectingFinder(
        {"other": str(counterparts.top / "src/other/__init__.py")}, {"other._ext": "other/_ext.so"}
    )
    found = all_installs([], {}, [meson, scikit, object()])
    assert [(one.tool, one.comes_first) for one in found] == [
        ("meson-python", True),
        ("scikit-build-core", True),
    ]
    assert found[0].leads_to("product._ext")
    assert found[1].leads_to("other._ext")
    assert redirected(["/x"], counterparts, found) == ["/x"]


@pytest.mark.parametrize(
    ("module", "hook"),
    [
        ("mesonpy._editable", "MesonpyMetaFinder"),
        ("scikit_build_core.resources._editable_redirect", "ScikitBuildRedirectingFinder"),
    ],
)
def test_hooks_of_builds_have_these_names(module, hook):
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"{module} is not installed")
    names = set(all_names(getattr(importlib.import_module(module), hook)))
    known = {
        "MesonpyMetaFinder": {"_top_level_modules", "_build_path"},
        "ScikitBuildRedirectingFinder": {"known_source_files", "known_wheel_files"},
    }
    assert known[hook] <= names


def all_names(kind):
    return kind.__init__.__code__.co_names


def test_hooks_that_everybody_has_are_not_named():
    named = import_hooks([*sys.meta_path, MesonpyMetaFinder(set(), "")])
    assert named[-1].endswith("MesonpyMetaFinder")
    assert not [one for one in named if "BuiltinImporter" in one or "AssertionRewriting" in one]


def test_nothing_is_taken_for_granted_of_other_tools(counterparts):
    class Odd:
        _redirections = 5

    odd = ScikitBuildRedirectingFinder({1: None, "a": 2}, None)
    assert all_installs([], {}, [Odd(), Odd, odd]) == ()
    assert Install("x", {}).roots == []


def test_installed_packages_that_cannot_be_read_lead_nowhere(tmp_path, monkeypatch):
    place = tmp_path / "site-packages"
    place.mkdir()

    def scandir(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert all_installs([str(place)], {}, []) == ()
