"""What pytest-benchmark's users see: table, files, comparisons, options."""

import importlib.util
import json
import numbers
import os

import pytest

from pytest_tfthreads.hooks.fixtures import _check_count

QUICK = "@pytest.mark.benchmark(warmup=False, max_time=0.002, min_time=0.0002)\n"
SUITE = (
    QUICK
    + """
@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.tf_threads(intra=[1, "2*physical"], inter=2)
def test_it(benchmark, batch):
    benchmark.extra_info["mine"] = batch
    benchmark.group = None
    benchmark(sum, range(100))
"""
)


def test_rows_of_the_json_file(suite):
    result, benchmarks = suite.write(SUITE).results(processes=2)
    result.assert_outcomes(passed=4)
    one = benchmarks["test_it[32-intra1-inter2]"]
    assert one["fullname"] == "test_it.py::test_it[32-intra1-inter2]"
    assert one["params"] == {"batch": 32, "intra": "1", "inter": "2"}
    assert one["param"] == "32-intra1-inter2"
    assert one["extra_info"]["mine"] == 32
    recorded = one["extra_info"]["tf_threads"]
    assert set(recorded) == {
        "schema", "intra", "inter", "effective", "cpus", "start", "items", "unit", "processes",
        "throughput", "cpu_efficiency", "cores_used", "utilization", "spreads", "contention",
        "machine", "flags", "group", "configuration",
    }  # fmt: skip
    assert recorded["schema"] == 1
    assert recorded["group"] == "test_it.py::test_it[32]"
    assert recorded["configuration"] == {
        "id": "intra1-inter2",
        "intra": "1",
        "inter": "2",
        "instances": None,
        "terms": None,
    }
    assert recorded["effective"] == {"intra": 1, "inter": 2}
    assert len(recorded["processes"]) == 2
    for process in recorded["processes"]:
        assert len(process["wall_s"]) == len(process["cpu_s"]) >= 5
        assert process["iterations"] >= 1
        assert process["setup_s"] > 0
        assert process["max_rss_bytes"] > 1 << 20
        assert len(process["cpus"]) == len(recorded["cpus"])
        assert process["contention"] is None  # its own warm-up hides where the rounds begin
    rounds = [len(process["wall_s"]) for process in recorded["processes"]]
    assert one["stats"]["rounds"] == sum(rounds)
    # A round's seconds and pytest-benchmark's seconds a call are the same measurement.
    process = recorded["processes"][0]
    per_call = [wall_s / process["iterations"] for wall_s in process["wall_s"]]
    assert one["stats"]["data"][: rounds[0]] == pytest.approx(per_call)
    figures = recorded["throughput"]
    assert figures["low"] < figures["value"] < figures["high"]
    product = recorded["cpu_efficiency"]["value"] * recorded["cores_used"]["value"]
    assert figures["value"] == pytest.approx(product)
    assert set(recorded["machine"]) == {
        "host", "cpu", "physical", "logical", "quota", "nodes",
        "tensorflow", "onednn", "python", "plugin",
    }  # fmt: skip


def test_our_table_comes_first_and_theirs_has_what_it_adds(suite, pytestconfig):
    result = suite.write(SUITE).run()
    lines = result.stdout.str()
    assert lines.index("- tf_threads -") < lines.index("benchmark: 4 tests")
    columns = _columns(result)
    # Older releases do not tell whether columns were asked for.
    if pytestconfig.getoption("benchmark_columns") is None:
        assert columns == ["Min", "Median", "Max", "StdDev", "Rounds", "Iterations"]
    else:
        assert "OPS" in "".join(columns)
    result.stdout.fnmatch_lines(
        ["Test *intra×inter *Throughput*", "test_it[[]1-intra1-inter2] *1×2 * calls/s *"]
    )


def test_the_columns_that_are_asked_for_are_shown(suite):
    result = suite.write(SUITE).run("--benchmark-columns=mean,ops", "-k", "32-intra1-")
    assert [one for one in _columns(result) if one.isalpha()] == ["Mean", "OPS"]


def test_beside_other_benchmarks_the_tables_are_as_ever(suite):
    suite.write(SUITE + "def test_plain(benchmark):\n    benchmark(sum, range(100))\n")
    result = suite.run("-k", "plain or 32-intra1-")
    lines = result.stdout.str()
    assert lines.index("benchmark: 2 tests") < lines.index("- tf_threads -")
    assert "Outliers" in _columns(result)


def _columns(result):
    """Headings of pytest-benchmark's table, without their units."""
    (line,) = (line for line in result.outlines if line.startswith("Name ("))
    return [one for one in line.split()[4:] if not one.startswith("(")]


def test_save_and_compare(suite):
    suite.write(SUITE)
    suite.run("--benchmark-save=first").assert_outcomes(passed=4)
    (file,) = suite.path.glob(".benchmarks/*/0001_first.json")
    saved = json.loads(file.read_text())["benchmarks"]
    assert [one["name"] for one in saved] == [
        "test_it[1-intra1-inter2]",
        "test_it[1-intra2*physical-inter2]",
        "test_it[32-intra1-inter2]",
        "test_it[32-intra2*physical-inter2]",
    ]
    # The rounds survive in extra_info though --benchmark-save drops them from the statistics.
    assert saved[0]["extra_info"]["tf_threads"]["processes"][0]["wall_s"]
    # A few milliseconds of rounds are no measurement: whatever the gate says of them is chance.
    result = suite.run("--benchmark-compare=0001", "--tf-threads-fail-on=no-baseline")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_it[[]1-intra1-inter2] (0001_first)*"])
    result.stdout.fnmatch_lines(["*test_it[[]1-intra1-inter2] (NOW)*"])


def test_compare_fail_fails_the_run_and_keeps_our_table(suite):
    suite.write(SUITE)
    suite.run("--benchmark-save=first").assert_outcomes(passed=4)
    (file,) = suite.path.glob(".benchmarks/*/0001_first.json")
    data = json.loads(file.read_text())
    for one in data["benchmarks"]:
        for name in ("min", "max", "mean", "median"):
            one["stats"][name] /= 1e6
    file.write_text(json.dumps(data))
    result = suite.run(
        "--benchmark-compare=0001", "--benchmark-compare-fail=mean:5%", subprocess=True
    )
    assert result.ret != 0
    assert "Performance has regressed" in result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines(["*- tf_threads -*"])


@pytest.mark.parametrize(
    ("by", "titles"),
    [
        ("param:intra", ["'intra=1': 2 tests", "'intra=2[*]physical': 2 tests"]),
        ("param:inter", ["'inter=2': 4 tests"]),
        ("param:batch", ["'batch=1': 2 tests", "'batch=32': 2 tests"]),
        ("func", ["'test_it': 4 tests"]),
        ("fullname", ["'test_it.py::test_it[[]1-intra1-inter2[]]': 1 tests"]),
    ],
)
def test_group_by(suite, by, titles):
    result = suite.write(SUITE).run(f"--benchmark-group-by={by}")
    result.assert_outcomes(passed=4)
    for title in titles:
        result.stdout.fnmatch_lines([f"*benchmark {title}*"])


def test_histogram(suite):
    if importlib.util.find_spec("pygal") is None:
        pytest.skip("pygal is not installed")
    result = suite.write(SUITE).run("--benchmark-histogram=plot", subprocess=True)
    result.assert_outcomes(passed=4)
    assert list(suite.path.glob("plot*.svg"))


MIXED = (
    SUITE
    + """
@pytest.mark.tf_threads(intra=1)
def test_no_benchmark():
    pass

def test_local_benchmark(benchmark):
    benchmark.pedantic(int)
"""
)


def test_only_skip_disable_and_enable(suite):
    suite.write(MIXED)
    result, benchmarks = suite.results("--benchmark-only")
    result.assert_outcomes(passed=5, skipped=1)
    assert len(benchmarks) == 5
    result = suite.run("--benchmark-skip")
    result.assert_outcomes(passed=1, skipped=5)
    (suite.path / "out.json").unlink()
    result, benchmarks = suite.results("--benchmark-disable")
    result.assert_outcomes(passed=6)
    assert not benchmarks
    assert "tf_threads -" not in result.stdout.str()
    result, benchmarks = suite.results("--benchmark-disable", "--benchmark-enable")
    assert len(benchmarks) == 5


def test_skip_and_disable_import_no_more_than_they_need(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_BROKEN", "1")
    suite.write(SUITE).run("--benchmark-skip").assert_outcomes(skipped=4)


def test_crashed_configuration_is_not_recorded(suite):
    suite.write(
        QUICK
        + """
@pytest.mark.tf_threads(intra=[1, 2])
def test_it(benchmark, tf_threads):
    import os
    benchmark(int)
    if tf_threads.intra == 2:
        os.abort()
"""
    )
    result, benchmarks = suite.results("--benchmark-save=partly")
    result.assert_outcomes(passed=1, failed=1)
    assert list(benchmarks) == ["test_it[intra1-interauto]"]


def test_a_process_that_measures_nothing_is_left_out(suite):
    suite.write(
        QUICK
        + """
@pytest.mark.tf_threads(intra=1)
def test_it(benchmark):
    import pathlib
    if not pathlib.Path("second").exists():
        pathlib.Path("second").touch()
        benchmark(int)
"""
    )
    result, benchmarks = suite.results(processes=3, subprocess=True)
    result.assert_outcomes(passed=1)
    (one,) = benchmarks.values()
    assert len(one["extra_info"]["tf_threads"]["processes"]) == 1


def test_failed_test_is_not_recorded(suite):
    suite.write(
        QUICK
        + """
@pytest.mark.tf_threads(intra=1)
def test_it(benchmark):
    benchmark(int)
    assert 0
"""
    )
    result, benchmarks = suite.results()
    result.assert_outcomes(failed=1)
    assert not benchmarks


def test_the_users_own_settings_keep_their_meaning(suite):
    suite.write(
        """
        @pytest.mark.benchmark(group="mine", min_rounds=17, max_time=0.0001, min_time=0.00001,
                               warmup=False, disable_gc=True)
        @pytest.mark.tf_threads(intra=1)
        def test_marker(benchmark):
            benchmark(int)

        @pytest.mark.tf_threads(intra=1)
        def test_pedantic(benchmark):
            calls = []
            benchmark.pedantic(
                calls.append, setup=lambda: ((1,), {}), rounds=11, warmup_rounds=3, iterations=1
            )
            assert len(calls) == 14

        import time

        def milliseconds():
            return time.perf_counter() * 1000

        @pytest.mark.benchmark(timer=milliseconds, warmup=False, max_time=5, min_rounds=5)
        @pytest.mark.tf_threads(intra=1)
        def test_timer(benchmark):
            benchmark(time.sleep, 0.02)
        """
    )
    result, benchmarks = suite.results()
    result.assert_outcomes(passed=3)
    marker = benchmarks["test_marker[intra1-interauto]"]
    assert marker["group"] == "mine"
    assert marker["stats"]["rounds"] >= 17
    assert marker["options"]["disable_gc"] is True
    assert benchmarks["test_pedantic[intra1-interauto]"]["stats"]["rounds"] == 11
    timer = benchmarks["test_timer[intra1-interauto]"]
    (process,) = timer["extra_info"]["tf_threads"]["processes"]
    ratio = timer["stats"]["total"] / (sum(process["wall_s"]) / process["iterations"])
    assert ratio == pytest.approx(1000, rel=0.2)


def test_options_of_the_command_line_keep_their_meaning(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_it(benchmark):
            benchmark(int)
        """
    )
    result, benchmarks = suite.results(
        "--benchmark-min-rounds=23",
        "--benchmark-max-time=0.001",
        "--benchmark-min-time=0.00001",
        "--benchmark-warmup=on",
        "--benchmark-warmup-iterations=10",
    )
    result.assert_outcomes(passed=1)
    (one,) = benchmarks.values()
    assert one["stats"]["rounds"] >= 23
    assert one["options"]["min_time"] == 0.00001
    assert one["options"]["warmup"] == 10


def test_default_warm_up_and_rounds(suite):
    suite.write(
        """
        from exact_time import sleep
        @pytest.mark.tf_threads(intra=1)
        def test_it(benchmark):
            benchmark(sleep, 0.0005)
        """
    )
    result, benchmarks = suite.results("--benchmark-max-time=0.7")
    result.assert_outcomes(passed=1)
    (one,) = benchmarks.values()
    (process,) = one["extra_info"]["tf_threads"]["processes"]
    assert process["warmup_rounds"] >= 50
    assert process["iterations"] > 1  # several calls make a round
    assert one["extra_info"]["tf_threads"]["cores_used"]["value"] < 0.5  # it sleeps


def test_cprofile_comes_back(suite):
    suite.write(
        QUICK
        + """
def inner():
    return sum(range(10))

def outer():
    return inner()

@pytest.mark.tf_threads(intra=1)
def test_it(benchmark):
    benchmark(outer)
"""
    )
    result, benchmarks = suite.results("--benchmark-cprofile=tottime")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*cProfile*"])
    (one,) = benchmarks.values()
    assert any("(inner)" in row["function_name"] for row in one["cprofile"])


def test_values_that_json_cannot_hold(suite):
    suite.write(
        QUICK
        + """
class Model:
    def __repr__(self):
        return "Model()"

@pytest.mark.parametrize("model", [Model()])
@pytest.mark.tf_threads(intra=1)
def test_it(benchmark, model):
    benchmark.extra_info["model"] = model
    benchmark(int)
"""
    )
    result, benchmarks = suite.results()
    result.assert_outcomes(passed=1)
    (one,) = benchmarks.values()
    assert one["params"]["model"] == "Model()"
    assert one["extra_info"]["model"] == "Model()"


def test_a_reply_that_cannot_be_written_is_explained(suite):
    suite.write(
        QUICK
        + """
@pytest.mark.tf_threads(intra=1)
def test_it(benchmark):
    benchmark.extra_info[(1, 2)] = 3
    benchmark(int)
"""
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TypeError: keys must be str*"])


def test_unused_fixture_warns_as_here(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_it(benchmark):
            pass
        """
    )
    result = suite.run("-W", "default", subprocess=True)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*Benchmark fixture was not used at all*"])


def test_pytest_benchmark_switched_off(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_plain(tf_threads):
            pass

        @pytest.mark.tf_threads(intra=1)
        def test_benchmark(tf_benchmark):
            pass
        """
    )
    result = suite.run("-p", "no:benchmark")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*pytest-benchmark is switched off*-p no:benchmark*--codspeed*"])


def test_tf_benchmark(suite):
    suite.write(
        QUICK
        + """
@pytest.mark.tf_threads(intra=1)
def test_call(tf_benchmark):
    assert tf_benchmark(max, 3, 5, items=64, unit="images") == 5

"""
        + QUICK
        + """
@pytest.mark.tf_threads(intra=1)
def test_pedantic(tf_benchmark):
    tf_benchmark.benchmark.extra_info["mine"] = 1
    assert tf_benchmark.pedantic(max, (3, 5), {}, items=2, unit="pairs", rounds=7) == 5
"""
    )
    result, benchmarks = suite.results()
    result.assert_outcomes(passed=2)
    call = benchmarks["test_call[intra1-interauto]"]["extra_info"]["tf_threads"]
    assert (call["items"], call["unit"]) == (64, "images")
    (process,) = call["processes"]
    calls = len(process["wall_s"]) * process["iterations"]
    assert call["throughput"]["value"] == pytest.approx(64 * calls / sum(process["wall_s"]))
    result.stdout.fnmatch_lines(["test_call*images/s*"])
    pedantic = benchmarks["test_pedantic[intra1-interauto]"]
    assert pedantic["stats"]["rounds"] == 7
    assert pedantic["extra_info"]["mine"] == 1
    assert pedantic["extra_info"]["tf_threads"]["unit"] == "pairs"


MISUSED = {
    "tf_benchmark(int, items=0)": "items=0 is no number above 0",
    "tf_benchmark(int, items='64')": "items='64' is no number above 0",
    "tf_benchmark(int, items=float('inf'))": "not finite",
    "tf_benchmark(int, items=1e306)": "too large or not finite",
    "tf_benchmark(int, unit='im\\nages')": "unit='im\\nages'; use a plural",
    "tf_benchmark(int, unit='')": "unit=''; use a plural",
    "tf_benchmark.dataset(1, batches=0)": "batches=0; use an integer >= 1",
    "tf_benchmark.dataset(1, threads=0)": 'threads=0; use an integer >= 1 or "intra"',
    "tf_benchmark.dataset(1, threads='inter')": "threads='inter'; use an integer >= 1 or",
}


def test_tf_benchmark_misused(suite):
    tests = [
        f"@pytest.mark.tf_threads(intra=1)\ndef test_{number}(tf_benchmark):\n    {call}\n"
        for number, call in enumerate(MISUSED)
    ]
    suite.write("\n".join(tests))
    result = suite.run("--tb=short")
    result.assert_outcomes(failed=len(MISUSED))
    errors = [line for line in result.outlines if line.startswith("E ")]
    assert len(errors) == len(MISUSED)
    for error, (call, message) in zip(errors, MISUSED.items(), strict=True):
        assert message in error, call


def test_counts_may_be_integers_of_other_libraries():
    @numbers.Integral.register
    class Count:
        def __lt__(self, other):
            return other > 7

    _check_count("batches", Count())
    with pytest.raises(ValueError, match="use an integer >= 1"):
        _check_count("batches", 7.0)


def test_tf_benchmark_waits_for_asynchronous_results(suite, monkeypatch):
    source = (
        QUICK
        + """
@pytest.mark.tf_threads(intra=1)
def test_it(tf_benchmark):
    import tensorflow
    tf_benchmark(int)
    print("waited" if tensorflow.synchronised else "did not wait")
"""
    )
    suite.write(source).run("-rP").stdout.fnmatch_lines(["did not wait"])
    monkeypatch.setenv("FAKE_TF_ASYNCHRONOUS", "1")
    suite.run("-rP").stdout.fnmatch_lines(["waited"])


def test_the_pool_of_a_pipeline_follows_the_configuration_or_has_a_size_of_its_own(suite):
    suite.write(
        """
pytestmark = pytest.mark.benchmark(warmup=False, max_time=0.002, min_time=0.0002)

def pipeline():
    import tensorflow as tf
    return tf.data.Dataset([1, 2, 3])

@pytest.mark.tf_threads(intra=[1, 2, 3, "auto"], inter=1, cpus=2)
def test_following(tf_benchmark):
    tf_benchmark.dataset(pipeline(), threads="intra")

@pytest.mark.tf_threads(intra=1, inter=1, cpus=2)
class TestOthers:
    def test_fixed(self, tf_benchmark):
        tf_benchmark.dataset(pipeline(), threads=3)

    def test_own_options(self, tf_benchmark):
        import tensorflow as tf
        options = tf.data.Options()
        options.threading.private_threadpool_size = 2
        tf_benchmark.dataset(pipeline().with_options(options))

    def test_without(self, tf_benchmark):
        tf_benchmark.dataset(pipeline())

    def test_no_pipeline(self, tf_benchmark):
        tf_benchmark(int)
"""
    )
    result, benchmarks = suite.results()
    result.assert_outcomes(passed=8)
    found = {name: benchmark["extra_info"]["tf_threads"] for name, benchmark in benchmarks.items()}
    sizes = {name: one.get("data_threads") for name, one in found.items()}
    auto = found["test_following[intraauto-inter1]"]["effective"]["intra"]
    assert sizes == {
        "test_following[intra1-inter1]": 1,
        "test_following[intra2-inter1]": 2,
        "test_following[intra3-inter1]": 3,
        "test_following[intraauto-inter1]": auto,
        "test_fixed[intra1-inter1]": 3,
        "test_own_options[intra1-inter1]": 2,
        "test_without[intra1-inter1]": 0,
        "test_no_pipeline[intra1-inter1]": None,
    }
    granted = {name: len(one["cpus"]) for name, one in found.items()}
    # No measurement of a pool that is too large for its CPUs is without the flag.
    for name, one in found.items():
        crowded = (sizes[name] or 0) > granted[name]
        assert ("crowded-pool" in one["flags"]) == crowded, name
        assert ("no-reference" in one["flags"]) == (sizes[name] is not None), name
    assert "crowded-pool" in found["test_fixed[intra1-inter1]"]["flags"]


def test_cpus_granted_follow_the_pool_that_follows_the_configuration(suite):
    suite.write(
        """
from exact_time import sleep

pytestmark = pytest.mark.benchmark(max_time=0.05)

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_it(tf_benchmark, tf_threads):
    import tensorflow as tf
    pipeline = tf.data.Dataset([1, 2, 3]).map(lambda _: sleep(0.002 / tf_threads.intra))
    tf_benchmark.dataset(pipeline, threads="intra")
"""
    )
    result, benchmarks = suite.results(processes=3)
    result.assert_outcomes(passed=2)
    for name, benchmark in benchmarks.items():
        measured = benchmark["extra_info"]["tf_threads"]
        available = len(os.sched_getaffinity(0))
        assert len(measured["cpus"]) == min(measured["data_threads"], available), name
    result.stdout.fnmatch_lines(
        ["*2×1 with a tf.data pool of 2 is recommended*", "*private_threadpool_size = 2"]
    )
    result.stdout.no_fnmatch_line("*set_intra_op_parallelism_threads*")


def test_more_threads_than_cpus_are_flagged(suite):
    suite.write(
        QUICK
        + """
@pytest.mark.tf_threads(intra=3, inter=1, cpus=1)
def test_it(benchmark):
    benchmark(int)
"""
    )
    result, benchmarks = suite.results()
    (one,) = benchmarks.values()
    assert "oversubscribed" in one["extra_info"]["tf_threads"]["flags"]
    result.stdout.fnmatch_lines(["*oversubscribed: more threads than CPUs granted*"])


def test_fewer_cpus_than_the_marker_asks_for_are_flagged(suite):
    available = len(os.sched_getaffinity(0))
    suite.write(
        QUICK
        + f"""
@pytest.mark.tf_threads(1, 1, cpus={available})
def test_all(benchmark):
    benchmark(int)

{QUICK}
@pytest.mark.tf_threads(1, 1, cpus={available + 1})
def test_more(benchmark):
    benchmark(int)
"""
    )
    result, benchmarks = suite.results()
    flags = [one["extra_info"]["tf_threads"]["flags"] for one in benchmarks.values()]
    assert ["fewer-cpus" in one for one in flags] == [False, True]
    result.stdout.fnmatch_lines(
        ["*fewer-cpus: the marker asks for more CPUs than this process may*"]
    )


def test_xdist_records_once_in_the_controller(suite):
    result, benchmarks = suite.write(MIXED).results("-n2", subprocess=True)
    result.assert_outcomes(passed=6)
    assert len(benchmarks) == 4  # pytest-benchmark leaves unmarked tests unmeasured under xdist
    # Nobody computed beside it.
    flags = benchmarks["test_it[1-intra1-inter2]"]["extra_info"]["tf_threads"]["flags"]
    assert "xdist" not in flags


def test_reference_workload_is_recorded_and_fails_no_test(suite, monkeypatch):
    suite.write(
        """
        from exact_time import sleep

        @pytest.mark.benchmark(max_time=0.4)
        @pytest.mark.tf_threads(1, 1)
        def test_it(benchmark):
            benchmark(sleep, 0.01)
        """
    )
    _, benchmarks = suite.results()
    (process,) = benchmarks["test_it[intra1-inter1]"]["extra_info"]["tf_threads"]["processes"]
    assert process["reference_wall_s"] > 0
    assert process["reference_cpu_s"] > 0

    monkeypatch.setenv("FAKE_TF_FAILING_OPS", "1")
    result, benchmarks = suite.results()
    result.assert_outcomes(passed=1)
    recorded = benchmarks["test_it[intra1-inter1]"]["extra_info"]["tf_threads"]
    assert "no-reference" in recorded["flags"]
    assert recorded["processes"][0]["reference_wall_s"] is None
    result.stdout.fnmatch_lines(["*no-reference: no reference workload ran*"])


def test_a_timer_is_tried_out_by_some_readings_in_every_release(suite):
    """Before 5.3 pytest-benchmark reads it for a second, in every measuring process."""
    suite.write(
        """
        import time

        readings = []

        def timer():
            readings.append(time.perf_counter())
            return readings[-1]

        @pytest.mark.tf_threads(1, 1)
        @pytest.mark.benchmark(timer=timer, warmup=False, max_time=0.01, min_time=0.001)
        def test_it(benchmark):
            before = []
            benchmark(lambda: before.append(len(readings)))
            assert 5 < before[0] < 200
        """
    )
    suite.run().assert_outcomes(passed=1)
