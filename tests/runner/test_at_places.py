"""Who takes turns with whom where a command has tests measured at places: scripted processes."""

import contextlib
import itertools
import os
import shutil
import socket
from pathlib import Path

import pytest

from git_projects import git
from pytest_tfthreads.core.abreast import Begun, Collected, Ended, MeasuredPlaces, Place, Wish
from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.engine.protocol import Connection, ConnectionClosedError

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    # Old releases of pytest-benchmark leave its file open where it has nothing to write.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TEST = """
@pytest.mark.tf_threads(1, 1)
def test_busy(benchmark):
    benchmark(sum, range(10))

@pytest.mark.tf_threads(1, 1)
def test_asking(request):
    pass

@pytest.mark.tf_threads(2, 1)
def test_plain():
    pass
"""
RELEASES = ["v0", "v1", "v2", "v3", "v4"]
CURRENT = "changed"
KINDS = {"collected": Collected, "begun": Begun, "found": MeasuredPlaces, "over": Ended}


@pytest.fixture
def project(scripted, monkeypatch, tmp_path):
    """A repository with five tags, each of which has a file with its name."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)  # it is remembered within a process
    scripted.temporary = temporary
    scripted.pytester.makeini("[pytest]\nfilterwarnings = default\n")
    scripted.write(TEST)
    git(scripted.path, "init", "-q", "-b", "main")
    scripted.commits = {}
    for name in RELEASES:
        (scripted.path / "release").write_text(name)
        git(scripted.path, "add", "test_it.py", "tox.ini", "release")
        git(scripted.path, "commit", "-q", "-m", name)
        git(scripted.path, "tag", name)
        scripted.commits[name] = git(scripted.path, "rev-parse", name)
    (scripted.path / "release").write_text("changed")
    scripted.interpreters, scripted.deals = itertools.repeat(1), []
    scripted.uses_benchmark = lambda test: test == "test_busy"
    return scripted


def told(connection):
    """All that the run has said."""
    with contextlib.suppress(ConnectionClosedError):
        while True:
            message, _ = connection.receive()
            kind = KINDS.get(message["kind"])
            yield message["kind"] if kind is None else decode(kind, message)


def converse(project, wishes, *args, fails=()):
    """A run that is asked this, each of its tests for a list of wishes (names, passes).

    The releases of each ring, and all that the run answered. The first ring of a test is its
    process in the current tree.
    """
    rings = []
    script = project.script

    def executor(config, *_):
        project.executor.config = config
        run = project.executor.run

        def seen(batch):
            names = [(Path(job.home.cwd) / "release").read_text() for job in batch.jobs]
            rings.append(names)
            project.deals.append([job.home.deal for job in batch.jobs])
            told = iter(names)
            project.executor.script = lambda process: (
                ValueError("too old") if next(told) in fails else script(process)
            )
            return run(batch)

        project.executor.run = seen
        return project.executor

    ours, theirs = socket.socketpair()
    connection = Connection(ours)
    # All is asked in advance: the answers are read when the run is over.
    for wished in [*wishes, [], []]:  # and nothing of tests that should not begin
        for names, passes in wished:
            places = tuple(
                Place()
                if name == CURRENT
                else Place(project.commits.get(name, name), None, interpreters)
                for name, interpreters in zip(names, project.interpreters, strict=False)
            )
            connection.send("wish", encode(Wish(places, passes)))
        connection.send("next", {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_tfthreads.hooks.parts.executor_of", executor)
        project.result = project.run(f"--tf-threads-abreast={theirs.detach()}", *args)
    answers = [*told(connection)]
    connection.close()
    return rings, answers


def at(project, names, *args, passes=2, fails=()):
    """One test at these places; the releases of each ring, and what came of each place."""
    rings, answers = converse(project, [[(names, passes)]], "-k", "busy", *args, fails=fails)
    assert rings[0] == [CURRENT]
    (found,) = [one for one in answers if isinstance(one, MeasuredPlaces)]
    assert answers[-1] == Ended(project.result.ret)
    return rings[1:], dict(zip(names, found.places, strict=True))


def test_all_places_are_in_one_ring_and_nothing_is_recorded_of_them(project):
    own = ["-n2", "--benchmark-compare", "--benchmark-skip", "--tf-threads-duet=v0"]  # addopts, say
    rings, found = at(project, [*RELEASES, CURRENT], *own, passes=3)
    project.result.assert_outcomes(passed=1, deselected=2)
    assert [sorted(ring) for ring in rings] == [sorted([*RELEASES, CURRENT])] * 3
    assert rings[1] == rings[0][::-1]
    assert all(len(one.samples) == 3 for one in found.values())
    assert {one.measurement.effective for one in found.values()} == {Pools(1, 1)}
    # They are not the current tree's: whoever saves this run must not find them there.
    # Old releases of pytest-benchmark leave an empty file.
    written = project.path / "out.json"
    assert not written.exists() or not written.read_text()
    assert "no-baseline" not in project.result.stdout.str()
    assert list(project.temporary.iterdir()) == []
    assert project.deals == [[0]] + [[0] * 6] * 3


def test_places_have_as_many_interpreters_as_the_command_wishes(project):
    project.interpreters = [3, 1]
    at(project, ["v0", "v1"], passes=5)
    # The first is the current tree's; rings begin with one place or the other.
    assert [sorted(deals) for deals in project.deals] == [
        [0],
        [0, 0],
        [0, 1],
        [0, 2],
        [0, 0],
        [0, 1],
    ]


def test_each_test_that_measures_begins_and_has_wishes_of_its_own(project):
    project.write(
        TEST.replace("(1, 1)\ndef test_busy", "(configs=[(1, 1), (2, 1)])\ndef test_busy")
    )
    project.uses_benchmark = lambda test: test != "test_asking"
    few = [(["v0", "v1"], 1), (["v1", "v2"], 2)]
    rings, answers = converse(project, [few, []])
    project.result.assert_outcomes(passed=3, deselected=1)
    collected, first, *found, second, over = answers
    one, other, asking = collected.tests
    assert [one.nodeid, other.nodeid] == [
        f"test_it.py::test_busy[{each}]" for each in ("intra1-inter1", "intra2-inter1")
    ]
    assert asking.nodeid == "test_it.py::test_asking[intra1-inter1]"
    assert collected.limit == 8
    assert [one.nodeid, other.nodeid] == [first.nodeid, second.nodeid]
    assert [[len(place.samples) for place in each.places] for each in found] == [[1, 1], [2, 2]]
    assert over == Ended(0)
    numbers = [sample.ring for each in found for sample in each.places[0].samples]
    assert len(set(numbers)) == 3
    assert [sorted(ring) for ring in rings] == [
        [CURRENT],
        ["v0", "v1"],
        *[["v1", "v2"]] * 2,
        *[[CURRENT]] * 2,
    ]


def test_who_hangs_up_ends_the_run(project):
    ours, theirs = socket.socketpair()
    ours.close()
    project.result = project.run(f"--tf-threads-abreast={theirs.detach()}")
    assert project.executor.counts == {("test_busy", 1, 1): 1}
    assert project.result.ret == pytest.ExitCode.INTERRUPTED
    assert "the command that asks what is measured has gone" in project.result.stdout.str()


def test_a_test_that_fails_in_the_current_tree_may_be_measured_elsewhere(project):
    _, answers = converse(project, [[(["v0", "v1"], 1)]], "-k", "busy", fails=[CURRENT])
    project.result.assert_outcomes(failed=1, deselected=2)
    _, begun, found, _ = answers
    assert "too old" in begun.problem
    assert all(one.measurement is not None for one in found.places)


@pytest.mark.parametrize(
    "options", [["-x"], ["--maxfail=1"], ["-pcacheprovider", "-pstepwise", "--stepwise"]], ids=str
)
def test_a_test_that_fails_in_the_current_tree_keeps_no_other_back(project, options):
    project.write(
        TEST.replace("(1, 1)\ndef test_busy", "(configs=[(1, 1), (2, 1)])\ndef test_busy")
    )
    few = [(["v0", "v1"], 1)]
    _, answers = converse(project, [few, few], "-k", "busy", *options, fails=[CURRENT])
    project.result.assert_outcomes(failed=2, deselected=2)
    begun = [one.nodeid for one in answers if isinstance(one, Begun)]
    assert begun == [
        f"test_it.py::test_busy[{each}]" for each in ("intra1-inter1", "intra2-inter1")
    ]


def test_the_command_is_told_when_pytest_stops_before_its_last_test(project):
    project.write(
        TEST.replace("(1, 1)\ndef test_busy", "(configs=[(1, 1), (2, 1)])\ndef test_busy")
    )
    project.script = lambda process: pytest.exit.Exception("enough")
    _, answers = converse(project, [[]], "-k", "busy")
    assert [type(one) for one in answers if not isinstance(one, Begun)] == [Collected, Ended]
    assert len([one for one in answers if isinstance(one, Begun)]) < 2
    assert answers[-1] == Ended(pytest.ExitCode.INTERRUPTED)


def test_small_rings_overlap_so_that_each_meets_the_first_and_its_predecessor(project):
    rings, found = at(project, RELEASES, "--tf-threads-group=3", passes=1)
    assert sorted(map(sorted, rings)) == [
        ["v0", "v1", "v2"],
        ["v0", "v2", "v3"],
        ["v0", "v3", "v4"],
    ]
    count = {name: len(one.samples) for name, one in found.items()}
    assert count == {"v0": 3, "v1": 1, "v2": 2, "v3": 2, "v4": 1}


@pytest.mark.parametrize("lost", ["v0", "v2"])
def test_what_cannot_run_drops_out_and_the_others_are_linked_anew(project, lost):
    rings, found = at(project, RELEASES, "--tf-threads-group=3", passes=3, fails=[lost])
    project.result.assert_outcomes(passed=1, deselected=2)
    left = [one for one in RELEASES if one != lost]
    assert sum(lost in ring for ring in rings) == 1
    first, *others = left
    for a_pass in (rings[3:5], rings[5:7]):
        assert [len(ring) for ring in a_pass] == [3, 3]
        assert all(first in ring for ring in a_pass)
        for pair in itertools.pairwise(others):
            assert any(set(pair) <= set(ring) for ring in a_pass)
    assert found[lost].measurement is None
    assert "the test does not run at" in found[lost].problem
    assert "too old" in found[lost].problem
    assert all(found[name].measurement is not None for name in left)


def test_one_that_is_left_is_not_measured_on(project):
    rings, found = at(project, RELEASES[:3], passes=4, fails=["v0", "v2"])
    assert len(rings) == 1
    assert [one.measurement is None for one in found.values()] == [True, False, True]
    rings, found = at(project, ["v0", "0" * 40], passes=4)
    assert rings == []
    alone, unknown = found.values()
    assert alone.problem == "no other place is left that could be measured beside it"
    assert f"no commit {'0' * 40!r}" in unknown.problem


def test_a_debugger_is_refused(project):
    project.result = project.run("--tf-threads-abreast=0", "--pdb")
    assert project.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "a debugger (--pdb, --trace) would stop it" in project.result.stderr.str()
