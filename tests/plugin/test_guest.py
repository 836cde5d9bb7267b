"""Where nothing is marked, nobody notices that the plugin is there."""

import json
import re
import sys

import pytest

UNMARKED = """
import unittest

def test_plain(): pass

def test_fails(): assert [1] == [2]

def test_skipped(): pytest.skip("why")

@pytest.mark.xfail
def test_expected(): assert 0

@pytest.mark.parametrize("n", [1, 2])
def test_param(n): print(n)

@pytest.fixture
def broken(): raise ValueError

def test_error(broken): pass

class TestCase(unittest.TestCase):
    def test_method(self): pass

def test_measured(benchmark):
    benchmark.pedantic(sum, ([1, 2],), rounds=2)
"""
OURS = {
    "pytest_tfthreads",
    *(
        f"pytest_tfthreads.{name}"
        for name in (
            "hookspecs",
            "names",
            "platforms",
            "plugin",
            "pytest_bridge",
            "pytest_bridge.ini_values",
            "pytest_bridge.options",
            "pytest_bridge.settled_options",
            "watch",
        )
    ),
}
IN_WORKERS = OURS | {
    f"pytest_tfthreads.{name}"
    for name in ("xdist_bridge", "xdist_bridge.briefing", "xdist_bridge.roles")
}
IN_THE_CONTROLLER = IN_WORKERS | {
    f"pytest_tfthreads.{name}"
    for name in ("xdist_bridge.distribution", "xdist_bridge.interpreters")
}
NOTE_MODULES = """
import json, pathlib, sys
import pytest

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    name = getattr(config, "workerinput", {}).get("workerid", "main")
    pathlib.Path(config.rootpath, f"{name}.json").write_text(json.dumps(sorted(sys.modules)))
"""


def imported(suite, *args):
    """Modules of a run of its own, by process."""
    result = suite.run("--import-mode=importlib", *args, subprocess=True)
    found = {}
    for file in suite.path.glob("*.json"):
        found[file.stem] = set(json.loads(file.read_text()))
        file.unlink()
    return result, found


@pytest.fixture
def plain(suite):
    """A suite that runs pytest as it is: `suite.run` would give options of ours."""

    def run(*args, processes=1, subprocess=False):
        return suite.pytest("-p", "no:cacheprovider", *args, subprocess=subprocess)

    suite.run = run
    return suite


def without(modules):
    # Names that change from run to run, or that are of the suite itself.
    return {name for name in modules if not name.startswith(("test_it", "conftest", "__mp"))}


@pytest.mark.parametrize("args", [(), ("--help",), ("--collect-only",), ("--benchmark-skip",)])
def test_nothing_else_is_imported(plain, args):
    plain.write(UNMARKED, conftest=NOTE_MODULES)
    _, with_it = imported(plain, *args, "-p", "no:xdist")
    _, found = imported(plain, *args, "-p", "no:xdist", "-p", "no:tfthreads")
    assert without(with_it["main"]) - without(found["main"]) == OURS


def test_nor_in_pytest_xdists_processes(plain):
    pytest.importorskip("xdist")
    plain.write(UNMARKED, conftest=NOTE_MODULES)
    _, with_it = imported(plain, "-n1")
    _, found = imported(plain, "-n1", "-p", "no:tfthreads")
    assert without(with_it["gw0"]) - without(found["gw0"]) == IN_WORKERS
    assert without(with_it["main"]) - without(found["main"]) == IN_THE_CONTROLLER


def test_no_hook_of_ours_is_called_for_a_test_that_runs(plain):
    plain.write(
        "def test_plain(): pass",
        conftest="""
        def pytest_runtest_logfinish(): pass

        def pytest_unconfigure(config):
            for name, caller in vars(config.hook).items():
                if not name.startswith(("pytest_runtest", "pytest_fixture", "pytest_pyfunc")):
                    continue
                for impl in caller.get_hookimpls():
                    assert not type(impl.plugin).__module__.startswith("pytest_tfthreads"), name
                    module = getattr(impl.plugin, "__name__", "")
                    assert not module.startswith("pytest_tfthreads"), name
        """,
    )
    assert plain.run().ret == 0


def scrubbed(result):
    took = r"\d+\.\d+s|\d\d:\d\d:\d\d|\(time in [mun]?s\)"
    text = re.sub(rf"{took}|0x[0-9a-f]+", "", result.outlines_and_errors)
    return re.sub(r"(?m)^plugins: .*$", "", text)


@pytest.mark.parametrize(
    "args",
    [
        ("-v", "-rA", "--benchmark-disable"),
        ("--collect-only", "-q"),
        ("-p", "no:benchmark", "-x"),
        ("--benchmark-only", "--benchmark-columns=rounds", "--benchmark-json=out.json"),
        ("--setup-plan", "-p", "no:terminal"),
        ("-p", "no:python"),
    ],
    ids=lambda args: " ".join(args),
)
def test_all_that_is_seen_stays(plain, args):
    plain.write(UNMARKED)
    seen = []
    for more in ((), ("-p", "no:tfthreads")):
        result = plain.run(*args, *more)
        result.outlines_and_errors = "\n".join([*result.outlines, *result.errlines])
        written = None
        if (file := plain.path / "out.json").exists():
            written = sorted(json.loads(file.read_text()))
            file.unlink()
        seen.append((scrubbed(result), result.ret, written))
    assert seen[0] == seen[1]


def test_the_scheduler_is_pytest_xdists_own_until_a_test_is_marked(plain):
    pytest.importorskip("xdist")
    conftest = """
    import pytest

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_xdist_make_scheduler(config):
        outcome = yield
        config.made = outcome.get_result()

    def pytest_sessionfinish(session):
        config = session.config
        if not hasattr(config, "workerinput"):
            now = config.pluginmanager.get_plugin("dsession").sched
            print("kinds:", type(config.made).__name__, type(now).__name__, now is config.made)
            assert now.config is config
            assert now.log
            assert now.numnodes == 1
            assert now.pending == []
            assert not hasattr(now, "no_such_thing")
    """
    plain.write("def test_plain(): pass", conftest=conftest)
    plain.run("-n1", "-s").stdout.fnmatch_lines(["*kinds: LoadScheduling LoadScheduling True"])
    plain.write("@pytest.mark.tf_threads(1, 1)\ndef test_marked(): pass\ndef test_plain(): pass")
    result = plain.run("-n1", "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*kinds: LoadScheduling GroupScheduling False"])


CRASHES = """
import os, pathlib, time

def test_crash():
    seen = pathlib.Path("seen")
    if not seen.exists():
        seen.touch()
        time.sleep(0.5)  # in which pytest-rerunfailures is told of this attempt, by a socket
        os._exit(3)

def test_plain(): pass
"""


@pytest.mark.parametrize(
    "marked", ["", "@pytest.mark.tf_threads(1, 1)\ndef test_marked(): pass"], ids=["none", "one"]
)
def test_a_worker_that_crashes_is_run_again(plain, marked):
    pytest.importorskip("pytest_rerunfailures")
    pytest.importorskip("xdist")
    result = plain.write(CRASHES + marked).run("-n1", "--reruns=1")
    assert "INTERNALERROR" not in result.stdout.str()
    result.stdout.fnmatch_lines([f"*{3 if marked else 2} passed, 1 rerun*"])


def test_sessions_that_pytester_makes(plain):
    plain.write(
        """
        def test_items(pytester):
            assert pytester.getitem("def test_func(): pass").name == "test_func"
            assert len(pytester.getitems("def test_func(): pass")) == 1
            pytester.getmodulecol("def test_func(): pass")
            pytester.getpathnode(pytester.makepyfile("def test_func(): pass"))
            pytester.parseconfig()

        def test_marked_items(pytester):
            items = pytester.getitems(
                "import pytest\\n@pytest.mark.tf_threads([1, 2], 1)\\ndef test_func(): pass"
            )
            assert [one.name for one in items] == [
                "test_func[intra1-inter1]", "test_func[intra2-inter1]"
            ]
        """,
        conftest='pytest_plugins = "pytester"',
    )
    plain.run("-p", "pytester").assert_outcomes(passed=2)


def test_runs_in_a_loop_know_nothing_of_each_other(plain):
    plain.write(
        "@pytest.mark.tf_threads(1, 1)\ndef test_marked(): pass", test_other="def test_b(): pass"
    )
    script = (
        "import pytest\n"
        "for args in (['test_it.py'], ['test_other.py', '--benchmark-json=out.json'], []):\n"
        "    print('code', int(pytest.main(['-q', '-p', 'no:cacheprovider', *args])))\n"
    )
    result = plain.pytester.run(sys.executable, "-c", script)
    assert result.outlines.count("code 0") == 3, result.outlines
    assert [line for line in result.outlines if "passed" in line][2].startswith("2 passed")


def test_a_mark_that_comes_when_all_are_collected_counts(plain):
    plain.write(
        "def test_one(tf_threads): assert tf_threads.intra == 1",
        conftest="""
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.tf_threads(1, 1))
        """,
    )
    plain.run("--tf-threads-processes=1").assert_outcomes(passed=1)


@pytest.mark.parametrize("hook", ["itemcollected(item)", "collection_modifyitems(items)"])
def test_what_is_marked_late_has_one_configuration_and_options_know_it(plain, hook):
    plain.write(
        "def test_one(tf_threads): assert tf_threads.intra == 1",
        conftest=f"""
        import pytest

        def pytest_{hook}:
            for one in locals().get("items", [locals().get("item")]):
                one.add_marker(pytest.mark.tf_threads(2, 1))
        """,
    )
    plain.run("--tf-threads=1x1").assert_outcomes(passed=1, warnings=0)
    result = plain.run("--tf-threads=1x1,2x1")
    result.assert_outcomes(failed=1)
    told = " ".join(result.stdout.str().split())
    assert "this test was marked (item.add_marker) after pytest had made its parameters" in told


def test_options_that_ask_for_nothing_are_checked_and_leave_no_trace(plain):
    plain.write("def test_plain(benchmark): benchmark.pedantic(sum, ([],))")
    result = plain.run("--tf-threads-processes=2", "--tf-threads-duet", "--benchmark-json=out.json")
    result.assert_outcomes(passed=1)
    assert "tf_threads" not in result.stdout.str()
    assert "tf_threads" not in json.loads((plain.path / "out.json").read_text())
    assert plain.run("--tf-threads-processes=none").ret == pytest.ExitCode.USAGE_ERROR
    assert plain.run("--tf-threads-seed=none").ret == pytest.ExitCode.USAGE_ERROR


def test_our_plugins_have_no_properties(suite):
    """Before 8.1 pytest reads all attributes of a plugin where the plugin is registered.

    A property would be computed too early.
    """
    suite.write(
        """
        def test_it(request, benchmark):
            benchmark(int)
            assert properties(request.config) == ([], True)

        def properties(config):
            import functools

            kinds = property, functools.cached_property
            ours = [
                cls
                for one in config.pluginmanager.get_plugins()
                for cls in type(one).__mro__
                if cls.__module__.startswith("pytest_tfthreads")
            ]
            found = [
                f"{cls.__name__}.{name}"
                for cls in ours
                for name, value in vars(cls).items()
                if isinstance(value, kinds)
            ]
            return found, bool(ours)
        """.replace("def test_it", "@pytest.mark.tf_threads(1, 1)\n        def test_it"),
        conftest="""
        def pytest_sessionfinish(session):
            from test_it import properties

            found, are_there = properties(session.config)
            print("our properties:", found, are_there)
            if hasattr(session.config, "workerinput"):
                assert (found, are_there) == ([], True)
        """,
    )
    result = suite.run("-n1", "-s", subprocess=True)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*our properties: [[]] True"])
