"""--tf-threads-duet: tests side by side with another revision or environment of their code."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from git_projects import git, product
from pytest_tfthreads.engine.environment import Environment
from pytest_tfthreads.engine.interpreter import Home
from pytest_tfthreads.engine.order import PytestCall
from pytest_tfthreads.runner.variants import InEnvironment

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

HAS_DUMPS = tuple(map(int, version("pytest-benchmark").split(".")[:1])) >= (5,)
# Their CPU time is next to nothing: nothing is made of it.
QUICK_MS, SLOW_MS = 10, 40
TEST = """
import product
import pytest

@pytest.mark.tf_threads(1, 1, tolerance={"cpu_efficiency": "99%"})
def test_work(benchmark):
    benchmark(product.work)
"""
SHORT = "--benchmark-max-time=0.15"
# A pair of processes has two interpreters of its own: enough where no verdict is asked for.
ONE_PAIR = "--tf-threads-max-processes=1"
# With the least from which a verdict's interval comes, and no second look.
THREE_PAIRS = "--tf-threads-max-processes=3"


def about(value):
    """As exact as the sleeps of `exact_time` are."""
    return pytest.approx(value, rel=0.02)


def preloaded(project):
    """What each side's interpreter has imported of the project, as the run has recorded it."""
    return json.loads((project.path / "out.json").read_text())["tf_threads"]["preloaded"]


class Project:
    """A git repository with a package and its tests, and a place for what is checked out."""

    def __init__(self, suite, monkeypatch, folder="."):
        self.suite = suite
        self.top = suite.path
        self.path = suite.path / folder
        self.path.mkdir(exist_ok=True)
        self.temporary = suite.path.parent / f"{suite.path.name} temporary"
        self.temporary.mkdir()
        monkeypatch.setenv("TMPDIR", str(self.temporary))
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        git(self.top, "init", "-q", "-b", "main")
        self.write("pytest.ini", "[pytest]\npythonpath = src\n")
        self.write("src/product.py", product(QUICK_MS))
        self.write("tests/test_it.py", TEST)
        self.commit("first")
        git(self.top, "tag", "v1.0")

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, message):
        git(self.top, "add", "-A")
        git(self.top, "commit", "-q", "-m", message)

    def arguments(self, *args):
        given = ["-p", "no:cacheprovider", "--tf-threads-timeout=30", SHORT, ONE_PAIR]
        return [sys.executable, "-m", "pytest", *given, "--benchmark-json=out.json", *args]

    def run(self, *args, cwd=None):
        run = subprocess.run(
            self.arguments(*args),
            cwd=cwd or self.path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{os.environ['PYTHONPATH']}"},
        )
        self.told = " ".join((run.stdout + run.stderr).split())
        return run.returncode

    @property
    def benchmarks(self):
        text = (self.path / "out.json").read_text()
        return {one["name"]: one for one in json.loads(text)["benchmarks"]}

    @property
    def verdicts(self):
        """Statuses of throughput by test."""
        return {
            name.partition("[")[0]: one["extra_info"]["tf_threads"]["verdicts"][0]["status"]
            for name, one in self.benchmarks.items()
        }

    @property
    def leftovers(self):
        worktrees = git(self.top, "worktree", "list", "--porcelain").count("worktree ")
        checkouts = list(self.temporary.glob("*tfthreads*"))
        return worktrees - 1, checkouts


@pytest.fixture
def project(suite, monkeypatch):
    return Project(suite, monkeypatch)


def test_regression_against_a_revision(project):
    project.write("src/product.py", product(SLOW_MS))
    duet = ("--tf-threads-duet=v1.0", THREE_PAIRS)
    code = project.run(*duet, "--tf-threads-profile=traces:regressed")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert project.verdicts == {"test_work": "regression"}
    assert "% slower: CPU work" in project.told
    assert "more than 3.5 % as measured and more than 2 % for certain" in project.told
    assert "not one test could be compared" not in project.told
    assert "v1.0" in project.told
    assert "side by side in 3 pairs" in project.told
    recorded = project.benchmarks["test_work[intra1-inter1]"]["extra_info"]["tf_threads"]
    assert len(recorded["duet"]["pairs"]) == 3
    assert recorded["throughput"]["value"] == about(1e3 / SLOW_MS)
    assert recorded["duet"]["baseline"]["throughput"]["value"] == about(1e3 / QUICK_MS)
    now, then = (recorded["profile"][side] for side in ("now", "baseline"))
    assert now["wall_s"] == about(SLOW_MS / 1e3)
    assert then["wall_s"] == about(QUICK_MS / 1e3)
    assert "v1.0" in then["title"]
    assert then["path"] == f"{now['path']}-baseline"
    assert all((project.path / "traces" / one["path"]).is_dir() for one in (now, then))
    assert f"baseline: {then['title']}: {then['path']} ms a call now baseline" in project.told
    assert project.leftovers == (0, [])


def test_improvement_and_unchanged_code_pass(project):
    project.write("src/product.py", product(SLOW_MS))
    project.commit("slow")
    project.write("src/product.py", product(QUICK_MS))
    assert project.run("--tf-threads-duet=HEAD") == 0
    assert "side by side in 1 pair of processes" in project.told
    assert project.verdicts == {"test_work": "improvement"}
    assert "uncommitted changes: they are all that the sides differ in" in project.told
    git(project.top, "checkout", "-q", "--", ".")
    assert project.run("--tf-threads-duet=HEAD", THREE_PAIRS) == 0
    assert project.verdicts["test_work"] == "pass"
    assert "both sides are commit" in project.told


def test_commit_of_the_saved_run_is_the_default(project):
    assert project.run("--benchmark-save=first") == 0
    project.write("src/product.py", product(SLOW_MS))
    project.commit("slower")
    assert project.run("--tf-threads-duet", "--benchmark-save=second") == 1
    assert project.verdicts == {"test_work": "regression"}
    # What regressed and was saved is not what the next run is compared with, but by its number.
    assert project.run("--tf-threads-duet") == pytest.ExitCode.TESTS_FAILED
    assert project.verdicts == {"test_work": "regression"}
    assert project.run("--tf-threads-duet", "--benchmark-compare=0002", THREE_PAIRS) == 0
    assert project.verdicts["test_work"] == "pass"


def test_current_tests_are_laid_over_the_old_code(project):
    helper = "NUMBER = 2\n"
    project.write("tests/helper.py", helper)
    project.write(
        "tests/test_it.py",
        "import helper\n"
        + TEST
        + "\n@pytest.mark.tf_threads(1, 1, tolerance='99%')\n"
        + "def test_new(benchmark):\n    assert helper.NUMBER == 2\n    benchmark(product.work)\n",
    )
    assert project.run("--tf-threads-duet=v1.0", "-k", "new") == 0
    assert project.verdicts == {"test_new": "pass"}


def test_what_cannot_run_on_the_old_code_has_no_baseline(project):
    project.write("src/product.py", product(QUICK_MS) + "\ndef fresh():\n    work()\n")
    project.write(
        "tests/test_it.py",
        TEST + "\n@pytest.mark.tf_threads(1, 1)\n"
        "def test_fresh(benchmark):\n    benchmark(product.fresh)\n",
    )
    assert project.run("--tf-threads-duet=v1.0", THREE_PAIRS) == 0
    assert project.verdicts["test_fresh"] == "no-baseline"
    assert project.verdicts["test_work"] != "no-baseline"
    assert "AttributeError: module 'product' has no attribute 'fresh'" in project.told
    processes = project.benchmarks["test_fresh[intra1-inter1]"]["extra_info"]["tf_threads"]
    assert len(processes["processes"]) == 3
    code = project.run("--tf-threads-duet=v1.0", "--tf-threads-fail-on=no-baseline", "-k", "fresh")
    assert code == pytest.ExitCode.TESTS_FAILED
    # Nor has a module that it cannot even import.
    project.write("tests/test_it.py", TEST.replace("import pytest", "import pytest, extra"))
    project.write("src/extra.py", "")
    assert project.run("--tf-threads-duet=v1.0") == 0
    assert project.verdicts == {"test_work": "no-baseline"}
    assert "No module named 'extra'" in project.told


NOTES_DUMPS = """
import marshal

kept = marshal.dumps

def noted(what, *args):
    if isinstance(what, dict):  # a profile, and no bytecode that is written meanwhile
        with open({log!r}, "a") as file:
            print({side!r}, file=file)
    return kept(what, *args)

marshal.dumps = noted
"""


@pytest.mark.skipif(not HAS_DUMPS, reason="pytest-benchmark 4 has no --benchmark-cprofile-dump")
def test_profiles_in_files_are_those_of_the_current_side(project):
    log, profile = project.temporary / "log", project.temporary / "profile"
    for side in ("then", "now"):
        code = NOTES_DUMPS.format(log=str(log), side=side) + product(QUICK_MS)
        project.write("src/product.py", code)
        project.commit(side)
    options = ("--benchmark-cprofile=tottime", f"--benchmark-cprofile-dump={profile}")
    assert project.run("--tf-threads-duet=HEAD~1", *options) == 0
    assert set(log.read_text().split()) == {"now"}
    assert len(list(project.temporary.glob("profile-test_work*.prof"))) == 1


def test_profiles_in_files_are_those_of_this_environment():
    environment = Environment("/other/python", (), "3.12.0")
    there = InEnvironment(environment, Home(sys.executable, "/", ()))
    options = {"verbose": 1, "benchmark_cprofile_dump": ["profile"]}
    call = there.call(PytestCall((), (), "/", (), options=options))
    assert call.options == {"verbose": 1, "benchmark_cprofile_dump": []}


def test_tests_that_measure_nothing_run_once(project):
    project.write("tests/test_it.py", TEST + "\n@pytest.mark.tf_threads(1, 1)\ndef test_plain():\n"
        f"    open({str(project.path / 'runs')!r}, 'a').write('x')\n")  # fmt: skip
    assert project.run("--tf-threads-duet=v1.0", "-k", "plain") == 0
    assert (project.path / "runs").read_text() == "x"


def test_failing_test_fails_as_ever(project):
    project.write("tests/test_it.py", TEST + "    assert False, 'by itself'\n")
    assert project.run("--tf-threads-duet=v1.0") == pytest.ExitCode.TESTS_FAILED
    assert "by itself" in project.told
    assert "1 failed" in project.told


def test_baseline_that_imports_the_current_code_is_an_error(project):
    project.write(
        "tests/conftest.py",
        f"import sys\n\nsys.path.insert(0, {str(project.path / 'src')!r})\n",
    )
    project.write("src/product.py", product(SLOW_MS))
    # Preloaded, the module of each side is there before the path is changed.
    off = "--tf-threads-preload=off"
    assert project.run("--tf-threads-duet=v1.0", off) == pytest.ExitCode.TESTS_FAILED
    assert "--tf-threads-duet: " in project.told
    assert "src/product.py" in project.told
    assert "current tree" in project.told


def test_code_that_is_installed_is_the_same_on_both_sides(project, monkeypatch):
    installed = project.temporary.parent / f"{project.top.name} installed"
    installed.mkdir()
    (installed / "product.py").write_text(product(QUICK_MS))
    project.write("pytest.ini", "[pytest]\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ["PYTHONPATH"], str(installed)]))
    assert project.run("--tf-threads-duet=v1.0") == pytest.ExitCode.TESTS_FAILED
    assert "product" in project.told
    assert "on both sides" in project.told


def test_subfolder_with_a_space_and_pytest_run_from_elsewhere(suite, monkeypatch):
    project = Project(suite, monkeypatch, folder="the project")
    project.write("src/product.py", product(SLOW_MS))
    rootdir = f"--rootdir={project.path}"
    code = project.run(
        "--tf-threads-duet=v1.0", rootdir, str(project.path / "tests"), cwd=project.top
    )
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "% slower" in project.told
    assert project.leftovers == (0, [])


def test_under_xdist(project):
    project.write("src/product.py", product(SLOW_MS))
    assert project.run("--tf-threads-duet=v1.0", "-n2") == pytest.ExitCode.TESTS_FAILED
    assert project.verdicts == {"test_work": "regression"}
    assert project.told.count("the current tree has uncommitted changes") == 1
    assert project.leftovers == (0, [])


def test_what_is_to_be_known_of_the_other_side_is_told_under_xdist_too(project):
    (project.path / ".gitignore").write_text("_version.py\n")
    code = "from work._version import version\n" + product(QUICK_MS)
    project.write("src/work/__init__.py", code)
    project.write("tests/test_it.py", TEST.replace("import product", "import work as product"))
    project.commit("a package")
    project.write("src/work/_version.py", "version = '1'")
    assert project.run("--tf-threads-duet=HEAD", "-n2") == 0
    assert project.told.count("src/work/_version.py: written by a build, and not in git") == 1


def test_a_data_file_that_git_ignores_is_named(project):
    (project.path / ".gitignore").write_text("data\n")
    reading = "open(__file__.replace('src/product.py', 'data/scale.txt')).read()\n"
    project.write("src/product.py", reading + product(QUICK_MS))
    project.commit("reads a file")
    project.write("data/scale.txt", "1")
    assert project.run("--tf-threads-duet=HEAD") == 0
    assert project.verdicts == {"test_work": "no-baseline"}
    assert "data/scale.txt is in the current tree, but not in git" in project.told


@pytest.mark.parametrize(
    ("by_link", "path"), [(False, "tests"), (True, "tests/test_it.py::test_work")]
)
def test_run_from_above_the_repository_or_by_a_link(project, by_link, path):
    project.write("src/product.py", product(SLOW_MS))
    link = project.temporary / "link"
    link.symlink_to(project.path)
    called = link if by_link else project.top
    told = f"{called.name}/{path}"
    assert project.run("--tf-threads-duet=v1.0", told, cwd=called.parent) == 1
    assert "% slower" in project.told


@pytest.mark.parametrize("files", [(), ("--", "tests")])
def test_both_sides_have_the_current_configuration(project, files):
    # The other revision's file would come first, and does not know the marker.
    project.write("pytest.ini", "[pytest]\npythonpath = src\naddopts = --strict-markers\n")
    project.commit("strict")
    (project.path / "pytest.ini").unlink()
    project.write(
        "pyproject.toml",
        "[tool.pytest.ini_options]\npythonpath = ['src']\nmarkers = ['ours']\n",
    )
    project.write(
        "tests/test_it.py", TEST.replace("def test_work", "@pytest.mark.ours\ndef test_work")
    )
    assert project.run("--tf-threads-duet=HEAD", THREE_PAIRS, *files) == 0
    assert project.verdicts["test_work"] == "pass"


def test_an_option_that_names_another_place_names_that_on_both_sides(project):
    data = f"/srv{project.top}/data"  # the path of the tree is a part of it
    project.write("conftest.py", "def pytest_addoption(parser): parser.addoption('--data')")
    project.write(
        "tests/test_it.py",
        TEST.replace("benchmark)", "benchmark, request)", 1)
        + f"    assert request.config.getoption('data') == {data!r}\n",
    )
    assert project.run("--tf-threads-duet=v1.0", f"--data={data}") == 0
    assert project.verdicts["test_work"] != "no-baseline"


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("os.kill(os.getpid(), 11)", "killed by SIGSEGV (segmentation fault) after"),
        ("raise KeyboardInterrupt", "the end of the session (KeyboardInterrupt)"),
        ("pytest.exit('enough')", "the end of the session (Exit('enough'))"),
        ("pytest.skip('not today')", "Skipped: not today"),
    ],
)
def test_reason_why_a_test_cannot_run_there_is_a_line(project, work, reason):
    project.write("src/product.py", f"import os, pytest\n\ndef work():\n    {work}\n")
    project.commit("broken")
    project.write("src/product.py", product(QUICK_MS))
    assert project.run("--tf-threads-duet=HEAD") == 0
    (one,) = project.benchmarks.values()
    told = one["extra_info"]["tf_threads"]["verdicts"][0]
    assert told["status"] == "no-baseline"
    assert reason in told["reason"]
    assert "\n" not in told["reason"]
    assert "Traceback" not in told["reason"]
    assert "judged against" not in project.told


@pytest.mark.parametrize(
    ("conftest", "args", "reason"),
    [
        ("import fresh", (), "No module named 'fresh'"),
        ("pytest_plugins = ['product']", ("--mine=1",), "unrecognized arguments: --mine=1"),
    ],
)
def test_reason_why_pytest_does_not_start_there(project, conftest, args, reason):
    project.write("conftest.py", conftest)
    project.write("src/fresh.py", "")
    option = "\n\ndef pytest_addoption(parser):\n    parser.addoption('--mine')\n"
    project.write("src/product.py", product(QUICK_MS) + option)
    assert project.run("--tf-threads-duet=v1.0", *args) == 0
    assert project.verdicts == {"test_work": "no-baseline"}
    assert reason in project.told
    assert "not one test could be compared with the other side" in project.told


def test_parameters_that_the_other_revision_lacks(project):
    project.write("src/product.py", product(QUICK_MS) + "SIZES = [1]\n")
    project.commit("one size")
    project.write("src/product.py", product(QUICK_MS) + "SIZES = [1, 2]\n")
    project.write(
        "tests/test_it.py",
        TEST.replace("benchmark)", "benchmark, size)", 1).replace(
            "def test_work", "@pytest.mark.parametrize('size', product.SIZES)\ndef test_work"
        ),
    )
    assert project.run("--tf-threads-duet=HEAD", "-k", "2-intra1") == 0
    assert project.verdicts == {"test_work": "no-baseline"}
    assert "must collect the same tests" in project.told
    assert "in a duet on both sides" in project.told


def test_warm_up_of_its_own_leaves_no_place_for_a_duet(project):
    warm = "@pytest.mark.benchmark(warmup=True, warmup_iterations=5)\ndef test_work"
    project.write("tests/test_it.py", TEST.replace("def test_work", warm))
    assert project.run("--tf-threads-duet=v1.0") == 0
    assert project.verdicts == {"test_work": "no-baseline"}
    assert "a warm-up of the test's own (warmup_iterations) leaves no place" in project.told


@pytest.mark.parametrize("option", ["--pdb", "--trace"])
def test_debugger_is_not_started_on_both_sides(project, option):
    ran = project.path / "ran"
    project.write("tests/test_it.py", TEST + f"    open({str(ran)!r}, 'a').write('x')\n")
    run = subprocess.run(
        project.arguments("--tf-threads-duet=v1.0", "--tf-threads-processes=1", option),
        cwd=project.path,
        input="continue\n" * 5,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0
    assert "with --pdb or --trace a test is not run side by side" in " ".join(run.stdout.split())
    assert ran.read_text() == "x"
    assert "tfthreads-revision" not in run.stdout


def test_namespace_package_that_is_installed_is_the_same_on_both_sides(project, monkeypatch):
    installed = project.temporary.parent / f"{project.top.name} installed"
    (installed / "acme").mkdir(parents=True)
    (installed / "acme" / "product.py").write_text(product(QUICK_MS))
    project.write("pytest.ini", "[pytest]\n")
    project.write("src/acme/product.py", product(QUICK_MS))
    project.write("tests/test_it.py", TEST.replace("import product", "from acme import product"))
    project.commit("a namespace")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ["PYTHONPATH"], str(installed)]))
    assert project.run("--tf-threads-duet=HEAD") == pytest.ExitCode.TESTS_FAILED
    assert "acme.product is imported from" in project.told
    assert "on both sides" in project.told


ONE_PAIR = "--tf-threads-max-processes=1"


def test_main_where_only_the_remote_has_it(project):
    git(project.top, "remote", "add", "origin", "https://example.invalid/x.git")
    git(project.top, "update-ref", "refs/remotes/origin/main", "main")
    git(project.top, "checkout", "-q", "--detach")
    git(project.top, "branch", "-q", "-D", "main")
    project.write("src/product.py", product(SLOW_MS))
    assert project.run("--tf-threads-duet=main", ONE_PAIR) == pytest.ExitCode.TESTS_FAILED
    assert project.verdicts == {"test_work": "regression"}
    assert "(origin/main), side by side" in project.told
    assert "no branch or tag main in this clone: origin/main is taken for it" in project.told
    assert project.run("--tf-threads-duet=v9") == pytest.ExitCode.USAGE_ERROR
    assert "git fetch origin tag v9" in project.told


def test_tree_of_links_leads_to_the_old_code(project):
    # As setuptools makes one with editable_mode=strict; the old code has another module.
    (project.path / ".gitignore").write_text("build")
    project.write("pytest.ini", "[pytest]\npythonpath = build/__editable__.work-1\n")
    project.write("src/work/other.py", product(QUICK_MS))
    project.write("src/work/__init__.py", "from work.other import work")
    project.write("tests/test_it.py", TEST.replace("import product", "import work as product"))
    project.commit("a package")
    project.write("src/work/__init__.py", product(SLOW_MS))
    (project.path / "src/work/other.py").unlink()
    links = project.path / "build/__editable__.work-1/work"
    links.mkdir(parents=True)
    (links / "__init__.py").symlink_to(project.path / "src/work/__init__.py")
    assert project.run("--tf-threads-duet=HEAD", ONE_PAIR) == pytest.ExitCode.TESTS_FAILED
    assert project.verdicts == {"test_work": "regression"}


def test_path_that_leads_nowhere_on_the_other_side_is_an_error(project):
    (project.path / ".gitignore").write_text("build")
    project.write("pytest.ini", "[pytest]\npythonpath = build/lib\n")
    project.write("src/work/__init__.py", product(QUICK_MS))
    project.write("tests/test_it.py", TEST.replace("import product", "import work as product"))
    project.commit("a package")
    shutil.copytree(project.path / "src/work", project.path / "build/lib/work")
    assert project.run("--tf-threads-duet=HEAD", ONE_PAIR) == pytest.ExitCode.TESTS_FAILED
    assert "--tf-threads-duet: The other revision has work (src/work/__init__.py)" in project.told
    assert "build/lib/work/__init__.py" in project.told
    assert "not one test could be compared with the other side" in project.told


def test_parts_that_are_compiled_in_place(project):
    compiled = Path(importlib.util.find_spec("_bisect").origin)
    if not compiled.exists():
        pytest.skip("this Python has no _bisect in a file of its own")
    (project.path / ".gitignore").write_text("*.so\n_version.py\n")
    code = "from work import _bisect\nfrom work._version import version\n" + product(QUICK_MS)
    project.write("src/work/__init__.py", code)
    project.write("tests/test_it.py", TEST.replace("import product", "import work as product"))
    project.commit("a compiled package")
    shutil.copy(compiled, project.path / "src/work" / compiled.name)
    project.write("src/work/_version.py", "version = '1'")
    assert project.run("--tf-threads-duet=HEAD", ONE_PAIR) == pytest.ExitCode.TESTS_FAILED
    assert "needs work._bisect, which is compiled here" in project.told
    assert "python=PATH" in project.told
    assert "src/work/_version.py: written by a build, and not in git" in project.told
    # What stands in for a compiled part must not be compared with that part.
    code = code.replace("from work import _bisect", "try:\n    from work import _bisect\n"
        "except ImportError:\n    _bisect = None")  # fmt: skip
    project.write("src/work/__init__.py", code)
    project.commit("with something that stands in for it")
    assert project.run("--tf-threads-duet=HEAD", ONE_PAIR) == pytest.ExitCode.TESTS_FAILED
    assert "work._bisect is compiled on the current side" in project.told


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--tf-threads-duet=v9",), "--tf-threads-duet: "),
        (("--tf-threads-duet=" + "v" * 5000,), "has no commit 'vvv"),
        (("--tf-threads-duet=v9", "-n1"), "--tf-threads-duet: "),
        (("--tf-threads-duet=--exec=x",), "--tf-threads-duet: "),
        (("--tf-threads-duet",), "the baseline's commit is not known"),
        (("--tf-threads-duet", "tests"), "write --tf-threads-duet=baseline before it"),
        (("--tf-threads-duet=python=/nowhere/python",), "there is no interpreter /nowhere/python"),
        (("--tf-threads-duet=python=",), "python= has to name an interpreter"),
        (("--tf-threads-duet=python=/bin/false",), "/bin/false is no Python that works"),
        ((f"--tf-threads-duet=python={sys.executable}",), "is the environment that runs these"),
        (("--tf-threads-duet=v1.0", "--tf-threads-search"), "leave one of the two out"),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_runs(project, args, message):
    project.write("tests/test_it.py", TEST + "    open('ran', 'w')\n")
    assert project.run(*args) == pytest.ExitCode.USAGE_ERROR
    assert message in project.told
    assert "Traceback" not in project.told
    assert "judged nothing" not in project.told  # it was refused: the error is all there is to say
    assert not (project.path / "ran").exists()
    assert project.leftovers == (0, [])


def test_commit_of_a_baseline_file_is_not_trusted(project):
    assert project.run("--benchmark-save=first") == 0
    (file,) = project.path.glob(".benchmarks/*/0001_first.json")
    data = json.loads(file.read_text())
    victim = project.temporary / "victim"
    data["commit_info"]["id"] = f"--output={victim}"
    file.write_text(json.dumps(data))
    assert project.run("--tf-threads-duet") == pytest.ExitCode.USAGE_ERROR
    assert "which is no commit id" in project.told
    assert not victim.exists()
    del data["commit_info"]
    file.write_text(json.dumps(data))
    assert project.run("--tf-threads-duet") == pytest.ExitCode.USAGE_ERROR
    assert "names no commit" in project.told


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_of_a_run_that_was_ended(project, no_leftovers, eventually, sent):
    measured = project.path / "measured"  # by whichever side comes first
    and_wait = f"    open({str(measured)!r}, 'w')\n    time.sleep(600)\n"
    project.write("tests/test_it.py", f"import time\n{TEST}{and_wait}")
    arguments = project.arguments("--tf-threads-duet=v1.0")
    run = subprocess.Popen(
        arguments, cwd=project.path, stdout=subprocess.DEVNULL, start_new_session=True
    )
    eventually(measured.exists)
    assert project.leftovers[0] == 1
    run.send_signal(sent)
    run.wait(300)
    if sent == signal.SIGKILL:  # the next run cleans up
        project.write("tests/test_it.py", TEST)
        assert project.run("--tf-threads-duet=v1.0", THREE_PAIRS) == 0
    assert project.leftovers == (0, [])


def test_another_environment(project, tmp_path):
    environment = tmp_path / "other"
    venv.create(environment, symlinks=True)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    ours = [
        one for one in sys.path if one and Path(one).is_dir() and "python3" not in Path(one).name
    ]
    (site_packages / "ours.pth").write_text("\n".join(ours))
    project.write(
        "tests/test_it.py",
        TEST.replace(
            "    benchmark(",
            "    import sys\n    open('prefixes', 'a').write(sys.prefix + '\\n')\n    benchmark(",
        ),
    )
    assert project.run(f"--tf-threads-duet=python={environment}", THREE_PAIRS) == 0
    assert project.verdicts["test_work"] == "pass"
    assert "other/bin/python (Python 3" in project.told
    prefixes = (project.path / "prefixes").read_text().split()
    assert set(prefixes) == {sys.prefix, str(environment)}
    assert prefixes.count(sys.prefix) == prefixes.count(str(environment))


def test_another_environment_has_packages_of_its_own(tmp_path, monkeypatch):
    # Those of this one may lie outside of its prefix, as a user's own do; the project may lie
    # inside of it, where the prefix is /usr.
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("sys.base_prefix", str(tmp_path))
    project, packages = str(tmp_path / "src"), "/home/somebody/.local/lib/python3/site-packages"
    environment = Environment("/other/python", ("/other/site-packages",), "3.12.0")
    here = Home(sys.executable, "/", (project, json.__file__, packages))
    assert InEnvironment(environment, here).home.sys_path == (project, "/other/site-packages")


def test_another_environment_whose_package_is_shadowed_by_the_tree_says_so(tmp_path):
    for name in ("src/mypkg", "src/mine", "other/site-packages/mypkg"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
    environment = Environment("/other/python", (f"{tmp_path}/other/site-packages",), "3.12.0")
    here = Home(sys.executable, "/", (str(tmp_path / "src"),))
    (note,) = InEnvironment(environment, here).notes
    assert note.startswith("mypkg is installed in /other/python too, but both sides run that of")
    here = Home(sys.executable, "/", (f"{tmp_path}/venv/lib/site-packages",))
    assert InEnvironment(environment, here).notes == ()


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_what_saved_runs_leave_open_is_measured_side_by_side(project, args):
    second = (
        "@pytest.mark.tf_threads(1, 1, tolerance={'throughput': '80%', 'cpu_efficiency': '99%'})"
    )
    project.write(
        "tests/test_it.py",
        TEST + f"\n{second}\ndef test_tolerant(benchmark):\n    benchmark(product.work)\n",
    )
    project.write("src/product.py", product(20))
    project.commit("two tests")
    assert project.run("--benchmark-save=first") == 0
    project.write("src/product.py", product(30))
    # One saved run cannot tell a third; its commit can.
    code = project.run("--benchmark-compare", THREE_PAIRS, *args)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert project.verdicts == {"test_work": "regression", "test_tolerant": "pass"}
    recorded = {name.partition("[")[0]: one["extra_info"]["tf_threads"]
                for name, one in project.benchmarks.items()}  # fmt: skip
    assert recorded["test_work"]["verdicts"][0]["judged_by"] == "side by side"
    assert recorded["test_tolerant"]["verdicts"][0]["judged_by"] == "saved runs"
    assert "duet" not in recorded["test_tolerant"]
    assert project.told.count("the current tree has uncommitted changes") == 1
    assert project.leftovers == (0, [])


def test_each_side_preloads_its_own_code(project):
    project.write("src/product.py", f"{product(QUICK_MS)}\n# changed\n")
    project.run("--tf-threads-duet=v1.0", THREE_PAIRS, "-v")
    # That each side had its own code is looked at in every duet; else there is no pair.
    (measured,) = project.benchmarks.values()
    assert len(measured["extra_info"]["tf_threads"]["duet"]["pairs"]) == 3
    here, there = preloaded(project)
    assert (here["where"], here["modules"]) == ("", ["product"])
    assert "v1.0" in there["where"]
    assert there["modules"] == ["product"]
