"""What the user reads of a sweep, and finds in the files: comparison, advice, search."""

import json
import re

import pytest

from builders import ON_MORE_THREADS, flat, on_more_threads
from pytest_tfthreads.core.format import with_bounds
from pytest_tfthreads.core.saved_runs import read_run
from pytest_tfthreads.core.sweep.search import asked_for
from pytest_tfthreads.pytest_bridge.options import read_settings
from pytest_tfthreads.system.machine import Machine

SHORT = "--benchmark-max-time=0.2"

# Four threads are 2.5 times as fast as one, eight no more; exactly so, however busy the machine is.
SPEED = """
from exact_time import sleep

def work(threads):
    sleep(0.004 / {speed})
"""
SCALING = SPEED.format(speed="{1: 1, 2: 1.6, 4: 2.5, 8: 2.5}.get(threads, 2.5)")


def sweeps(suite):
    return json.loads((suite.path / "out.json").read_text())["tf_threads"]["sweeps"]


def test_recommendation_in_summary_and_json(suite):
    suite.write(
        SCALING
        + """
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.tf_threads(intra=[1, 2, 4], inter=1, cpus=1)
def test_scaling(tf_benchmark, tf_threads, batch):
    tf_benchmark(work, tf_threads.intra, items=batch, unit="images")

@pytest.mark.tf_threads(1, 1)
def test_single(benchmark):
    benchmark(work, 1)
"""
    )
    result, _ = suite.results(SHORT, "--tf-threads-seed=5", processes=3)
    result.assert_outcomes(passed=7)
    assert [one["test"] for one in sweeps(suite)] == [
        "test_it.py::test_scaling[1]",
        "test_it.py::test_scaling[8]",
    ]
    advice = sweeps(suite)[0]["recommendation"]
    assert advice["best"] == "intra4-inter1"
    speed_up = advice["configurations"][2]["throughput_to_single"]
    assert speed_up["value"] == pytest.approx(2.5, rel=0.02)
    assert 1 < speed_up["low"] < speed_up["value"] < speed_up["high"]
    assert speed_up["distinct"]
    result.stdout.fnmatch_lines(
        [
            "test_single*1×1*",  # swept tests have no row here
            "Test * Recommended * Throughput * Cores used * What limits it",
            "test_scaling[[]1[]] * 4×1 * × 1×1 * of 1 *",
            "test_scaling[[]8[]] * 4×1 * × 1×1 * of 1 *",
            "For test_scaling[[]1[]], test_scaling[[]8[]]:",
            "*@pytest.mark.tf_threads(intra=4, inter=1)",
            "*tf.config.threading.set_intra_op_parallelism_threads(4)",
            "*TF_NUM_INTRAOP_THREADS=4 TF_NUM_INTEROP_THREADS=1",
            "Tables of all configurations: -v. Same order of set-up again: --tf-threads-seed=5",
        ]
    )
    assert result.stdout.str().count("@pytest.mark.tf_threads(") == 1
    assert "is recommended" not in result.stdout.str()
    assert json.loads((suite.path / "out.json").read_text())["tf_threads"]["seed"] == 5
    # One interval for each figure, made from all seven, wherever it is read.
    (single,) = read_run(suite.path / "out.json").tests["test_it.py::test_single[intra1-inter1]"]
    assert single.measurement.spreads.throughput.dof > 2
    result.stdout.re_match_lines(
        [f"test_single.*{re.escape(with_bounds(single.measurement.throughput))}"]
    )


def test_twins_are_tied_unless_the_comparison_tells_them_apart(suite):
    """How often it does that for nothing, tests/core/sweep/test_comparison.py asks."""
    suite.write(
        SCALING
        + """
@pytest.mark.tf_threads(1, 1, timeout=30)
@pytest.mark.tf_threads(1, 1, timeout=31)
def test_twins(benchmark):
    benchmark(work, 1)
"""
    )

    result, _ = suite.results(SHORT, processes=2)
    advice = sweeps(suite)[0]["recommendation"]
    (other,) = (one for one in advice["configurations"] if one["id"] != advice["best"])
    ratio = other["throughput_to_best"]
    assert ratio["rings"] == 2
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    assert ratio["distinct"] == (ratio["high"] <= 1)
    assert (other["id"] in advice["tied"]) is not ratio["distinct"]
    words = [line.split()[-1] for line in result.outlines if line.startswith("  1×1 ")]
    assert words in (
        [["slower", "recommended"], ["recommended", "slower"]]
        if ratio["distinct"]
        else [["tied", "recommended"], ["recommended", "tied"]]
    )


def test_without_parallelism_a_sentence_says_whether_more_threads_help(suite):
    suite.write(
        SCALING
        + """
@pytest.mark.tf_threads(intra=[1, 2, 4], inter=1, cpus=1)
def test_serial(benchmark):
    benchmark(work, 1)
"""
    )
    result, _ = suite.results(processes=2)
    expected = on_more_threads(sweeps(suite)[0]["recommendation"])
    assert [one for one in ON_MORE_THREADS if one in flat(result)] == expected


def test_one_that_fails_is_left_out_of_the_comparison(suite):
    suite.write(
        SCALING
        + """
@pytest.mark.tf_threads(intra=[1, 2, 4], inter=1)
def test_scaling(benchmark, tf_threads):
    assert tf_threads.intra != 4
    benchmark(work, tf_threads.intra)
"""
    )
    result, _ = suite.results(SHORT)
    result.assert_outcomes(passed=2, failed=1)
    ids = [one["id"] for one in sweeps(suite)[0]["recommendation"]["configurations"]]
    assert ids == ["intra1-inter1", "intra2-inter1"]


SEARCHED = (
    SCALING
    + """
@pytest.mark.tf_threads(1, 1, cpus=1)
def test_scaling(benchmark, tf_threads):
    benchmark(work, tf_threads.intra)

def test_unmarked():
    pass
"""
)

GRID = "--tf-threads=intra=1,2,4,8;inter=1,2,3,4"


def test_search_measures_a_part_of_the_grid(suite):
    suite.write(SEARCHED)
    result, benchmarks = suite.results(GRID, "--tf-threads-search", SHORT, "-rs", processes=2)
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["skipped"] == 18
    assert 4 <= len(benchmarks) < 17
    assert "test_scaling[intraauto-interauto]" in benchmarks
    assert len(benchmarks) == outcomes["passed"] - 1
    assert "the search for a good configuration did without it" in flat(result)
    (sweep,) = sweeps(suite)
    assert sweep["search"]["configurations"] == len(benchmarks)
    assert sweep["search"]["grid_processes"] == 34
    assert sweep["search"]["seconds"] > 0
    advice = sweep["recommendation"]
    assert advice["best"] == "intra4-inter1"
    assert all(one.startswith(("intra4-", "intra8-")) for one in advice["tied"])
    by_id = {one["id"]: one for one in advice["configurations"]}
    assert by_id[advice["best"]]["throughput_to_default"] is not None
    result.stdout.fnmatch_lines(
        [f"*search: {len(benchmarks)} of 17 configurations in * processes and * s; the full grid *"]
    )


def test_search_over_the_machines_cores(suite):
    suite.write(SEARCHED.replace("{1: 1, 2: 1.6, 4: 2.5, 8: 2.5}.get(threads, 2.5)", "1"))
    result, benchmarks = suite.results("--tf-threads-search", "--benchmark-max-time=0.05")
    assert result.ret == 0
    assert "test_scaling[intra1-inter1]" in benchmarks
    assert "test_scaling[intraauto-interauto]" in benchmarks
    (sweep,) = sweeps(suite)
    grid = asked_for((), Machine.read().counts)
    assert sweep["search"]["grid_configurations"] == len(grid)
    assert set(benchmarks) <= {f"test_scaling[{one.id}]" for one in grid}


def test_search_says_what_it_cannot_go_with(suite):
    suite.write(SEARCHED)
    result = suite.run("--tf-threads-search", "--tf-threads-group=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = "--tf-threads-group=1 measures them one by one"
    assert message in " ".join(result.stderr.str().split())


def test_search_by_ini_key(suite):
    suite.write(SEARCHED)
    suite.pytester.makeini("[pytest]\ntf_threads_search = true\ntf_threads = 1x1,2x1\n")
    suite.results("--benchmark-max-time=0.05")
    assert sweeps(suite)[0]["search"]["grid_configurations"] == 3


def test_an_ini_key_that_searches_is_taken_back_by_the_command_line(suite):
    suite.pytester.makeini("[pytest]\ntf_threads_search = true\ntf_threads = 1x1,2x1\n")
    arguments = ("-p", "no:cacheprovider")
    settings = read_settings(suite.pytester.parseconfig(*arguments))
    assert (settings.search, len(settings.configs)) == (True, 3)
    taken_back = suite.pytester.parseconfig(*arguments, "-o", "tf_threads_search=false")
    settings = read_settings(taken_back)
    assert (settings.search, len(settings.configs)) == (False, 2)


def test_verbose_output_has_the_table_of_each_test(suite):
    suite.write(
        SCALING
        + """
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.tf_threads(intra=[1, 2], inter=1, cpus=1)
def test_scaling(benchmark, tf_threads, batch):
    benchmark(work, tf_threads.intra)
"""
    )
    result, _ = suite.results("--benchmark-max-time=0.05", "-v")
    assert result.stdout.str().count("is recommended") == 2
    assert "What limits it" not in result.stdout.str()
    assert sum(" 2×1 " in line and "calls/s" in line for line in result.outlines) == 2
