"""Which path is which in the other tree, and where modules really came from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_tfthreads.revision.counterparts import Counterparts, own_prefixes, redirected
from pytest_tfthreads.revision.overlay import Overlay, laid_over_only
from repository import touch


def test_counterparts(counterparts):
    assert counterparts.counterpart(counterparts.top) == counterparts.root
    assert (
        counterparts.counterpart(counterparts.top / "src/absent.py")
        == counterparts.root / "src/absent.py"
    )
    assert (
        counterparts.counterpart(counterparts.top / "src/../tests") == counterparts.root / "tests"
    )
    assert counterparts.counterpart(counterparts.top.parent) is None
    assert counterparts.counterpart(counterparts.top.with_name("my tree 2")) is None
    assert counterparts.counterpart(counterparts.root / "src") is None


def test_twin_of_a_relative_path(counterparts, monkeypatch):
    monkeypatch.chdir(counterparts.top)
    assert counterparts.counterpart(Path("src")) == counterparts.root / "src"
    assert counterparts.counterpart(Path("")) == counterparts.root


def test_twin_through_links(counterparts, tmp_path):
    (counterparts.top / "src/deep").mkdir(parents=True)
    (counterparts.top / "link").symlink_to("src/deep")
    (counterparts.top / "out").symlink_to(tmp_path)
    (counterparts.top / "loop").symlink_to("loop")
    (tmp_path / "home").symlink_to(counterparts.top)
    assert counterparts.counterpart(counterparts.top / "link/x") == counterparts.root / "link/x"
    assert counterparts.counterpart(counterparts.top / "link/../x") == counterparts.root / "src/x"
    assert counterparts.counterpart(counterparts.top / "out/x") is None
    assert counterparts.counterpart(tmp_path / "home/src/x") == counterparts.root / "src/x"
    assert counterparts.counterpart(counterparts.top / "loop") == counterparts.root / "loop"


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta/history"])
def test_environments_in_the_tree_have_no_twin(counterparts, mark):
    touch(counterparts.top / "envs/mine" / mark)
    assert counterparts.counterpart(counterparts.top / "envs/mine") is None
    assert counterparts.counterpart(counterparts.top / "envs/mine/lib/python3.11/x.py") is None
    assert counterparts.counterpart(counterparts.top / "envs") == counterparts.root / "envs"


def test_an_environment_made_in_the_top_of_the_tree(counterparts):
    touch(counterparts.top / "pyvenv.cfg")
    assert counterparts.counterpart(counterparts.top / "lib/python3.11/site-packages/numpy") is None
    assert counterparts.counterpart(counterparts.top / "mypkg") == counterparts.root / "mypkg"


def test_prefixes(counterparts):
    within = Counterparts(
        counterparts.top, counterparts.root, prefixes=(counterparts.top / "python",)
    )
    assert within.counterpart(counterparts.top / "python/lib") is None
    around = Counterparts(
        counterparts.top, counterparts.root, prefixes=(counterparts.top.parent, counterparts.top)
    )
    assert around.counterpart(counterparts.top / "mypkg") == counterparts.root / "mypkg"
    assert Path(os.__file__).resolve().parent in own_prefixes()
    assert Path(sys.prefix).resolve() in own_prefixes()


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{}/pytest.ini",
        "--data-dir={}/data",
        "--paths={}/a,{}/b:{}",
        "-c {}/pytest.ini --rootdir={}",
        "-c{}/pytest.ini",
        "-q -c{}/pytest.ini",
        """--x='{}' --y="{}" -o 'z={}/a {}/b'""",
        "@{}/arguments.txt",
        "--url=file://{}/data;sqlite:///{}/db",
        "--call=f({})",
    ],
)
def test_paths_in_options(text):
    tree = Counterparts(Path("/app"), Path("/tmp/there/app"), prefixes=())
    found = tree.in_text(text.replace("{}", "/app"))
    assert found == text.replace("{}", "/tmp/there/app")


@pytest.mark.parametrize(
    "text",
    [
        "--data-dir=/srv/app/data",
        "/etc/app/pytest.ini",
        "-c/etc/app/pytest.ini",
        "--x='/srv/app'",
        "--pair=/srv/app:/etc/app",
        "/srv//app",
        "~/app ./app ../app",
        "--x=/apple",
        "/app.d/x",
        "-k app",
    ],
)
def test_paths_in_options_that_only_look_like_those_of_the_tree(text):
    tree = Counterparts(Path("/app"), Path("/tmp/there/app"), prefixes=())
    assert tree.in_text(text) == text


# -- sys.path ---------------------------------------------------------------------------


def test_sys_path_is_redirected(counterparts, monkeypatch):
    monkeypatch.chdir(counterparts.top)
    touch(counterparts.top / ".venv/pyvenv.cfg")
    packages = str(counterparts.top / ".venv/lib/python3.11/site-packages")
    before = [
        "",
        str(counterparts.top / "src"),
        "/usr/lib/python3.11",
        packages,
        str(counterparts.top),
    ]
    assert redirected(before, counterparts) == [
        str(counterparts.root),
        str(counterparts.root / "src"),
        "/usr/lib/python3.11",
        packages,
    ]


def test_a_tree_that_is_a_package(counterparts):
    touch(counterparts.root / "__init__.py")
    parent = str(counterparts.top.parent)
    assert redirected([parent], counterparts) == [str(counterparts.root.parent), parent]
    assert (counterparts.root.parent / counterparts.top.name) == counterparts.root


@pytest.mark.parametrize("import_it", ["import mypkg", "import ns.deep.mod as mypkg"])
def test_what_a_process_really_imports(counterparts, import_it):
    for root, value in ((counterparts.top, 2), (counterparts.root, 1)):
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

    here = [str(counterparts.top / "src"), *[entry for entry in sys.path if entry]]
    value, modules = imported(here)
    assert value == 2
    assert counterparts.is_current(modules["mypkg"])
    value, modules = imported(redirected(here, counterparts))
    assert value == 1
    assert counterparts.is_checked_out(modules["mypkg"])


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
def test_which_directories_are_tests(counterparts, module, directory):
    touch(counterparts.top / module)
    config = touch(counterparts.top / "pyproject.toml")
    conftest = touch(counterparts.top / "mypkg/conftest.py")
    found = Overlay.of(counterparts.top, [counterparts.top / module], [conftest], config)
    assert set(found.files) == {counterparts.top / module, conftest, config}
    assert found.directories == (() if directory is None else (counterparts.top / directory,))


def test_directories_above_the_tree_and_other_trees_are_none(tmp_path):
    top = (tmp_path / "tests/repository").resolve()
    modules = [touch(top / "mypkg/test_x.py"), touch(tmp_path / "tests/other/test_y.py")]
    assert Overlay.of(top, modules, [], None).directories == ()


def test_tests_behind_a_link(counterparts):
    touch(counterparts.top / "shared/test_x.py")
    (counterparts.top / "tests").symlink_to("shared")
    found = Overlay.of(counterparts.top, [counterparts.top / "tests/test_x.py"], [], None)
    assert found == Overlay((counterparts.top / "shared/test_x.py",), ())


def test_a_side_that_imported_nothing_but_tests(counterparts):
    tests = Overlay((counterparts.top / "test_y.py",), (counterparts.top / "tests",))
    modules = {
        "test_x": str(counterparts.root / "tests/deep/test_x.py"),
        "test_y": str(counterparts.root / "test_y.py"),
        "numpy": "/env/numpy.py",
    }
    assert "both sides ran the same code" in laid_over_only(modules, tests, counterparts)
    modules["mypkg"] = str(counterparts.root / "mypkg.py")
    assert laid_over_only(modules, tests, counterparts) is None
    assert laid_over_only({"numpy": "/env/numpy.py"}, tests, counterparts) is None
