"""--tf-threads-profile: traces of what was measured, and why there is none of the rest."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_tfthreads.core.threads import ConfigError
from pytest_tfthreads.pytest_bridge.options import ProfileWish
from pytest_tfthreads.runner.traces import Profiles, folder_of

SUITE = """
import time
from pathlib import Path
import tensorflow as tf

pytestmark = [pytest.mark.tf_threads(1, 1), pytest.mark.benchmark(max_time=0.05)]

def test_plain(benchmark):
    benchmark(time.sleep, 0.005)

def test_own_rounds(tf_benchmark):
    tf_benchmark.pedantic(time.sleep, (0.005,), rounds=3, iterations=2)

def test_own_profiler(benchmark):
    tf.profiler.experimental.start("elsewhere")
    benchmark.pedantic(time.sleep, (0.005,))
    tf.profiler.experimental.stop(save=False)

def test_once_only(benchmark):
    benchmark.pedantic(time.sleep, (0.005,))
    Path("once").touch(exist_ok=False)

@pytest.mark.tf_threads(1, 1, env={"FAKE_TF_DISK_FULL": "1"})
def test_disk_is_full(benchmark):
    benchmark.pedantic(time.sleep, (0.005,))

def test_measures_nothing():
    pass
"""


def profiles(benchmarks):
    return {
        name.partition("[")[0]: one["extra_info"]["tf_threads"].get("profile")
        for name, one in benchmarks.items()
    }


def test_traces_are_stored_and_those_that_cannot_be_taken_fail_nothing(suite):
    result, benchmarks = suite.write(SUITE).results(
        "-n1", "--tf-threads-profile=traces/new", subprocess=True
    )
    result.assert_outcomes(passed=6)
    found = profiles(benchmarks)
    untraced = ["test_own_profiler", "test_once_only", "test_disk_is_full"]
    assert list(found) == ["test_plain", "test_own_rounds", *untraced]
    directory = suite.path / "traces" / "new"
    runs = []
    for name, calls in (("test_plain", None), ("test_own_rounds", 4)):
        now = found[name]["now"]
        assert found[name]["directory"] == str(directory)
        assert not found[name]["problems"]
        assert calls in (None, now["calls"])
        assert now["wall_s"] >= 0.005
        (op,) = now["ops"]
        assert op["op"] == "Work"
        assert 0 < op["self_s"] < now["wall_s"]
        run = directory / now["path"]
        assert [file.name for file in run.iterdir()] == ["here.xplane.pb"]
        assert run.parent.parts[-2:] == ("plugins", "profile")
        assert len(list(run.parents[2].glob("events.out.tfevents.*"))) == 1
        runs.append(run.parents[2].name)
    assert sorted(file.name for file in directory.iterdir()) == sorted(runs)
    for name in untraced:
        assert found[name]["now"] is None
    result.stdout.fnmatch_lines(
        [
            f"Traces: tensorboard --logdir {directory}",
            "  test_plain[[]intra1-inter1[]]: test_it.py-test_plain-*/plugins/profile/2026*",
            "    ms a call: *; outside of ops *; the ops' own: Work *",
            "  test_own_profiler*: no trace of the current tree: *Another profiler is running.",
            "  test_once_only*: no trace of the current tree: *FileExistsError*",
            "  test_disk_is_full*: no trace of the current tree: *No space left on device",
            "test_it.py::test_measures_nothing[[]intra1-inter1[]]: no trace: it measures nothing",
        ]
    )


def test_regressions_are_traced_and_shown_beside_the_saved_run(suite):
    suite.write(
        """
        from exact_time import sleep

        pytestmark = pytest.mark.benchmark(warmup=False, max_time=0.1)

        @pytest.mark.tf_threads(1, 1, tolerance={"cpu_efficiency": "99%"})
        def test_slower(benchmark):
            benchmark(sleep, float(open("ms").read()) / 1000)

        @pytest.mark.tf_threads(1, 1, tolerance="99%")
        def test_steady(benchmark):
            benchmark(sleep, 0.005)
        """
    )
    (suite.path / "ms").write_text("5")
    unjudged = suite.run("--tf-threads-profile=traces:regressed", "-k", "steady")
    unjudged.stdout.fnmatch_lines(["--tf-threads-profile: no traces: nothing is known to have*"])
    assert not (suite.path / "traces").exists()
    suite.run("--tf-threads-profile=traces", "--benchmark-save=x")
    (suite.path / "ms").write_text("50")
    options = ["--tf-threads-profile=traces:regressed", "--benchmark-compare"]
    result, benchmarks = suite.results(*options, "--tf-threads-max-processes=1")
    result.assert_outcomes(failed=1, passed=1)
    found = profiles(benchmarks)
    assert found["test_steady"] is None
    assert found["test_slower"]["now"]["wall_s"] > 5 * found["test_slower"]["baseline"]["wall_s"]
    assert found["test_slower"]["baseline"]["path"] is None
    result.stdout.fnmatch_lines(
        [
            "  test_slower[[]intra1-inter1[]]: test_it.py-test_slower-*/plugins/profile/2026*-2",
            "    baseline: *0001_x.json*",
            "    ms a call * now * baseline",
            "    Work * * *",
            "    outside of ops * * *",
        ]
    )


@pytest.mark.parametrize(
    ("text", "directory", "only_regressed"),
    [
        ("traces", "start/traces", False),
        ("traces:regressed", "start/traces", True),
        ("/a:b/traces", "/a:b/traces", False),
        ("/a:b/traces:regressed", "/a:b/traces", True),
        ("../traces", "start/../traces", False),
    ],
)
def test_directory_and_what_is_wanted(text, directory, only_regressed):
    wish = ProfileWish.parse(text, "--tf-threads-profile", Path("start"))
    assert wish == ProfileWish(Path(directory), only_regressed)


@pytest.mark.parametrize("text", ["", ":regressed", "traces:", "traces:regresed", __file__])
def test_what_is_no_directory_is_refused(text):
    with pytest.raises(ConfigError, match=r"--tf-threads-profile: .*director"):
        ProfileWish.parse(text, "--tf-threads-profile", Path("start"))


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        ("test_it.py", "*/test_it.py is no directory; name one*"),
        ("~nobody_here/x", "there is no home directory of ~nobody_here:*"),
    ],
)
def test_a_directory_that_cannot_be_used_is_a_usage_error(suite, directory, message):
    suite.write("def test_it():\n    pass\n")
    result = suite.run(f"--tf-threads-profile={directory}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--tf-threads-profile: {message}"])


def test_a_name_that_no_directory_can_have_is_left_to_those_who_make_it():
    wish = ProfileWish.parse("x" * 300, "--tf-threads-profile", Path("start"))
    assert wish.directory == Path("start", "x" * 300)


def test_names_of_folders_are_safe_and_differ():
    ids = ["a.py::test_x[1-2]", "a.py::test_x[1/2]", "../..", "é", "x" * 999, "x" * 998, "-rf *"]
    names = [folder_of(one) for one in ids]
    assert len(set(names)) == len(ids)
    for name in names:
        assert os.path.basename(name) == name
        assert len(name) < 120
        assert name[0] not in "."
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._=-")
    assert names[0].startswith("a.py-test_x-1-2-")


# -- what killed runs leave -----------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from pytest_tfthreads.system.locked_directory import PrivateDirectory
place = PrivateDirectory.make(Path(sys.argv[1]), ".tf-threads-")
(place.path / "plugins").mkdir()
print(place.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holders(tmp_path):
    """Starts processes that are taking a trace, and says where; `kill` ends them."""
    started = []

    def start():
        command = [sys.executable, "-c", HOLDER, str(tmp_path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, **pipes))
        return Path(started[-1].stdout.readline().strip())

    def kill():
        while started:
            one = started.pop()
            one.kill()
            one.communicate()

    yield SimpleNamespace(start=start, kill=kill)
    kill()


def take(directory, look=lambda partial: None):
    """What is said of a trace that comes to nothing once all was made ready for it."""
    rings = SimpleNamespace(trace=lambda item_run, partial: look(partial))
    item_run = SimpleNamespace(problem="nothing came", variant=SimpleNamespace(title="this code"))
    return Profiles(rings, directory, "--tf-threads-profile").take(item_run, None)


NOTHING_CAME = ("no trace of this code: nothing came",)


def test_what_a_killed_run_left_of_a_trace_is_removed_and_no_living_runs(tmp_path, holders):
    killed = holders.start()
    holders.kill()
    living = holders.start()
    others = tmp_path / ".tf-threads-others"
    others.mkdir(mode=0o755)
    linked = tmp_path / ".tf-threads-linked"
    linked.symlink_to(tmp_path)
    assert killed.is_dir()

    def look(partial):
        assert {*tmp_path.iterdir()} == {living, others, linked, partial}
        descriptor = os.open(partial, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)

    assert take(tmp_path, look).traces.problems == NOTHING_CAME
    assert {*tmp_path.iterdir()} == {living, others, linked}
    assert (living / "plugins").is_dir()


def test_where_there_are_no_locks_traces_are_taken_and_what_others_left_stays(
    tmp_path, holders, monkeypatch
):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    left = holders.start()
    holders.kill()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    seen = []
    assert take(tmp_path, seen.append).traces.problems == NOTHING_CAME
    assert len(seen) == 1
    assert [*tmp_path.iterdir()] == [left]


def test_a_directory_that_takes_no_trace_is_told_of(tmp_path):
    (tmp_path / "file").touch()
    taken = take(tmp_path / "file" / "traces")
    assert "cannot be written: Not a directory" in taken.traces.problems[0]
    assert taken.unwritten[0].startswith("--tf-threads-profile: ")
