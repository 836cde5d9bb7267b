"""Modules of the project are imported once, ahead of the forks, where that changes nothing else."""

import json
import os

import pytest

THREE = "intra=[1, 2, 3], inter=1"
RECORDING = """
import os, pathlib

with pathlib.Path("imported").open("a") as file:
    print(__name__, os.getpid(), file=file)
"""


def imports_of(suite, name):
    """In how many processes a module was imported, the pytest process left out."""
    lines = (suite.path / "imported").read_text().splitlines()
    processes = [line.split()[1] for line in lines if line.split()[0] == name]
    return len([one for one in processes if int(one) != os.getpid()])


def preloaded(suite):
    (one,) = json.loads((suite.path / "out.json").read_text())["tf_threads"]["preloaded"]
    return one


def test_what_marked_tests_use_is_imported_once(suite):
    suite.write(
        f"""
        import fractions
        import product
        from package.part import function

        from conftest import note

        note(__name__)

        @pytest.mark.tf_threads({THREE})
        def test_it(benchmark):
            benchmark.pedantic(int)
        """,
        conftest=RECORDING
        + """
import helper

def note(name):
    with pathlib.Path("imported").open("a") as file:
        print(name, os.getpid(), file=file)
""",
        product=RECORDING,
        helper=RECORDING,
        unused=RECORDING,
    )
    package = suite.path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "part.py").write_text(RECORDING + "\n\ndef function(): ...\n")
    result, _ = suite.results("-v")
    result.assert_outcomes(passed=3)
    for name in ("product", "helper", "package.part"):
        assert imports_of(suite, name) == 2, name  # in the trial, and for good
    for name in ("test_it", "conftest"):
        assert imports_of(suite, name) == 3, name
    assert set(preloaded(suite)["modules"]) == {"helper", "product", "package.part"}
    result.stdout.fnmatch_lines(["preloaded: *package.part*"])
    assert "unused" not in (suite.path / "imported").read_text()


# What a module does when an interpreter imports it, and why it is left out then.
REFUSED = {
    "counting": ("os.cpu_count()", "counting asks for os.cpu_count()"),
    "multiprocess": ("__import__('multiprocessing').cpu_count()", "asks for os.cpu_count()"),
    "affinity": ("os.sched_getaffinity(0)", "asks for os.sched_getaffinity()"),
    "system": ("os.sysconf('SC_NPROCESSORS_ONLN')", "asks for os.sysconf('SC_NPROCESSORS_ONLN')"),
    "cpuinfo": ("open('/proc/cpuinfo').close()", "asks for /proc/cpuinfo"),
    "variable": ("os.environ.get('OMP_NUM_THREADS')", "asks for the variable OMP_NUM_THREADS"),
    "own": ("os.getenv('PYTEST_TFTHREADS_PROCESS')", "variable PYTEST_TFTHREADS_PROCESS"),
    "thread": ("_thread.start_new_thread(time.sleep, (60,))", "importing it starts a thread"),
    "pools": (
        "tensorflow.config.threading.set_inter_op_parallelism_threads(1)",
        "importing it sets TensorFlow's threads",
    ),
    "process": ("subprocess.Popen(['sleep', '60'])", "importing it starts a process"),
    "file": ("kept = open(__file__)", "importing it opens a file"),
    "environment": ("os.environ['SEEN'] = '1'", "variables of the environment (SEEN)"),
    "temporary": (
        "import tempfile; kept = tempfile.TemporaryDirectory(dir='.')",
        "removed when a process ends",
    ),
    "directory": ("os.chdir('/')", "importing it changes the working directory"),
    "handler": ("signal.signal(signal.SIGUSR1, signal.SIG_IGN)", "handles a signal (SIGUSR1)"),
    "seed": ("random.seed(1)", "importing it uses the global random numbers"),
    "ending": ("os._exit(3)", "ends the process"),
    "raising": ("raise OSError('not here')", "importing it raises OSError"),
    "rewritten": ("import other_test", "pytest rewrites, or a test (other_test)"),
}
NAMES = list(REFUSED)


@pytest.mark.parametrize("names", [NAMES[::2], NAMES[1::2]], ids=["even", "odd"])
def test_what_is_not_safe_is_left_out(suite, no_leftovers, names):
    suite.write(
        f"""
        import other_test, sound, {", ".join(names)}

        @pytest.mark.tf_threads({THREE})
        def test_it():
            pass
        """,
        sound=RECORDING,
        other_test="",
        **{
            name: "import _thread, os, random, signal, subprocess, sys, time, tensorflow\n"
            f"if sys.argv[0] == '-c':\n    {REFUSED[name][0]}\n"
            for name in names
        },
    )
    # In a worker of pytest-xdist, which may be running this, sys.argv[0] is "-c" too.
    result = suite.run("-v", subprocess=True)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["preloaded: sound"])
    for name in names:
        assert f"not preloaded: {name}: " in result.stdout.str()
        assert REFUSED[name][1] in result.stdout.str()


def test_what_imports_a_refused_module_is_left_out(suite):
    suite.write(
        f"""
        import sound
        from package import part

        @pytest.mark.tf_threads({THREE})
        def test_it():
            pass
        """,
        sound="import package.base",
    )
    package = suite.path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "base.py").write_text("import os\n\nCPUS = os.cpu_count()\n")
    (package / "part.py").write_text("from package import base\n")
    result = suite.run("-v", "--tf-threads-preload=auto,package.base,fractions")
    result.assert_outcomes(passed=3)
    why = "package.base asks for os.cpu_count() while it is imported"
    for name in ("sound", "package.base", "package.part"):
        result.stdout.fnmatch_lines([f"not preloaded: {name}: {why}"])


@pytest.mark.parametrize(
    ("second_import", "why"),
    [
        ("_thread.start_new_thread(time.sleep, (60,))", "2 threads run after"),
        ("raise OSError", "importing moody failed, though it had passed: OSError()"),
        ("os._exit(3)", "the interpreter died of the project's modules"),
    ],
)
def test_a_module_that_misbehaves_later_is_given_up(suite, no_leftovers, second_import, why):
    suite.write(
        f"""
        import moody

        @pytest.mark.tf_threads({THREE})
        def test_it(benchmark):
            benchmark.pedantic(int)
        """,
        moody=RECORDING
        + f"""
import _thread, sys, time

if sys.argv[0] == "-c" and pathlib.Path("imported").read_text().count("moody") == 3:
    {second_import}
""",
    )
    result, benchmarks = suite.results(subprocess=True)
    result.assert_outcomes(passed=3)
    assert {one["extra_info"]["tf_threads"]["start"] for one in benchmarks.values()} == {"fork"}
    result.stdout.fnmatch_lines([f"preloading was given up: {why}*--tf-threads-preload=off*"])
    assert why in preloaded(suite)["problem"]


def test_off_and_names(suite):
    suite.write(
        f"""
        import product, other

        @pytest.mark.tf_threads({THREE})
        def test_it():
            pass
        """,
        product=RECORDING,
        other=RECORDING,
    )
    suite.run("--tf-threads-preload=off").assert_outcomes(passed=3)
    assert imports_of(suite, "product") == 3
    (suite.path / "imported").unlink()
    suite.pytester.makeini("[pytest]\ntf_threads_preload = product, no_such.thing")
    # Few processes, too, where modules are named.
    result = suite.run("-k", "intra1")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(["not preloaded: no_such.thing: * raises ModuleNotFoundError"])
    assert "preloaded: product" not in result.stdout.str()  # but with -v
    assert (imports_of(suite, "product"), imports_of(suite, "other")) == (3, 1)  # two trials
    (suite.path / "imported").unlink()
    suite.run("-k", "intra1", "--tf-threads-preload=auto").assert_outcomes(passed=1, deselected=2)
    assert imports_of(suite, "product") == 1  # not worth a trial


def test_workers_preload_once(suite):
    suite.write(
        f"""
        import product

        @pytest.mark.parametrize("number", range(4))
        @pytest.mark.tf_threads({THREE})
        def test_it(number):
            pass
        """,
        product=RECORDING,
    )
    result = suite.run("-n2", "-v", subprocess=True)
    result.assert_outcomes(passed=12)
    lines = (suite.path / "imported").read_text().splitlines()
    assert len(lines) == 4  # in two workers, in the trial, and for good
    result.stdout.fnmatch_lines(["preloaded: product"])


def test_what_would_be_lost_to_coverage_is_not_preloaded(suite):
    suite.write(
        f"""
        import product

        @pytest.mark.tf_threads({THREE})
        def test_it():
            product.work()
        """,
        product=RECORDING + "\n\ndef work():\n    return 1\n",
    )
    result = suite.run("--cov=product", "--cov-report=term-missing", subprocess=True)
    result.assert_outcomes(passed=3)
    assert imports_of(suite, "product") == 4


def test_functions_of_preloaded_modules_are_watched_for_retracing(suite):
    suite.write(
        f"""
        import product

        @pytest.mark.tf_threads({THREE})
        def test_it(benchmark):
            benchmark(product.step)
        """,
        product=RECORDING
        + """
import tensorflow

function = tensorflow.types.experimental.PolymorphicFunction()


def step():
    function.tracings += 1
""",
    )
    result, benchmarks = suite.results("--benchmark-max-time=0.05")
    result.assert_outcomes(passed=3)
    assert preloaded(suite)["modules"] == ["product"]
    for one in benchmarks.values():
        assert "retraced" in one["extra_info"]["tf_threads"]["flags"]


def test_no_test_file_is_preloaded_without_rewriting_either(suite):
    suite.write(
        f"""
        import other_test
        from conftest import note
        from other_test import helper

        @pytest.mark.tf_threads({THREE})
        def test_it():
            note("ran")
        """,
        conftest=RECORDING
        + """
def note(name):
    with pathlib.Path("imported").open("a") as file:
        print(name, os.getpid(), file=file)
""",
        other_test=RECORDING + "\n\ndef helper(): ...\n\n\ndef test_unmarked(): ...\n",
    )
    suite.run("--assert=plain").assert_outcomes(passed=4)
    for name in ("conftest", "other_test"):
        assert imports_of(suite, name) == 3, name
