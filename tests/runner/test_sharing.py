"""Who shares a process: the plan, and what processes are told, with scripted ones."""

import pytest

from pytest_tfthreads.engine.failure import Failure
from pytest_tfthreads.runner.sharing import ProcessPlace, places

MODULE = """
@pytest.mark.tf_threads(intra=1, inter=1)
def test_a():
    pass

@pytest.mark.tf_threads(intra=1, inter=1)
def test_b():
    pass

@pytest.mark.tf_threads(intra=1, inter=1)
def test_measured(benchmark):
    benchmark(sum, range(10))

def test_unmarked():
    pass

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_c():
    pass

@pytest.mark.skip
@pytest.mark.tf_threads(intra=1, inter=1)
def test_skipped():
    pass

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_d():
    pass
"""
A, B, C1, C2, D1, D2 = (
    f"test_it.py::test_{name}-inter1]"
    for name in ("a[intra1", "b[intra1", "c[intra1", "c[intra2", "d[intra1", "d[intra2")
)


@pytest.fixture
def quiet(scripted):
    """The suite of `MODULE`, whose unmeasured tests all pass and ask for no `benchmark`."""
    scripted.write(MODULE)
    scripted.uses_benchmark = lambda test: test == "test_measured"
    return scripted


def test_a_stretch_ends_before_who_shares_with_nobody_and_before_one_kind_too_many():
    assert places([], 2) == []
    assert places(["x", "y", "x"], 2) == [
        ProcessPlace(0, 0),
        ProcessPlace(0, 1),
        ProcessPlace(0, 0),
    ]
    assert places(["x", None, "x"], 2) == [ProcessPlace(0, 0), None, ProcessPlace(1, 0)]
    assert places(["x", "y", "z", "y", "x"], 2) == [
        *(ProcessPlace(0, 0), ProcessPlace(0, 1)),
        *(ProcessPlace(1, 0), ProcessPlace(1, 1)),
        ProcessPlace(2, 0),
    ]
    assert places(["x", "y", "x"], 1) == [
        ProcessPlace(0, 0),
        ProcessPlace(1, 0),
        ProcessPlace(2, 0),
    ]


def test_processes_are_told_what_comes_next_and_end_before_a_measurement(quiet):
    result = quiet.run()
    result.assert_outcomes(passed=8, skipped=1)
    shared = quiet.executor.shared
    assert [one[:2] for one in shared] == [
        *((A, B), (B, None)),
        *((C1, D1), (C2, D2), (D1, None), (D2, None)),
    ]
    processes = [process for _, _, process in shared]
    assert processes == [0, 0, 2, 3, 2, 3]  # 1 is that of the measurement
    assert [[one.order.item.nodeid for one in it.jobs] for it in quiet.executor.batches] == [
        ["test_it.py::test_measured[intra1-inter1]"]
    ]


@pytest.mark.parametrize("how", ["--tf-threads-share=off", "--pdb", "ini"])
def test_each_test_has_a_process_where_that_is_wanted(quiet, how):
    if how == "ini":
        quiet.pytester.makeini("[pytest]\ntf_threads_share = off\n")
    quiet.run(*([] if how == "ini" else [how])).assert_outcomes(passed=8, skipped=1)
    assert not quiet.executor.shared
    assert len(quiet.executor.batches) == 7


def test_one_group_at_a_time_shares_with_what_follows_only(quiet):
    quiet.run("--tf-threads-group=1").assert_outcomes(passed=8, skipped=1)
    assert [one[:2] for one in quiet.executor.shared][2:] == [
        *((C1, None), (C2, None), (D1, None), (D2, None))
    ]


def test_a_process_that_ends_with_the_run_is_told_so(quiet):
    quiet.script = lambda process: ValueError("bad") if process.test == "test_b" else 0.01
    quiet.run("-x").assert_outcomes(passed=1, failed=1)
    assert quiet.executor.ends_if_failed == [True, True]
    quiet.run("--maxfail=2").assert_outcomes(passed=7, failed=1, skipped=1)
    assert quiet.executor.ends_if_failed == [False, False, True, True, True, True]


def test_after_a_crash_the_rest_goes_on_in_another_process(quiet):
    failure = Failure("crashed", "It was killed.")
    quiet.script = lambda process: failure if process.test == "test_a" else 0.01
    quiet.run().assert_outcomes(passed=7, failed=1, skipped=1)
    assert [process for _, _, process in quiet.executor.shared][:2] == [0, 1]


def test_what_cannot_be_collected_together_is_run_file_by_file(quiet):
    others = "".join(
        f"@pytest.mark.tf_threads(intra=1, inter=1)\ndef test_{name}(): pass\n" for name in "xy"
    )
    quiet.pytester.makepyfile(test_before="import pytest\n" + others)
    quiet.cannot_set_up = lambda order: len(order.files) > 1
    quiet.run().assert_outcomes(passed=10, skipped=1)
    x, y = (f"test_before.py::test_{name}[intra1-inter1]" for name in "xy")
    assert quiet.executor.batches[0].jobs[0].order.item.nodeid == x
    shared = [one[:2] for one in quiet.executor.shared]
    assert shared[:3] == [(y, None), (A, B), (B, None)]


def test_who_turns_out_to_measure_is_measured_alone(scripted):
    scripted.write(
        """
        @pytest.fixture
        def indirect(request):
            return request.getfixturevalue("benchmark")

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_asks(indirect):
            indirect(sum, range(10))

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_asks_itself(request):
            request.getfixturevalue("benchmark")(sum, range(10))
        """
    )
    scripted.run(processes=2).assert_outcomes(passed=2)
    (shared,) = scripted.executor.shared
    assert shared[0] == "test_it.py::test_asks[intra1-inter1]"
    assert len(scripted.executor.batches) == 2 + 2  # whoever has `request` begins alone
    assert len(scripted.saved["benchmarks"]) == 2
