"""Which path is which in the other tree, and where modules really came from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_tfthreads.revision.counterparts import Twins, own_prefixes, redirected
from pytest_tfthreads.revision.overlay import Overlay, laid_over_only


def touch(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def twins(tmp_path):
    """A tree and its checkout, empty but for what a test puts there."""
    base = tmp_path.resolve()
    for name in ("current/my tree", "temp/my tree"):
        (base / name).mkdir(parents=True)
    return Twins(base / "current/my tree", base / "temp/my tree", prefixes=())


def test_twin(twins):
    assert twins.twin(twins.top) == twins.root
    assert twins.twin(twins.top / "src/absent.py") == twins.root / "src/absent.py"
    assert twins.twin(twins.top / "src/../tests") == twins.root / "tests"
    assert twins.twin(twins.top.parent) is None
    assert twins.twin(twins.top.with_name("my tree 2")) is None
    assert twins.twin(twins.root / "src") is None


def test_twin_of_a_relative_path(twins, monkeypatch):
    monkeypatch.chdir(twins.top)
    assert twins.twin(Path("src")) == twins.root / "src"
    assert twins.twin(Path("")) == twins.root


def test_twin_through_links(twins, tmp_path):
    (twins.top / "src/deep").mkdir(parents=True)
    (twins.top / "link").symlink_to("src/deep")
    (twins.top / "out").symlink_to(tmp_path)
    (twins.top / "loop").symlink_to("loop")
    (tmp_path / "home").symlink_to(twins.top)
    assert twins.twin(twins.top / "link/x") == twins.root / "link/x"
    assert twins.twin(twins.top / "link/../x") == twins.root / "src/x"
    assert twins.twin(twins.top / "out/x") is None
    assert twins.twin(tmp_path / "home/src/x") == twins.root / "src/x"
    assert twins.twin(twins.top / "loop") == twins.root / "loop"


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta/history"])
def test_environments_in_the_tree_have_no_twin(twins, mark):
    touch(twins.top / "envs/mine" / mark)
    assert twins.twin(twins.top / "envs/mine") is None
    assert twins.twin(twins.top / "envs/mine/lib/python3.11/x.py") is None
    assert twins.twin(twins.top / "envs") == twins.root / "envs"


def test_an_environment_made_in_the_top_of_the_tree(twins):
    touch(twins.top / "pyvenv.cfg")
    assert twins.twin(twins.top / "lib/python3.11/site-packages/numpy") is None
    assert twins.twin(twins.top / "mypkg") == twins.root / "mypkg"


def test_prefixes(twins):
    within = Twins(twins.top, twins.root, prefixes=(twins.top / "python",))
    assert within.twin(twins.top / "python/lib") is None
    around = Twins(twins.top, twins.root, prefixes=(twins.top.parent, twins.top))
    assert around.twin(twins.top / "mypkg") == twins.root / "mypkg"
    assert Path(os.__file__).resolve().parent in own_prefixes()
    assert Path(sys.prefix).resolve() in own_prefixes()


# -- sys.path ---------------------------------------------------------------------------


def test_sys_path_is_redirected(twins, monkeypatch):
    monkeypatch.chdir(twins.top)
    touch(twins.top / ".venv/pyvenv.cfg")
    packages = str(twins.top / ".venv/lib/python3.11/site-packages")
    before = ["", str(twins.top / "src"), "/usr/lib/python3.11", packages, str(twins.top)]
    assert redirected(before, twins) == [
        str(twins.root),
        str(twins.root / "src"),
        "/usr/lib/python3.11",
        packages,
    ]


def test_a_tree_that_is_a_package(twins):
    touch(twins.root / "__init__.py")
    parent = str(twins.top.parent)
    assert redirected([parent], twins) == [str(twins.root.parent), parent]
    assert (twins.root.parent / twins.top.name) == twins.root


@pytest.mark.parametrize("import_it", ["import mypkg", "import ns.deep.mod as mypkg"])
def test_what_a_process_really_imports(twins, import_it):
    for root, value in ((twins.top, 2), (twins.root, 1)):
        touch(root / "src/mypkg/__init__.py", f"VALUE = {value}")
        touch(root / "src/ns/deep/mod.py", f"VALUE = {value}")
    script = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
        f"{import_it}; print(mypkg.VALUE, mypkg.__file__)"
    )

    def imported(path):
        done = subprocess.run(
            [sys.executable, "-c", script, json.dumps(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        value, _, file = done.stdout.strip().partition(" ")
        return int(value), {"mypkg": file}

    here = [str(twins.top / "src"), *[entry for entry in sys.path if entry]]
    value, modules = imported(here)
    assert value == 2
    assert twins.is_current(modules["mypkg"])
    value, modules = imported(redirected(here, twins))
    assert value == 1
    assert twins.is_checked_out(modules["mypkg"])


# -- tests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "directory"),
    [
        ("tests/test_x.py", "tests"),
        ("tests/benchmarks/deep/test_x.py", "tests"),
        ("src/mypkg/tests/test_x.py", "src/mypkg/tests"),
        ("perf/test_x.py", "perf"),
        ("mypkg/test_x.py", None),
        ("mytests/test_x.py", None),
        ("test_x.py", None),
    ],
)
def test_which_directories_are_tests(twins, module, directory):
    touch(twins.top / module)
    config = touch(twins.top / "pyproject.toml")
    conftest = touch(twins.top / "mypkg/conftest.py")
    found = Overlay.of(twins.top, [twins.top / module], [conftest], config)
    assert set(found.files) == {twins.top / module, conftest, config}
    assert found.directories == (() if directory is None else (twins.top / directory,))


def test_directories_above_the_tree_and_other_trees_are_none(tmp_path):
    top = (tmp_path / "tests/repository").resolve()
    modules = [touch(top / "mypkg/test_x.py"), touch(tmp_path / "tests/other/test_y.py")]
    assert Overlay.of(top, modules, [], None).directories == ()


def test_tests_behind_a_link(twins):
    touch(twins.top / "shared/test_x.py")
    (twins.top / "tests").symlink_to("shared")
    found = Overlay.of(twins.top, [twins.top / "tests/test_x.py"], [], None)
    assert found == Overlay((twins.top / "shared/test_x.py",), ())


def test_a_side_that_imported_nothing_but_tests(twins):
    tests = Overlay((twins.top / "test_y.py",), (twins.top / "tests",))
    modules = {
        "test_x": str(twins.root / "tests/deep/test_x.py"),
        "test_y": str(twins.root / "test_y.py"),
        "numpy": "/env/numpy.py",
    }
    assert "both sides ran the same code" in laid_over_only(modules, tests, twins)
    modules["mypkg"] = str(twins.root / "mypkg.py")
    assert laid_over_only(modules, tests, twins) is None
    assert laid_over_only({"numpy": "/env/numpy.py"}, tests, twins) is None
