"""What users see, with the real TensorFlow in real processes.

Most suites import TensorFlow in their tests only, so that it is not imported for collecting too:
that takes as long as all else.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builders import ON_MORE_THREADS, flat, on_more_threads


@pytest.fixture
def suite(real_suite):
    return real_suite


SHORT = "@pytest.mark.benchmark(max_time=0.2)\n"
OF_THE_MACHINE = {"unsettled", "oversubscribed", "quota", "contended"}
"""Flags that tell of the machine, and of who else uses it."""


def run(suite, source, *args, **kwargs):
    kwargs.setdefault("subprocess", True)
    return suite.write(source).results("--tf-threads-timeout=120", *args, **kwargs)


def recorded(benchmarks, name):
    return benchmarks[name]["extra_info"]["tf_threads"]


def test_grid_with_tensors_of_modules_and_conftest_files(suite, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    suite.pytester.makeconftest("import tensorflow as tf\nX = tf.constant(1.0)\n")
    result, benchmarks = run(
        suite,
        """
        import tensorflow as tf

        X = tf.random.normal((64, 64))

        @pytest.mark.benchmark(max_time=0.2)
        @pytest.mark.tf_threads(intra=[1, 2, "logical"], inter=[1, 2])
        def test_matmul(tf_benchmark, tf_threads):
            step = tf.function(lambda x: x @ x)
            result = tf_benchmark(step, X, items=64, unit="rows")
            assert result.shape == (64, 64)
            assert tf.config.threading.get_inter_op_parallelism_threads() == tf_threads.inter

        def test_unmarked():
            assert float(tf.reduce_sum(tf.ones(3))) == 3.0
        """,
        processes=2,
    )
    result.assert_outcomes(passed=7)
    logical = len(os.sched_getaffinity(0))
    for intra, threads in (("1", 1), ("2", 2), ("logical", logical)):
        for inter in (1, 2):
            measured = recorded(benchmarks, f"test_matmul[intra{intra}-inter{inter}]")
            assert measured["effective"] == {"intra": threads, "inter": inter}
            assert (measured["intra"], measured["inter"]) == (threads, inter)
            assert len(measured["cpus"]) == min(max(threads, inter), logical)
            assert measured["start"] == "fork"
            assert measured["unit"] == "rows"
            assert measured["machine"]["tensorflow"]
            assert not set(measured["flags"]) - OF_THE_MACHINE
    for noise in ("oneDNN", "cuda", "cpu_feature_guard", "absl::InitializeLog"):
        assert noise not in result.stdout.str() + result.stderr.str()
    # AutoGraph writes a module and its bytecode for the lambda, in each of twelve processes.
    assert not list(temporary.iterdir())


def test_automatic_pools_are_counted_and_traces_say_which_ops_ran(suite):
    result, benchmarks = run(
        suite,
        """
        import tensorflow as tf

        pytestmark = pytest.mark.benchmark(max_time=0.2)

        @pytest.mark.tf_threads()
        def test_eager(benchmark):
            x = tf.constant(1.0)
            benchmark(tf.add, x, 2.0)
            tf.sinh(x)

        @pytest.mark.tf_threads(2, 1)
        def test_function(benchmark):
            x = tf.random.stateless_uniform((128, 128), seed=(1, 1))
            benchmark(tf.function(lambda: tf.tanh(tf.tanh(x @ x) @ x)))

        @pytest.mark.tf_threads(1, 1)
        def test_graph(benchmark):
            tf.compat.v1.disable_eager_execution()
            product = tf.random.uniform((64, 64)) @ tf.ones((64, 64))
            with tf.compat.v1.Session() as session:
                benchmark.pedantic(session.run, (product,), rounds=3, iterations=2)
        """,
        "--tf-threads-profile=traces",
    )
    result.assert_outcomes(passed=3)
    measured = recorded(benchmarks, "test_eager[intraauto-interauto]")
    cpus = len(os.sched_getaffinity(0))
    assert (measured["intra"], measured["inter"]) == (0, 0)
    assert measured["effective"] == {"intra": cpus, "inter": cpus}
    for name, expected in (
        ("test_eager[intraauto-interauto]", {"AddV2": 1}),
        ("test_function[intra2-inter1]", {"MatMul": 2, "Tanh": 2}),
        ("test_graph[intra1-inter1]", {"MatMul": 1}),
    ):
        profile = recorded(benchmarks, name)["profile"]
        assert not profile["problems"], name
        now = profile["now"]
        (file,) = (suite.path / "traces" / now["path"]).iterdir()
        assert file.name.endswith(".xplane.pb")
        # oneDNN's kernels are ops of their own.
        counts = {one["op"].removeprefix("_Mkl"): one["count"] for one in now["ops"]}
        assert expected.items() <= counts.items()
        assert "Sinh" not in counts
        times_s = [one["self_s"] for one in now["ops"]]
        assert times_s == sorted(times_s, reverse=True)
        assert 0 < times_s[0] < now["wall_s"]
        assert 0 <= now["outside_s"] < now["wall_s"]


def test_fresh_start_environment_of_the_import_and_the_real_description_of_the_cpu(
    suite, monkeypatch
):
    monkeypatch.delenv("PYTHONPATH")  # where the fake one is
    result, benchmarks = run(
        suite,
        SHORT
        + """
@pytest.mark.tf_threads(intra=2, inter=1, env={"TF_ENABLE_ONEDNN_OPTS": "0"})
def test_it(benchmark):
    import os
    import tensorflow as tf
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    benchmark(tf.add, tf.constant(1.0), 2.0)
""",
        "--tf-threads-start=fresh",
    )
    result.assert_outcomes(passed=1)
    measured = recorded(benchmarks, "test_it[intra2-inter1]")
    assert measured["start"] == "fresh"
    assert measured["effective"] == {"intra": 2, "inter": 1}
    assert measured["machine"]["onednn"] == "0"
    described = json.loads((suite.path / "out.json").read_text())["machine_info"]["cpu"]
    assert described["arch"]
    assert described["count"] >= 1
    assert described.get("brand_raw") != "fake"


def test_tf_data_and_keras_and_retracing(suite):
    result, benchmarks = run(
        suite,
        """
        import tensorflow as tf

        pytestmark = [
            pytest.mark.tf_threads(intra=1, inter=1), pytest.mark.benchmark(max_time=0.3)
        ]

        def pipeline():
            return tf.data.Dataset.range(100).map(lambda x: x * 2, num_parallel_calls=2).batch(10)

        def test_limited(tf_benchmark):
            tf_benchmark.dataset(pipeline(), batches=5, threads=1, items=10, unit="numbers")

        @pytest.mark.tf_threads(intra=2, inter=1)
        def test_following(tf_benchmark):
            tf_benchmark.dataset(pipeline(), batches=5, threads="intra")

        @pytest.mark.tf_threads(intra=1, inter=1, cpus="all")
        def test_unlimited(tf_benchmark):
            tf_benchmark.dataset(pipeline(), batches=5)

        def test_limited_by_its_own_options(tf_benchmark):
            options = tf.data.Options()
            options.threading.private_threadpool_size = 2
            tf_benchmark.dataset(pipeline().with_options(options), batches=5)

        def test_empty(tf_benchmark):
            with pytest.raises(ValueError, match="yields nothing"):
                tf_benchmark.dataset(tf.data.Dataset.range(3).filter(lambda x: x > 5))
            with pytest.raises(ValueError, match="is empty"):
                tf_benchmark.dataset(tf.data.Dataset.range(0))
            with pytest.raises(TypeError, match="not list"):
                tf_benchmark.dataset([1, 2])
            tf_benchmark.benchmark.pedantic(int)

        def test_keras_step(tf_benchmark):
            model = tf.keras.Sequential([tf.keras.layers.Dense(4)])
            model.compile("sgd", "mse")
            x, y = tf.ones((8, 3)), tf.ones((8, 4))
            tf_benchmark(model.train_on_batch, x, y, items=8, unit="examples")

        def test_retraced_function(tf_benchmark):
            step = tf.function(lambda x: x + 1)
            numbers = iter(range(10**9))
            tf_benchmark(lambda: step(next(numbers)))

        def test_function_made_in_every_call(tf_benchmark):
            x = tf.ones(3)
            tf_benchmark(lambda: tf.function(lambda y: y + 1)(x))
        """,
    )
    result.assert_outcomes(passed=8)
    assert len(benchmarks) == 8

    def flags(name):
        return recorded(benchmarks, f"test_{name}[intra1-inter1]")["flags"]

    limited = recorded(benchmarks, "test_limited[intra1-inter1]")
    assert (limited["items"], limited["unit"]) == (50, "numbers")
    assert "unlimited-dataset" not in flags("limited")
    assert "unlimited-dataset" in flags("unlimited")
    assert "unlimited-dataset" not in flags("limited_by_its_own_options")
    assert "crowded-pool" in flags("limited_by_its_own_options")  # two threads on one CPU
    assert "crowded-pool" not in flags("unlimited")
    pools = {
        "limited[intra1": 1,
        "following[intra2": 2,
        "unlimited[intra1": 0,
        "limited_by_its_own_options[intra1": 2,
        "keras_step[intra1": None,
    }
    for name, size in pools.items():
        measured = recorded(benchmarks, f"test_{name}-inter1]")
        assert measured.get("data_threads") == size, name
        # The threads of a pipeline go on between rounds, where the reference workload would run.
        assert ("no-reference" in measured["flags"]) == (size is not None), name
    assert "retraced" in flags("retraced_function")
    assert "retraced" in flags("function_made_in_every_call")
    for name in ("limited", "unlimited", "keras_step"):
        assert "retraced" not in flags(name)


@pytest.mark.usefixtures("no_leftovers")
def test_what_goes_wrong_in_tensorflow_is_explained(suite):
    result, benchmarks = run(
        suite,
        """
        @pytest.mark.tf_threads(intra=1, inter=1, timeout=15)
        @pytest.mark.tf_threads(intra=1, inter=2)
        def test_deadlock_with_one_inter_op_thread():
            import tensorflow as tf

            @tf.function
            def inner(x):
                return x + 1

            @tf.function
            def outer(x):
                return tf.py_function(lambda y: inner(y), [x], tf.float32)

            assert float(outer(tf.constant(1.0))) == 2.0

        @pytest.mark.benchmark(max_time=0.1)
        @pytest.mark.tf_threads(intra=[1, 2], inter=1)
        def test_crash_in_native_code(benchmark, tf_threads):
            import ctypes
            import tensorflow as tf
            benchmark(tf.add, 1.0, 2.0)
            if tf_threads.intra == 1:
                print("so far so good")
                ctypes.string_at(8)

        @pytest.mark.tf_threads(intra=2)
        def test_sets_the_threads_itself():
            import tensorflow as tf
            tf.config.threading.set_intra_op_parallelism_threads(1)
        """,
    )
    result.assert_outcomes(passed=2, failed=3)
    assert list(benchmarks) == ["test_crash_in_native_code[intra2-inter1]"]
    text = " ".join(result.stdout.str().split())
    for name in (
        "test_deadlock_with_one_inter_op_thread[intra1-inter1]",
        "test_crash_in_native_code[intra1-inter1]",
        "test_sets_the_threads_itself[intra2-interauto]",
    ):
        assert f"FAILED test_it.py::{name}" in text
    assert "Likely cause: inter=1" in text
    assert "in inner" in text or "script_ops.py" in text
    assert "killed by SIGSEGV" in text
    assert "so far so good" in text
    assert "Intra op parallelism cannot be modified after initialization" in text


def test_sweeps_recommend_and_call_a_tie_what_cannot_be_told_apart(suite):
    result, benchmarks = run(
        suite,
        """
        @pytest.mark.tf_threads(intra=[1, 2, 4], inter=[1, 2])
        def test_product(tf_benchmark):
            import tensorflow as tf
            factor = tf.random.stateless_uniform((256, 256), seed=(1, 1))
            tf_benchmark(tf.function(lambda: factor @ factor), items=2, unit="products")

        @pytest.mark.tf_threads(1, 1, timeout=100)
        @pytest.mark.tf_threads(1, 1, timeout=101)
        def test_twins(benchmark):
            import tensorflow as tf
            factor = tf.random.stateless_uniform((128, 128), seed=(1, 1))
            benchmark(tf.function(lambda: factor @ factor))

        @pytest.mark.tf_threads(intra=[1, 2, 4], inter=1, cpus=1)
        def test_without_parallelism(benchmark):
            import tensorflow as tf

            @tf.function
            def chain(x):
                for _ in range(200):
                    x = tf.tanh(x) + 1.0
                return x

            benchmark(chain, tf.constant(1.0))
        """,
        "--benchmark-max-time=0.3",
        "-v",
        processes=2,
    )
    result.assert_outcomes(passed=11)
    names = [f"test_product[intra{intra}-inter{inter}]" for intra in (1, 2, 4) for inter in (1, 2)]
    assert list(benchmarks)[:6] == names
    result.stdout.fnmatch_lines([f"*::{name} PASSED*".replace("[", "[[]") for name in names])
    rings = []
    for name in benchmarks:
        measured = recorded(benchmarks, name)
        assert measured["effective"] is not None
        rings.append([one["ring"] for one in measured["processes"]])
    assert rings == [[0, 1]] * 6 + [[2, 3]] * 2 + [[4, 5]] * 3
    result.stdout.fnmatch_lines(
        [
            "*test_product: * is recommended*",
            "*@pytest.mark.tf_threads(intra=*, inter=*)",
            "*tf.config.threading.set_intra_op_parallelism_threads(*)",
            "*TF_NUM_INTRAOP_THREADS=*",
        ]
    )
    sweeps = json.loads((suite.path / "out.json").read_text())["tf_threads"]["sweeps"]
    _, twins, serial = (one["recommendation"] for one in sweeps)
    (other,) = (one for one in twins["configurations"] if one["id"] != twins["best"])
    assert (other["id"] in twins["tied"]) is not other["throughput_to_best"]["distinct"]
    assert other["throughput_to_best"]["rings"] == 2
    # Whether more threads help; its advice is the last one.
    _, _, told = flat(result).rpartition("test_without_parallelism: ")
    assert [one for one in ON_MORE_THREADS if one in told] == on_more_threads(serial)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_duet_takes_turns_with_the_old_code(suite):
    suite.pytester.makepyfile(
        product="import tensorflow as tf\n\ndouble = tf.function(lambda x: x * 2)\n"
    )
    suite.write(
        """
        import product

        @pytest.mark.tf_threads(intra=2, inter=1)
        def test_double(benchmark):
            benchmark(product.double, 1.0)
            benchmark.extra_info["code"] = open(product.__file__).read()
        """
    )
    git = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    for args in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *args], cwd=suite.path, check=True)
    (suite.path / "product.py").write_text(
        "import tensorflow as tf\n\ndouble = lambda x: tf.constant(x) * 2\n"
    )
    args = ("--tf-threads-duet=HEAD", "--tf-threads-max-processes=2", "--benchmark-max-time=0.2")
    result, benchmarks = suite.results("--tf-threads-timeout=120", *args, subprocess=True)
    (one,) = benchmarks.values()
    assert "tf.constant" in one["extra_info"]["code"]
    assert len(one["extra_info"]["tf_threads"]["duet"]["pairs"]) == 2
    result.stdout.fnmatch_lines(["*(HEAD), side by side in 2 pairs of processes*"])


def test_prefetching_pipelines_take_turns(suite):
    """Threads of tf.data that are the process's own: they must neither hang nor be told apart."""
    _, benchmarks = run(
        suite,
        """
        @pytest.mark.tf_threads(1, 1, cpus=2, timeout=100)
        @pytest.mark.tf_threads(1, 1, cpus=2, timeout=101)
        def test_pipeline(tf_benchmark):
            import tensorflow as tf
            numbers = tf.data.Dataset.range(10**9)
            sums = numbers.map(
                lambda seed: tf.reduce_sum(tf.random.stateless_uniform((4000,), (seed, 1))),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            tf_benchmark.dataset(sums.batch(8).prefetch(tf.data.AUTOTUNE), batches=4, threads=2)
        """,
        "--benchmark-max-time=0.5",
        processes=2,
    )
    rings = [
        [process["ring"] for process in one["extra_info"]["tf_threads"]["processes"]]
        for one in benchmarks.values()
    ]
    assert rings == [[0, 1], [0, 1]]


def test_reference_workload_runs_whatever_the_test_is_in_and_leaves_no_trace(suite):
    result, benchmarks = run(
        suite,
        """
        import time
        import tensorflow as tf

        pytestmark = [
            pytest.mark.tf_threads(intra=2, inter=1), pytest.mark.benchmark(max_time=0.6)
        ]

        def step():
            time.sleep(0.005)

        def test_function(benchmark):
            x = tf.ones((100, 100))
            benchmark(tf.function(lambda: x @ x))

        def test_pedantic(benchmark):
            benchmark.pedantic(step, rounds=100)

        def test_graph(benchmark):
            with tf.Graph().as_default() as graph:
                tf.constant(1.0)
                benchmark(step)
                assert len(graph.get_operations()) == 1

        def test_session(benchmark):
            tf.compat.v1.disable_eager_execution()
            x = tf.compat.v1.placeholder(tf.float32)
            with tf.compat.v1.Session() as session:
                benchmark(session.run, x + 1.0, {x: 1.0})

        def test_strategy(benchmark):
            with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
                benchmark(tf.Variable(1.0).assign_add, 1.0)

        def test_device(benchmark):
            with tf.device("GPU:0"):
                benchmark(step)

        def test_tape(benchmark):
            with tf.GradientTape(persistent=True) as tape:
                benchmark(step)
            assert not tape.watched_variables()

        def test_policies(benchmark):
            tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
            tf.config.experimental.enable_op_determinism()
            tf.config.run_functions_eagerly(True)
            tf.random.set_seed(1)
            benchmark(step)
            number = tf.random.uniform(())
            tf.random.set_seed(1)
            assert number == tf.random.uniform(())

        def test_debugged(benchmark, tmp_path):
            tf.debugging.enable_check_numerics()
            tf.debugging.experimental.enable_dump_debug_info(
                str(tmp_path), tensor_debug_mode="FULL_TENSOR"
            ).FlushNonExecutionFiles()
            benchmark(step)
            (executed,) = tmp_path.glob("*.execution")
            assert b"MatMul" not in executed.read_bytes()

        def test_asynchronous(benchmark):
            tf.config.experimental.set_synchronous_execution(False)
            benchmark(step)
        """,
    )
    result.assert_outcomes(passed=10)
    references_s = []
    for name in benchmarks:
        measured = recorded(benchmarks, name)
        (process,) = measured["processes"]
        if name.startswith("test_asynchronous"):
            assert "no-reference" in measured["flags"]
            assert process["reference_wall_s"] is process["reference_cpu_s"] is None
        else:
            assert not {"no-reference", "retraced"} & set(measured["flags"]), name
            references_s += [process["reference_wall_s"], process["reference_cpu_s"]]
    # Where rounds take long, for other programs run, it may run too seldom to count.
    assert any(references_s)
    assert all(one is None or one > 0 for one in references_s)


def test_doctor_tells_of_the_build(real_suite):
    command = [sys.executable, "-m", "pytest_tfthreads", "doctor", "--no-measure", "--json"]
    run = subprocess.run(command, capture_output=True, text=True)
    findings = {one["name"]: one for one in json.loads(run.stdout)["machine"]}
    assert findings["TensorFlow"]["value"][0].isdigit()
    assert findings["oneDNN"]["value"].startswith(("on (", "off ("))
    assert findings["forking"]["status"] == "ok"


def test_logical_devices_are_configured_by_the_hook_and_share_the_pools(real_suite):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "measuring-processes.md"
    _, _, rest = page.read_text(encoding="utf-8").partition("```python\n")
    real_suite.write(
        """
        import tensorflow as tf

        @pytest.mark.tf_threads(intra=2, inter=1)
        def test_mirrored(benchmark, tf_threads):
            assert (tf_threads.intra, tf_threads.inter) == (2, 1)
            strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
            assert strategy.num_replicas_in_sync == 2
            step = tf.function(lambda: strategy.run(lambda: tf.ones((8, 8)) @ tf.ones((8, 8))))
            benchmark.pedantic(step, rounds=3)

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_reset(benchmark):
            from tensorflow.python.eager import context
            context._reset_context()
            benchmark.pedantic(tf.ones, ((8, 8),), rounds=3)
        """,
        conftest=rest.partition("```")[0],
    )
    result = real_suite.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*something set intra=0, inter=0 while the test ran*"])


def test_methods_of_tensorflow_and_absl_run_under_each_configuration(real_suite):
    source = """
        import tensorflow as tf
        from absl.testing import parameterized

        class TestCase(tf.test.TestCase, parameterized.TestCase):
            {above}
            @parameterized.parameters(3, 4)
            {below}
            def test_product(self, factor):
                with self.cached_session():
                    self.assertAllEqual(tf.constant(factor) * 2, 2 * factor)
                assert self._testMethodName.startswith("test_product")
                assert "[" not in self.id()
                assert tf.config.threading.get_inter_op_parallelism_threads() == 1
    """
    marker = "@pytest.mark.tf_threads(intra=[1, 2], inter=1)"
    # In processes of their own: both import TensorFlow, which no process survives twice.
    suite = real_suite.write(source.format(above="", below=marker))
    result = suite.run("-rA", "-k", "product", subprocess=True)
    assert result.parseoutcomes()["passed"] == 4
    for case in ("intra1-inter1", "intra2-inter1"):
        result.stdout.fnmatch_lines([f"PASSED test_it.py::TestCase::test_product0[[]{case}]"])
    result = real_suite.write(source.format(above=marker, below="")).run(
        "--collect-only", subprocess=True
    )
    result.stdout.fnmatch_lines(["*test_it.py::TestCase::test_product0: *directly above the def*"])
