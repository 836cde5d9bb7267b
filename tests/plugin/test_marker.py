"""The marker and the options, as people type them."""

import os
import sys
from dataclasses import replace

import pytest

from pytest_tfthreads.core.gate.verdict import Policy
from pytest_tfthreads.pytest_bridge.options import Settings, read_settings


def collected(result):
    return [line for line in result.stdout.lines if "::" in line]


def collect(suite, *args):
    return collected(suite.run("--collect-only", "-q", *args))


def test_ids_on_functions_classes_and_modules(suite):
    suite.write(
        """
        pytestmark = pytest.mark.tf_threads(intra=1)

        def test_of_module(): pass

        @pytest.mark.tf_threads(intra=[2, "physical"], inter=[1, 2])
        def test_own_wins(): pass

        @pytest.mark.tf_threads(configs=[(8, 4), ("2*physical", 0)])
        class TestClass:
            def test_of_class(self): pass

            @pytest.mark.tf_threads(3)
            def test_own_wins(self): pass

        @pytest.mark.tf_threads(intra=5)
        @pytest.mark.tf_threads(intra=6)
        def test_two_add_up(): pass

        @pytest.mark.parametrize("batch", [1, 32])
        def test_parametrised(batch): pass
        """
    )
    assert collect(suite) == [
        "test_it.py::test_of_module[intra1-interauto]",
        "test_it.py::test_own_wins[intra2-inter1]",
        "test_it.py::test_own_wins[intra2-inter2]",
        "test_it.py::test_own_wins[intraphysical-inter1]",
        "test_it.py::test_own_wins[intraphysical-inter2]",
        "test_it.py::TestClass::test_of_class[intra8-inter4]",
        "test_it.py::TestClass::test_of_class[intra2*physical-interauto]",
        "test_it.py::TestClass::test_own_wins[intra3-interauto]",
        "test_it.py::test_two_add_up[intra6-interauto]",
        "test_it.py::test_two_add_up[intra5-interauto]",
        "test_it.py::test_parametrised[1-intra1-interauto]",
        "test_it.py::test_parametrised[32-intra1-interauto]",
    ]


def test_order_of_the_tests_is_that_of_the_file(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2])
        def test_a(tf_threads): pass

        @pytest.mark.tf_threads(intra=[1, 2])
        def test_b(tf_threads): pass
        """
    )
    names = [line.split("::")[1] for line in collect(suite)]
    assert names == [f"test_{name}[intra{intra}-interauto]" for name in "ab" for intra in (1, 2)]


def test_every_id_can_be_run_alone(suite):
    suite.write(
        """
        @pytest.mark.parametrize("text", ["a/b", "x::y", "[z]"])
        @pytest.mark.tf_threads(intra=["physical/2", "2*physical"])
        def test_it(text, tf_threads): pass
        """
    )
    suite.run().assert_outcomes(passed=6)
    suite.run("test_it.py::test_it[x::y-intraphysical/2-interauto]").assert_outcomes(passed=1)
    suite.run("-k", "physical/2").assert_outcomes(passed=3, deselected=3)


def test_spec_replaces_the_markers_configurations(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2], processes=7)
        def test_marked(): pass

        def test_unmarked(): pass
        """
    )
    assert collect(suite, "--tf-threads=8x4,4x8") == [
        "test_it.py::test_marked[intra8-inter4]",
        "test_it.py::test_marked[intra4-inter8]",
        "test_it.py::test_unmarked",
    ]
    assert len(collect(suite, "--tf-threads=intra=1,2,4;inter=1,2")) == 7
    suite.run("--tf-threads=3x2").assert_outcomes(passed=2)


def test_spec_that_configures_nothing_is_not_passed_over(suite):
    suite.write("def test_it(): pass")
    result = suite.run("--tf-threads=1x1", subprocess=True)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*--tf-threads has nothing to configure*"])


def test_ini_keys(suite):
    suite.pytester.makeini(
        """
        [pytest]
        tf_threads = 2x2
        tf_threads_processes = 2
        tf_threads_start = fresh
        tf_threads_timeout = 100
        """
    )
    suite.write(
        """
        @pytest.mark.benchmark(warmup=False, max_time=0.001)
        @pytest.mark.tf_threads(intra=1)
        def test_it(benchmark):
            benchmark(int)
        """
    )
    result = suite.pytester.runpytest("-p", "no:cacheprovider", "--benchmark-json=out.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_it[[]intra2-inter2]*fresh*"])
    result = suite.pytester.runpytest("-p", "no:cacheprovider", "--tf-threads-start=fork")
    assert "fresh:" not in result.stdout.str()


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("intra=-1", "*test_it.py::test_it: @pytest.mark.tf_threads: intra: -1 is negative*"),
        ("inta=1", "*test_it.py::test_it: @pytest.mark.tf_threads: inta: unknown argument*"),
        ("inter='cores'", "*tf_threads: inter: unknown symbol 'cores'; known are*"),
        ("instances=0", "*tf_threads: instances: 0 is no number of instances; use an integer*"),
    ],
)
def test_bad_markers_are_collection_errors(suite, mark, message):
    suite.write(f"@pytest.mark.tf_threads({mark})\ndef test_it(): pass")
    result = suite.run()
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([message])
    assert "Traceback" not in result.stdout.str()
    assert "During handling" not in result.stdout.str()


def test_marker_on_a_parameter_says_what_to_do(suite):
    suite.write(
        """
        @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.tf_threads(intra=2))])
        def test_it(x): pass
        """
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_it*put the marker on the function*"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--tf-threads-tolerance=5",
            "*'5' is no share above 0% and below 100%; use 5%, or*",
        ),
        ("--tf-threads=8", "*--tf-threads: '8' is no configuration; use INTRAxINTER pairs*"),
        ("--tf-threads-processes=0", "*--tf-threads-processes: 0 is no number of processes*"),
        ("--tf-threads-processes=two", "*--tf-threads-processes: 'two' is no number*"),
        ("--tf-threads-start=spoon", "*--tf-threads-start: 'spoon' is none of auto, fork, fresh*"),
        ("--tf-threads-timeout=-1", "*--tf-threads-timeout: -1.0 is no time-out*"),
        ("--tf-threads-timeout=soon", "*--tf-threads-timeout: 'soon' is no time-out*"),
        ("--tf-threads-lease-timeout=soon", "*--tf-threads-lease-timeout: 'soon' is no time-out*"),
        ("--tf-threads-max-processes=0", "*--tf-threads-max-processes: '0' is no integer >= 1*"),
        ("--tf-threads-max-processes=x", "*--tf-threads-max-processes: 'x' is no integer >= 1*"),
        ("--tf-threads-share=perhaps", "*--tf-threads-share: 'perhaps' is none of auto, off*"),
        (
            "--tf-threads-preload=off,x",
            "*--tf-threads-preload: 'off' is no name of a module; use auto, off, or names such*",
        ),
        ("--tf-threads-preload=a-b", "*--tf-threads-preload: 'a-b' is no name of a module*"),
    ],
)
def test_bad_options_are_usage_errors(suite, option, message):
    suite.write("def test_it(): pass")
    result = suite.pytester.runpytest("-p", "no:cacheprovider", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_bad_ini_keys_are_named(suite):
    suite.pytester.makeini("[pytest]\ntf_threads_processes = none")
    result = suite.pytester.runpytest()
    result.stderr.fnmatch_lines(["*ini key tf_threads_processes: 'none' is no number*"])


def test_an_ini_key_without_a_value_says_nothing(suite):
    suite.pytester.makeini("[pytest]\ntf_threads_processes =\n")
    settings = read_settings(suite.pytester.parseconfig("-p", "no:cacheprovider"))
    assert settings.processes == Settings().processes


def test_markers_fixtures_and_help_read_well(suite):
    suite.write("")
    suite.run("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.tf_threads(intra=None, inter=None, [*], instances=None, *"]
    )
    fixtures = suite.run("--fixtures").stdout
    fixtures.fnmatch_lines(["tf_threads*session scope*", "*The configuration in force*"])
    fixtures.fnmatch_lines(["tf_benchmark*", "*throughput in your unit*"])
    assert "_tf_threads_case" not in fixtures.str()
    help_text = suite.run("--help").stdout.str()
    for option in (
        *("", "-processes", "-start", "-timeout", "-group", "-turn", "-seed"),
        *("-tolerance", "-fail-on"),
    ):
        assert f"--tf-threads{option}=" in help_text
        assert f"tf_threads{option.replace('-', '_')} (string)" in help_text
    assert "--tf-threads-search" in help_text
    assert "(default: 5%)" in help_text


def test_without_the_plugin_tests_run_here(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=[1, 2])
        def test_it(benchmark):
            benchmark.pedantic(int)
        """
    )
    result = suite.pytester.runpytest(
        "-p",
        "no:cacheprovider",
        "-p",
        "no:tfthreads",
        "-W",
        "ignore::pytest.PytestUnknownMarkWarning",
    )
    result.assert_outcomes(passed=1)


def test_fixtures_without_the_marker_say_what_to_do(suite):
    suite.write(
        """
        def test_threads(tf_threads): pass
        def test_benchmark(tf_benchmark): pass
        """
    )
    result = suite.run(subprocess=True)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*tf_threads and tf_benchmark need a process*mark the*"])


def test_tensorflow_is_not_imported_without_need(suite, monkeypatch):
    monkeypatch.setenv("FAKE_TF_BROKEN", "1")
    suite.write(
        """
        import sys

        def test_local():
            assert "tensorflow" not in sys.modules
            assert "numpy" not in sys.modules
            assert "scipy" not in sys.modules

        @pytest.mark.tf_threads(intra=1)
        def test_marked():
            pass
        """
    )
    suite.run("-k", "local", subprocess=True).assert_outcomes(passed=1, deselected=1)
    result = suite.run("--help", subprocess=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*--tf-threads-processes=N*"])


def test_env_is_set_before_tensorflow_is_imported(suite, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    suite.write(
        """
        import os

        ENV = {"FAKE_TF_EAGER_THREAD": "1", "CUDA_VISIBLE_DEVICES": "1"}

        @pytest.mark.tf_threads(intra=1, env=ENV)
        def test_env():
            assert os.environ["FAKE_TF_EAGER_THREAD"] == "1"
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"

        @pytest.mark.tf_threads(intra=1)
        def test_default():
            assert "FAKE_TF_EAGER_THREAD" not in os.environ
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"  # this tool measures CPUs
            assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
        """
    )
    suite.run().assert_outcomes(passed=2)


def test_cpus_pin_the_process(suite):
    available = len(os.sched_getaffinity(0))
    suite.write(
        f"""
        import os

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_default():
            assert len(os.sched_getaffinity(0)) == 1

        @pytest.mark.tf_threads(intra=1, inter=1, cpus="all")
        def test_all():
            assert len(os.sched_getaffinity(0)) == {available}

        @pytest.mark.tf_threads(intra=1, inter=1, cpus=999)
        def test_at_most_all(tf_threads):
            assert len(os.sched_getaffinity(0)) == {available} == len(tf_threads.cpus)
        """
    )
    suite.run().assert_outcomes(passed=3)


def test_arguments_of_the_invocation_reach_the_measuring_process(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1)
        def test_it(request, pytestconfig):
            assert pytestconfig.getoption("--own") == "a value"
            assert pytestconfig.getini("xfail_strict")
            assert str(pytestconfig.rootpath) == str(pytestconfig.invocation_params.dir)
        """,
        conftest="""
        def pytest_addoption(parser):
            parser.addoption("--own")
        """,
    )
    suite.pytester.makeini("[pytest]\nxfail_strict = true")
    suite.run("--own", "a value", "test_it.py").assert_outcomes(passed=1)


def test_runs_from_another_directory_and_in_a_package(suite):
    package = suite.pytester.mkpydir("package")
    (package / "helper.py").write_text("VALUE = 3\n")
    (package / "test_inside.py").write_text(
        "import pytest\n"
        "from .helper import VALUE\n"
        "@pytest.mark.tf_threads(intra=1)\n"
        "def test_inside():\n    assert VALUE == 3\n"
    )
    suite.pytester.makeini("[pytest]")
    suite.run().assert_outcomes(passed=1)
    os.chdir(package)
    result = suite.pytester.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_doctests_are_no_test_functions_and_left_alone(suite):
    suite.write(
        """
        pytestmark = pytest.mark.tf_threads(intra=[1, 2], inter=1)

        def double(x):
            \"\"\"
            >>> import os
            >>> double(2), "PYTEST_TFTHREADS_PROCESS" in os.environ
            (4, False)
            \"\"\"
            return 2 * x

        def test_it():
            assert double(1) == 2
        """,
        conftest="""
        import os
        import pytest

        class Own(pytest.Item):
            def runtest(self):
                assert (self.name == "marked") == ("PYTEST_TFTHREADS_PROCESS" in os.environ)

        class OwnFile(pytest.File):
            def collect(self):
                self.add_marker(pytest.mark.tf_threads(intra=[1, 2]))
                yield Own.from_parent(self, name="a::b[c]")
                marked = Own.from_parent(self, name="marked")
                marked.add_marker(pytest.mark.tf_threads(intra=1))
                yield marked

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".own":
                return OwnFile.from_parent(parent, path=file_path)
        """,
    )
    (suite.path / "test.own").touch()
    suite.run("--doctest-modules").assert_outcomes(passed=5)


def test_iterables_in_the_markers_of_a_module(suite):
    suite.write(
        """
        import numpy

        pytestmark = pytest.mark.tf_threads(intra=(2 * n for n in (1, 2)), inter=numpy.arange(1, 2))

        @pytest.mark.parametrize("x", [0])
        def test_first(x): pass

        def test_second(): pass

        @pytest.mark.tf_threads(configs={(1, 1): None}.keys(), cpus=numpy.int64(1))
        def test_pairs(): pass
        """
    )
    assert collect(suite) == [
        "test_it.py::test_first[0-intra2-inter1]",
        "test_it.py::test_first[0-intra4-inter1]",
        "test_it.py::test_second[intra2-inter1]",
        "test_it.py::test_second[intra4-inter1]",
        "test_it.py::test_pairs[intra1-inter1]",
    ]


needs_types = pytest.mark.skipif(
    int(pytest.__version__.partition(".")[0]) < 9, reason="since pytest 9 ini values have types"
)


def read(suite, toml):
    """The settings that a file says, or the error."""
    (suite.path / "pytest.toml").write_text(f"[pytest]\n{toml}\n")
    config = suite.pytester.parseconfig("-p", "no:cacheprovider")
    return read_settings(config)


def test_a_command_asks_for_the_markers_configurations(suite):
    suite.pytester.makeini("[pytest]\ntf_threads_search = true\n")
    assert read_settings(suite.pytester.parseconfig("-p", "no:cacheprovider")).search
    config = suite.pytester.parseconfig("-p", "no:cacheprovider", "--tf-threads-abreast=3")
    settings = read_settings(config)
    assert (settings.search, settings.configs) == (False, ())


@needs_types
def test_ini_values_of_their_natural_types(suite):
    settings = read(
        suite,
        """
        tf_threads = [[8, 4], "4x8", ["physical", 1], [1, 1, "fill"], "1x1x2"]
        tf_threads_processes = 2
        tf_threads_max_processes = 7
        tf_threads_start = "fresh"
        tf_threads_timeout = 1.5
        tf_threads_lease_timeout = 20
        tf_threads_group = 3
        tf_threads_turn = 4
        tf_threads_seed = 0
        tf_threads_tolerance = {throughput = "7%"}
        tf_threads_fail_on = ["regression", "no-baseline"]
        tf_threads_pack = true
        tf_threads_duet = true
        tf_threads_report = "report.html"
        tf_threads_profile = "traces"
        """,
    )
    assert [config.id for config in settings.configs] == [
        "intra8-inter4",
        "intra4-inter8",
        "intraphysical-inter1",
        "intra1-inter1-xfill",
        "intra1-inter1-x2",
    ]
    assert (settings.processes, settings.max_processes, settings.start) == (2, 7, "fresh")
    assert (settings.timeout_s, settings.lease_timeout_s) == (1.5, 20)
    assert (settings.group, settings.rounds_a_turn, settings.seed) == (3, 4, 0)
    policy = Policy().with_tolerance({"throughput": 0.07})
    assert settings.policy == replace(policy, fail_on=frozenset({"regression", "no-baseline"}))
    assert settings.pack
    assert settings.duet == "baseline"
    assert (settings.report.path, settings.profile.directory) == (
        suite.path / "report.html",
        suite.path / "traces",
    )
    settings = read(suite, "tf_threads = {intra = [1, 2], inter = 1}\ntf_threads_duet = false")
    assert [config.id for config in settings.configs] == ["intra1-inter1", "intra2-inter1"]
    assert settings.duet is None
    assert not settings.duet_if_open
    settings = read(suite, "tf_threads = {intra = 1, instances = [1, 'fill']}")
    assert [config.id for config in settings.configs] == [
        "intra1-interauto-x1",
        "intra1-interauto-xfill",
    ]
    assert read(suite, "tf_threads_search = true\ntf_threads = '1x1,2x1'").search


@needs_types
@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("tf_threads_processes = true", "ini key tf_threads_processes: True is a boolean"),
        ("tf_threads_processes = [1]", r"ini key tf_threads_processes: \[1\] is a list"),
        ("tf_threads_processes = 1.5", "ini key tf_threads_processes: '1.5' is no number"),
        ("tf_threads_group = -1", "ini key tf_threads_group: '-1' is no integer"),
        ("tf_threads_fail_on = {a = 1}", "ini key tf_threads_fail_on: {'a': 1} is a table"),
        ("tf_threads_fail_on = [[1, 2]]", r"ini key tf_threads_fail_on: \[1, 2\] is of type list"),
        ("tf_threads_report = 2020-02-02", "ini key tf_threads_report: .* is of type date"),
        ("tf_threads_duet = 1.5\ntf_threads_search = true", "--tf-threads-search compares"),
        ("tf_threads = [true]", "ini key tf_threads: True is of type bool"),
    ],
)
def test_ini_values_of_another_type_name_the_key(suite, toml, message):
    with pytest.raises(pytest.UsageError, match=message):
        read(suite, toml)


def test_lists_in_the_old_table_of_pyproject(suite):
    (suite.path / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\n"
        "tf_threads_processes = 2\n"
        "tf_threads_fail_on = ['regression', 'inconclusive']\n"
    )
    settings = read_settings(suite.pytester.parseconfig("-p", "no:cacheprovider"))
    assert settings.processes == 2
    assert settings.policy.fail_on == {"regression", "inconclusive"}
    config = suite.pytester.parseconfig("-p", "no:cacheprovider", "-o", "tf_threads_processes=5")
    assert read_settings(config).processes == 5
