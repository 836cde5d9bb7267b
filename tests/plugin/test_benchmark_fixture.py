"""However a test comes by pytest-benchmark's fixture: what did measure is measured."""

import json
import shutil
import subprocess
from importlib.metadata import version

import pytest

SOURCE = """
pytestmark = pytest.mark.benchmark(max_time=0.05)

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_asks(request):
    request.getfixturevalue("benchmark")(int)

@pytest.fixture
def timed(request):
    return lambda function: request.getfixturevalue("benchmark").pedantic(function, rounds=7)

@pytest.mark.tf_threads(1, 1)
def test_wrapped(timed):
    timed(int)

@pytest.mark.tf_threads(1, 1)
def test_fails(request):
    request.getfixturevalue("benchmark")(int)
    assert False

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_measures_nothing(request):
    with open("nothing", "a") as file:
        file.write(".")

class TestAround:
    @pytest.fixture
    def benchmark(self, benchmark):
        benchmark.extra_info["around"] = True
        return benchmark

    @pytest.mark.tf_threads(1, 1)
    def test_around(self, benchmark):
        benchmark.pedantic(int, rounds=5)

class TestOwn:
    @pytest.fixture
    def benchmark(self):
        return lambda function: function()

    @pytest.mark.tf_threads(1, 1)
    def test_other_fixture(self, benchmark):
        benchmark(int)
"""


def test_what_measures_is_measured_in_all_its_processes_and_turns(suite):
    suite.write(SOURCE)
    result, benchmarks = suite.results(processes=2)
    # Newer releases of pytest-benchmark take no other fixture of that name, and say so.
    is_refused = "must be a BenchmarkFixture instance" in result.stdout.str()
    assert is_refused or version("pytest-benchmark").startswith("4.")
    result.assert_outcomes(passed=7 - is_refused, failed=1 + is_refused)
    samples = {
        name: one["extra_info"]["tf_threads"]["processes"] for name, one in benchmarks.items()
    }
    assert {name: len(of_test) for name, of_test in samples.items()} == {
        "test_asks[intra1-inter1]": 2,
        "test_asks[intra2-inter1]": 2,
        "test_wrapped[intra1-inter1]": 2,
        "test_around[intra1-inter1]": 2,
    }
    assert [len(one["wall_s"]) for one in samples["test_wrapped[intra1-inter1]"]] == [7, 7]
    assert [len(one["wall_s"]) for one in samples["test_around[intra1-inter1]"]] == [5, 5]
    told = json.loads((suite.path / "out.json").read_text())["tf_threads"]
    assert told["failed"] == [
        "test_it.py::test_fails[intra1-inter1]",
        *["test_it.py::TestOwn::test_other_fixture[intra1-inter1]"][:is_refused],
    ]
    # In turns with each other, and so compared.
    (sweep,) = told["sweeps"]
    assert sweep["test"].endswith("test_asks")
    rings = [
        [process["ring"] for process in samples[f"test_asks[intra{intra}-inter1]"]]
        for intra in (1, 2)
    ]
    assert None not in rings[0]
    assert sorted(rings[0]) == sorted(rings[1])
    assert (suite.path / "nothing").read_text() == ".."  # it is run once, in each configuration


def test_benchmarks_that_are_switched_off_are_tried_out_once(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2], inter=1)
        def test_asks(request):
            request.getfixturevalue("benchmark")(lambda: open("calls", "a").write("."))
        """
    )
    result, benchmarks = suite.results("--benchmark-disable", processes=2)
    result.assert_outcomes(passed=2)
    assert not benchmarks
    assert (suite.path / "calls").read_text() == ".."


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_duet_judges_by_the_revision_and_never_by_stored_runs(suite):
    suite.write(
        """
        import product

        @pytest.mark.tf_threads(1, 1)
        def test_asks(request):
            request.getfixturevalue("benchmark").pedantic(product.work, rounds=3)
        """,
        product="def work(): return sum(range(100))\n",
    )
    (suite.path / ".gitignore").write_text(".benchmarks\n*.json\n")
    git = ["git", "-c", "user.name=N", "-c", "user.email=n@example.org"]
    for args in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *args], cwd=suite.path, check=True, capture_output=True)
    suite.run("--benchmark-autosave", subprocess=True)
    result, benchmarks = suite.results(
        "--tf-threads-duet=HEAD", "--tf-threads-max-processes=3", subprocess=True
    )
    (one,) = benchmarks.values()
    told = one["extra_info"]["tf_threads"]
    assert len(told["duet"]["pairs"]) == 3
    result.stdout.fnmatch_lines(["*(HEAD), side by side in 3 pairs of processes*"])
    result.stdout.no_fnmatch_line("*judged against *.json*")
