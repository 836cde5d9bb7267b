"""Whether both sides imported code of their own, and what is said where they did not."""

import importlib.machinery
import shutil
from pathlib import Path

import pytest

from pytest_tfthreads.revision.checkout import Checkout
from pytest_tfthreads.revision.imports import Origins
from pytest_tfthreads.revision.installs import Install
from pytest_tfthreads.revision.overlay import Overlay
from repository import touch

COMPILED = importlib.machinery.EXTENSION_SUFFIXES[0]


def mistake(counterparts, there, here=None, installs=(), rootdir=None):
    origins = Origins(counterparts, rootdir or counterparts.top, Overlay((), ()), installs)
    return origins.mistake(there, here or {})


# -- modules of the current tree ----------------------------------------------------------


def test_modules_of_the_current_tree_are_named(counterparts):
    modules = {
        f"mypkg.m{number:02}": str(counterparts.top / f"m{number}.py") for number in range(17)
    }
    for file in modules.values():
        touch(counterparts.counterpart(Path(file)))
    modules |= {
        "fine": str(counterparts.root / "fine.py"),
        "numpy": "/usr/numpy.py",
        "odd": "<frozen>",
    }
    message = mistake(counterparts, modules)
    assert "mypkg.m00, mypkg.m01, mypkg.m02, mypkg.m03, mypkg.m04 and 12 more" in message
    assert "editable_mode=compat" in message
    assert "python=PATH" in message
    assert "fine" not in message


def test_modules_of_an_environment_in_the_tree_are_shared_by_right(counterparts, monkeypatch):
    monkeypatch.chdir(counterparts.top)
    touch(counterparts.top / ".venv/pyvenv.cfg")
    modules = {
        "numpy": str(counterparts.top / ".venv/lib/site-packages/numpy/__init__.py"),
        "frozen": "<frozen>",
        "mypkg": str(counterparts.root / "mypkg.py"),
    }
    assert mistake(counterparts, modules) == ""


def test_a_link_that_leads_back_is_seen(counterparts):
    touch(counterparts.top / "mypkg/core.py")
    (counterparts.root / "mypkg").symlink_to(counterparts.top / "mypkg")
    assert "mypkg.core" in mistake(
        counterparts, {"mypkg.core": str(counterparts.root / "mypkg/core.py")}
    )


@pytest.mark.parametrize("tool", ["meson-python", "scikit-build-core"])
def test_a_hook_that_comes_first_is_named_as_what_it_is(counterparts, tool):
    modules = {"mypkg._ext": str(touch(counterparts.top / f"build/cp311/_ext{COMPILED}"))}
    hook = Install(tool, {"mypkg": counterparts.top / "build/cp311"}, comes_first=True)
    message = mistake(counterparts, modules, installs=[hook])
    assert f"{tool}'s editable install leads there: its import hook" in message
    assert "pip install .` without -e" in message
    assert "compat" not in message


def test_a_directory_of_another_name_than_its_package_is_named(counterparts):
    for top in (counterparts.top, counterparts.root):
        touch(top / "sources/core.py")
    finder = Install("setuptools", {"mypkg": counterparts.top / "sources"})
    message = mistake(
        counterparts, {"mypkg.core": str(counterparts.top / "sources/core.py")}, installs=[finder]
    )
    assert "The editable install by setuptools leads there" in message
    assert "Give the directory the name of the package" in message


def test_code_that_is_new_since_is_no_mistake(counterparts):
    touch(counterparts.root / "src/mypkg/__init__.py")
    modules = {
        "mypkg": str(counterparts.root / "src/mypkg/__init__.py"),
        "newpkg": str(touch(counterparts.top / "src/newpkg/__init__.py")),
    }
    assert mistake(counterparts, modules) == ""
    origins = Origins(counterparts, counterparts.top, Overlay((), ()))
    assert "the other revision has no newpkg" in origins.newness(modules)
    assert origins.newness({"mypkg": modules["mypkg"]}) == ""


@pytest.mark.parametrize("file", ["a.py", f"{'x' * 300}/a.py"])
def test_a_name_that_no_file_can_have_is_no_mistake(counterparts, file):
    """It stands for what this user may not look at; of a module it may be anything."""
    assert mistake(counterparts, {"x" * 300: str(counterparts.top / file)}) == ""


# -- what is installed ----------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "src", "services/one", "services/one/src"])
def test_installed_code(counterparts, place):
    touch(counterparts.root / place / "mypkg/__init__.py")
    touch(counterparts.root / place / "single.py")
    touch(counterparts.root / place / "numpy/a_folder_of_examples.py")
    touch(counterparts.root / place / "types.py")
    modules = {
        "mypkg": "/env/site-packages/mypkg/__init__.py",
        "mypkg.core": "/env/site-packages/mypkg/core.py",
        "numpy": "/env/site-packages/numpy/__init__.py",
        "types": "/usr/lib/types.py",
        "single": str(counterparts.root / place / "single.py"),
    }
    rootdir = counterparts.top / "services/one"
    message = mistake(counterparts, modules, rootdir=rootdir)
    assert message.startswith("mypkg is imported from /env/site-packages/mypkg on both sides")
    assert "pip install -e ." in message
    modules["single"] = "/env/site-packages/single.py"
    assert mistake(counterparts, modules, rootdir=rootdir).startswith("mypkg, single are")
    modules |= {
        "mypkg": str(counterparts.root / "mypkg.py"),
        "single": str(counterparts.root / "single.py"),
    }
    assert mistake(counterparts, modules, rootdir=rootdir) == ""


def test_installed_code_with_compiled_parts_needs_two_environments(counterparts, tmp_path):
    touch(counterparts.root / "src/mypkg/__init__.py")
    touch(tmp_path / f"site-packages/mypkg/deep/_ext{COMPILED}")
    installed = touch(tmp_path / "site-packages/mypkg/__init__.py")
    message = mistake(counterparts, {"mypkg": str(installed)})
    assert "has compiled parts" in message
    assert "python=PATH" in message
    assert "pip install -e ." not in message


# -- why a test does not run there ------------------------------------------------------


@pytest.fixture
def sides(tree):
    """A function: commits files, then gives the current ones and what is made of a problem."""

    def make(current, problem, here, tests=(), installs=(), **old):
        (tree.path / ".gitignore").write_text(f"*{COMPILED}\n*_pb.py\nbuild\n")
        tree.commit(**old)
        for name, text in current.items():
            touch(tree.path / name, text)
        modules = {name: str(tree.path / file) for name, file in here.items()}
        laid_over = Overlay((), tuple(tree.path / one for one in tests))
        with Checkout.make(tree.path, "HEAD", trusted=True) as checkout:
            origins = Origins(checkout.counterparts, tree.path, laid_over, installs)
            if problem is None:
                return origins.mistake({}, modules)
            return origins.wrong_path(problem, modules)

    return make


NO_EXT = "setup failed: ModuleNotFoundError: No module named 'mypkg._ext'"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
class TestWrongPath:
    def test_code_that_is_there_and_not_found(self, sides):
        tree = Install("setuptools (editable_mode=strict)", {"mypkg": Path("/x")})
        message = sides(
            {"build/x/mypkg/core.py": ""},
            "call failed: ModuleNotFoundError: No module named 'mypkg.core'",
            {"mypkg.core": "build/x/mypkg/core.py"},
            installs=[tree],
        )
        assert "The other revision has mypkg.core (mypkg/core.py)" in message
        assert "build/x/mypkg/core.py" in message
        assert "It is installed editable by setuptools (editable_mode=strict)" in message
        assert "editable_mode=compat" in message

    def test_code_that_only_the_other_revision_has(self, sides):
        problem = "ImportError: cannot import name 'core' from 'mypkg' (unknown location)"
        assert "The other revision has mypkg.core" in sides({}, problem, {})

    @pytest.mark.parametrize(
        "problem",
        [
            NO_EXT,
            "ImportError: cannot import name '_ext' from 'mypkg' (/x/mypkg/__init__.py)",
            "ImportError: cannot import name '_ext' from partially initialized module 'mypkg' (x)",
        ],
    )
    def test_a_part_that_is_compiled_in_place(self, sides, problem):
        file = f"mypkg/_ext{COMPILED}"
        message = sides(
            {file: ""}, problem, {"mypkg._ext": file}, mypkg__setup="from . import _ext"
        )
        assert "needs mypkg._ext, which is compiled here" in message
        assert file in message
        assert "pip install .` without -e" in message

    def test_a_part_that_is_generated(self, sides):
        message = sides(
            {"mypkg/grpc_pb.py": ""},
            "ModuleNotFoundError: No module named 'mypkg.grpc_pb'",
            {"mypkg.grpc_pb": "mypkg/grpc_pb.py"},
            mypkg__setup="import mypkg.grpc_pb",
        )
        assert "which is generated here" in message

    def test_a_part_that_only_the_current_code_and_tests_need_is_new(self, sides):
        file = f"mypkg/_ext{COMPILED}"
        current = {file: "", "mypkg/__init__.py": "from . import _ext"}
        old = {"tests__test_it": "import mypkg._ext", "mypkg__setup": "from . import my_ext"}
        assert sides(current, NO_EXT, {"mypkg._ext": file}, tests=["tests"], **old) == ""

    def test_a_module_that_is_new(self, sides):
        problem = "ModuleNotFoundError: No module named 'mypkg.new'"
        here = {"mypkg.new": "mypkg/new.py"}
        assert sides({"mypkg/new.py": ""}, problem, here, mypkg__setup="# new") == ""

    def test_what_is_found_outside_of_the_tree_here(self, sides):
        message = sides(
            {},
            "ModuleNotFoundError: No module named 'helper'",
            {"helper": "/elsewhere/helper.py"},
        )
        assert "helper is imported from /elsewhere/helper.py here" in message
        assert "pythonpath" in message

    @pytest.mark.parametrize(
        "problem",
        [
            "ModuleNotFoundError: No module named 'six'",
            "AttributeError: module 'mypkg' has no attribute 'new'",
            "ImportError: cannot import name 'new' from 'mypkg.core' (/x.py)",
            "killed by SIGSEGV",
        ],
    )
    def test_what_the_other_revision_really_lacks(self, sides, problem):
        assert sides({}, problem, {"mypkg.core": "mypkg/core.py"}) == ""

    def test_what_stands_in_for_a_compiled_part_is_seen(self, sides):
        file = f"mypkg/_ext{COMPILED}"
        message = sides(
            {file: ""}, None, {"mypkg._ext": file}, mypkg__setup="try: from . import _ext"
        )
        assert "mypkg._ext is compiled on the current side" in message
        assert "ran without" in message

    def test_a_compiled_part_that_is_new_has_nothing_that_stands_in_for_it(self, sides):
        file = f"mypkg/_ext{COMPILED}"
        assert sides({file: ""}, None, {"mypkg._ext": file}) == ""


def test_a_module_that_is_compiled_on_one_side_only(counterparts):
    compiled = str(touch(counterparts.top / f"mypkg/core{COMPILED}"))
    source = str(touch(counterparts.root / "mypkg/core.py"))
    message = mistake(counterparts, {"mypkg.core": source}, {"mypkg.core": compiled})
    assert "mypkg.core is compiled on the current side" in message
    assert f"imported {source}" in message
    both = str(touch(counterparts.root / f"mypkg/core{COMPILED}"))
    assert mistake(counterparts, {"mypkg.core": both}, {"mypkg.core": compiled}) == ""
