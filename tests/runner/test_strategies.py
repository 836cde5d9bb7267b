"""Who is measured with whom, until when: with scripted processes."""

import pytest

from builders import TWO_TESTS, flat
from pytest_tfthreads.core.saved_runs import read_run
from pytest_tfthreads.engine.failure import Failure

GRID = """
@pytest.mark.tf_threads(intra=[1, 2, 3, 4], inter=[1, 2])
def test_busy(benchmark):
    benchmark(sum, range(10))
"""
FOUR = """
@pytest.mark.tf_threads(intra=[1, 2, 3, 4], inter=1)
def test_busy(benchmark):
    benchmark(sum, range(10))
"""


def rings_of(scripted):
    """Of each configuration in the file, the rings in which it took turns."""
    return {
        one["name"].removeprefix("test_busy"): [
            process["ring"] for process in one["extra_info"]["tf_threads"]["processes"]
        ]
        for one in scripted.saved["benchmarks"]
    }


def test_sweep_sets_up_in_an_order_that_can_be_repeated_and_reverses_it(scripted):
    scripted.write(GRID)
    orders = []
    for seed, passes in ((7, 2), (7, 1), (8, 1)):
        scripted.run(f"--tf-threads-seed={seed}", processes=passes).assert_outcomes(passed=8)
        orders.append(scripted.executor.rings)
    assert orders[0][0] == orders[1][0] != orders[2][0]
    assert orders[0][1] == orders[1][0][::-1]
    assert all(len(ring) == 8 for rings in orders for ring in rings)


def test_large_groups_are_divided_and_share_one_by_one(scripted):
    scripted.write(GRID)
    scripted.run("--tf-threads-group=4")
    rings = rings_of(scripted)
    assert sorted(rings.pop("[intra1-inter1]")) == [0, 1, 2]
    assert sorted(len(one) for one in rings.values()) == [1] * 7


@pytest.mark.parametrize("option", ["--pdb", "--trace"])
def test_with_a_debugger_configurations_are_measured_one_by_one(scripted, option):
    scripted.write(FOUR)
    scripted.run(option).assert_outcomes(passed=4)
    assert scripted.executor.rings == [["1x1"], ["2x1"], ["3x1"], ["4x1"]]


def test_processes_get_more_options_before_the_end_of_the_users_own(scripted):
    scripted.write(GRID)
    scripted.run("--tf-threads-search", "--tf-threads=1x1,2x1", "--", "test_it.py")
    *given, ours, end, file = scripted.executor.batches[0].jobs[0].order.call.args
    assert "--tf-threads=1x1,2x1" in given
    assert ours.startswith("--tf-threads=1x1,2x1,")  # and TensorFlow's default beside them
    assert (end, file) == ("--", "test_it.py")


@pytest.mark.parametrize("ini", [False, True])
def test_one_after_the_other(scripted, ini):
    scripted.write(GRID)
    if ini:
        scripted.pytester.makeini("[pytest]\ntf_threads_group = 1\ntf_threads_turn = 4\n")
    args = [] if ini else ["--tf-threads-group=1"]
    result = scripted.run(*args, "-k", "intra3")
    assert rings_of(scripted) == {"[intra3-inter1]": [None], "[intra3-inter2]": [None]}
    assert scripted.executor.rings == [["3x1"], ["3x2"]]
    assert "its configurations took no turns with one another" in flat(result)


def test_only_selected_configurations_are_measured(scripted):
    scripted.write(GRID)
    result = scripted.run("-k", "inter2 and not intra3")
    result.assert_outcomes(passed=3, deselected=5)
    assert sorted(scripted.executor.rings[0]) == ["1x2", "2x2", "4x2"]


def test_exit_first_ends_what_comes_after_the_failure(scripted):
    scripted.write(FOUR)
    scripted.script = lambda process: ValueError("bad") if process.intra == 2 else 0.01
    result = scripted.run("-x", processes=3)
    result.assert_outcomes(passed=1, failed=1)
    # Those after the failure have been in the first pass with it, and in no other.
    counts = {intra: count for (_, intra, _), count in scripted.executor.counts.items()}
    assert counts == {1: 3, 2: 1, 3: 1, 4: 1}
    scripted.run("--maxfail=2", processes=3).assert_outcomes(passed=3, failed=1)
    counts = {intra: count for (_, intra, _), count in scripted.executor.counts.items()}
    assert counts == {1: 3, 2: 1, 3: 3, 4: 3}


def test_a_failing_process_ends_its_own_configuration_only(scripted):
    scripted.write(FOUR)

    def script(process):
        if process.intra == 2 and process.number == 1:
            return Failure("crashed", "by a signal")
        return 0.01

    scripted.script = script
    result = scripted.run(processes=3)
    result.assert_outcomes(passed=3, failed=1)
    assert "crashed: by a signal" in flat(result)
    assert "in process 2; those before it passed" in flat(result)
    counts = {intra: count for (_, intra, _), count in scripted.executor.counts.items()}
    assert counts == {1: 3, 2: 2, 3: 3, 4: 3}


def test_what_was_measured_before_the_session_is_ended_is_reported(scripted):
    scripted.write(FOUR)
    scripted.script = lambda process: (
        pytest.exit.Exception("enough") if process.intra == 3 else 0.01
    )
    result = scripted.run(processes=2)
    result.assert_outcomes(passed=2)
    assert "enough" in flat(result)
    counts = {intra: count for (_, intra, _), count in scripted.executor.counts.items()}
    assert counts == {1: 2, 2: 2, 3: 1, 4: 1}


def test_the_file_is_collected_twice_and_compared_once(scripted):
    scripted.write(FOUR)
    result = scripted.run("--keep-duplicates", "test_it.py", "test_it.py", "--benchmark-save=x")
    result.assert_outcomes(passed=8)
    assert result.stdout.str().count("is recommended") == 1
    (file,) = scripted.path.glob(".benchmarks/*/0001_x.json")
    assert len(read_run(file).tests) == 4


# -- search ---------------------------------------------------------------------------------------

SEARCHED = """
@pytest.mark.tf_threads(1, 1)
def test_scaling(benchmark):
    benchmark(sum, range(10))

def test_unmarked():
    pass
"""
CONFIGURATIONS = "--tf-threads=intra=1,2,4,8;inter=1,2,3,4"


def scaling(process):
    return 0.01 / {1: 1, 2: 1.6, 4: 2.5, 8: 2.5}.get(process.intra, 1)


def test_search_measures_a_part_of_the_grid(scripted):
    scripted.write(SEARCHED)
    scripted.script = scaling
    result = scripted.run(CONFIGURATIONS, "--tf-threads-search", "-rs", processes=2)
    measured = len(scripted.saved["benchmarks"])
    assert 4 <= measured < 17
    result.assert_outcomes(passed=measured + 1, skipped=17 - measured)
    assert "the search for a good configuration did without it" in flat(result)
    (sweep,) = scripted.saved["tf_threads"]["sweeps"]
    assert sweep["search"]["configurations"] == measured
    assert sweep["search"]["grid_processes"] == 34  # TensorFlow's default joins the grid
    assert sweep["recommendation"]["best"].startswith(("intra4-", "intra8-"))


def test_search_goes_on_without_what_fails(scripted):
    scripted.write(SEARCHED)
    scripted.script = lambda process: ValueError("no") if process.intra == 8 else scaling(process)
    result = scripted.run(CONFIGURATIONS, "--tf-threads-search")
    failed = result.parseoutcomes().get("failed", 0)
    assert failed == sum(one.intra == 8 for one in scripted.executor.processes)
    (sweep,) = scripted.saved["tf_threads"]["sweeps"]
    assert sweep["recommendation"]["best"].startswith("intra4-")


@pytest.mark.parametrize(("args", "failed"), [((), 4), (("-x",), 1)])
def test_search_that_fails_everywhere(scripted, args, failed):
    scripted.write(SEARCHED)
    scripted.script = lambda process: ValueError("its own fault")
    result = scripted.run("--tf-threads=1x1,2x1,4x1", "--tf-threads-search", "-k", "scaling", *args)
    result.assert_outcomes(failed=failed)


def test_search_of_one_configuration_is_a_measurement(scripted):
    scripted.write(SEARCHED)
    scripted.run("--tf-threads=2x1", "--tf-threads-search", processes=3).assert_outcomes(passed=2)
    assert scripted.executor.rings == [["2x1"]] * 3
    assert scripted.saved["tf_threads"]["sweeps"] == []


@pytest.mark.parametrize("group", [2, 8])
def test_search_runs_none_again_that_did_not_pass(scripted, group):
    scripted.write(SEARCHED)

    def script(process):
        if process.intra == process.inter == 1 or process.number == 1:
            return ValueError("not again")
        return 0.01

    scripted.script = script
    scripted.run(
        "--tf-threads=intra=1,2,4,8;inter=1,2",
        "--tf-threads-search",
        f"--tf-threads-group={group}",
        processes=3,
    )
    counts = {counted[1:]: count for counted, count in scripted.executor.counts.items()}
    assert counts.pop((1, 1)) == 1
    assert max(counts.values()) == 2


# -- a second look --------------------------------------------------------------------------------


@pytest.fixture
def saved(scripted):
    """Two tests of 10 ms a call, saved once; pytest-benchmark warns of machines, and may."""
    scripted.pytester.makeini("[pytest]\nfilterwarnings = default\n")
    scripted.write(TWO_TESTS)
    scripted.run("--benchmark-save=first", processes=2).assert_outcomes(passed=2)
    return scripted


def counts_of(scripted):
    return {test: count for (test, *_), count in scripted.executor.counts.items()}


@pytest.mark.parametrize(("most", "measured"), [((), 4), (("3",), 3), (("1",), 2)])
def test_more_processes_are_measured_before_a_test_fails(saved, most, measured):
    saved.script = lambda process: 0.06 if process.test == "test_fast" else 0.01
    args = [f"--tf-threads-max-processes={one}" for one in most]
    result = saved.run("--benchmark-compare", *args, processes=2)
    result.assert_outcomes(passed=1, failed=1)
    assert counts_of(saved) == {"test_fast": measured, "test_steady": 2}


def test_suspicion_that_more_processes_refute(saved):
    saved.script = lambda process: (
        0.06 if process.test == "test_fast" and process.number < 2 else 0.01
    )
    saved.run("--benchmark-compare", processes=2).assert_outcomes(passed=2)
    assert counts_of(saved) == {"test_fast": 4, "test_steady": 2}
