"""`pytest-tfthreads bisect`: the commit that changed the speed of a test."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_tfthreads.commands.bisect_sides import COMBINATIONS, Causes, Side, causes, check_places
from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import print_json, print_lines, tell
from pytest_tfthreads.commands.parsers import Commands, add_command, to_budget
from pytest_tfthreads.commands.pytest_run import Measuring, PytestRun
from pytest_tfthreads.commands.saved import add_directory, current_directory, to_directory
from pytest_tfthreads.commands.time_limit import TimeLimit
from pytest_tfthreads.core.abreast import AtPlace, Place, Traced
from pytest_tfthreads.core.bisection import ALIKE, Posterior, Stretch, ends_are_alike, step_of
from pytest_tfthreads.core.bisection_state import ENDS, State
from pytest_tfthreads.core.file_reading import read_file
from pytest_tfthreads.core.format import one_line, percent, plural
from pytest_tfthreads.core.gate.duet import INTERPRETERS
from pytest_tfthreads.core.saved_runs import BaselineError, StoredRun
from pytest_tfthreads.core.storage import Storage
from pytest_tfthreads.core.tolerance import METRICS
from pytest_tfthreads.names import NEEDS_LINUX, PYTHON
from pytest_tfthreads.platforms import can_measure
from pytest_tfthreads.report.bisection import Bisection, ChangeInParts, render, to_json
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.line import CommitLine, branch_of
from pytest_tfthreads.revision.repository import Repository
from pytest_tfthreads.system.files import why_no_file_in, why_unwritable, write_file
from pytest_tfthreads.system.run_index import read_condensed

AT_ONCE = 3
"""Candidates beside both ends. With one, a ring of three processes answers one question; with more
than three, most of them are far from where the change is."""
PASSES = 2
"""Of each stage: the second reverses the order of set-up of the first."""
MOST_RINGS = 100
"""Without a budget: a change that has not been found by then may be too small for this machine."""
_DIRECTORY = "pytest-tfthreads"
_STATE = "bisect.json"
_COMMIT_OF_HERE = "HEAD"
_ENDS = ("at --good", "at --bad")
_TOO_FEW_AT_ONCE = (
    "each candidate is measured beside both ends, and --tf-threads-group=2 (tf_threads_group in "
    "the ini file) leaves no place for a third process: leave the option out, or give "
    "--tf-threads-group=5 after --"
)

_EXAMPLE = """\
examples:
  pytest-tfthreads bisect 'benchmarks/test_inference.py::test_inference[intra1-inter1]' --good=v1.0
  pytest-tfthreads bisect TEST --good=v1.0 --bad=main --budget=20m -- -c benchmarks/pytest.ini
  pytest-tfthreads bisect --continue
  pytest-tfthreads bisect --continue --skip=97916a4150f2
  pytest-tfthreads bisect TEST --good=v1.0 --good=python=../venv-old --bad=HEAD

Each candidate is measured beside both ends, in turns on the same CPUs. The tests are the current
ones at every commit. History is followed along first parents: a merge stands for its whole branch.

exit code: 0 where the commit is found (or the range between commits that cannot be measured), 1
where it is not, both ends have the same speed, or neither code nor environment made a difference, 2
where it cannot be looked for, as where a disk is full
"""


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    parser = add_command(
        commands,
        "bisect",
        _bisect,
        help="find the commit that changed the speed of a test",
        description="Find the commit that changed the speed of a test: commits between a good and "
        "a bad one are measured beside both, in turns, until one of them has 99 %% probability.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "test", nargs="?", metavar="TEST", help="one test with its configuration, by its node id"
    )
    parser.add_argument(
        "--good",
        metavar="REV",
        action="append",
        default=[],
        help="a revision before the change (without one: the commit of the latest saved run in "
        f"which the test had not regressed); and {PYTHON}PATH beside it, see --bad",
    )
    parser.add_argument(
        "--bad",
        metavar="REV",
        action="append",
        default=[],
        help=f"a revision after the change (default: {_COMMIT_OF_HERE}). {PYTHON}PATH beside it, "
        "for --good or --bad: another environment; it is then asked which of the two, code or "
        "environment, made the difference",
    )
    parser.add_argument(
        "--metric",
        choices=METRICS,
        metavar="NAME",
        help=f"whose change is looked for: {' or '.join(METRICS)} (default: {METRICS[0]})",
    )
    parser.add_argument(
        "--budget",
        type=to_budget,
        metavar="T",
        help="seconds or minutes (600, 10m) that it may take from now on; what it knows by then is "
        "told, and --continue goes on (default: until the commit is found, or "
        f"{MOST_RINGS} rings are measured)",
    )
    parser.add_argument(
        "--skip",
        metavar="REV",
        action="append",
        default=[],
        help="a commit that is not to be measured; may be given several times, and with --continue",
    )
    parser.add_argument(
        "--continue",
        dest="goes_on",
        action="store_true",
        help="go on with the last bisection in this repository, which was ended or killed",
    )
    parser.add_argument(
        "--profile",
        type=to_directory,
        metavar="DIR",
        help="store a trace on each side of the commit in this directory, and tell which ops take "
        "the time there",
    )
    add_directory(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(pytest_arguments=[])


def _bisect(options: argparse.Namespace) -> int:
    if not can_measure():
        raise CommandError(f"bisect measures, and this is {sys.platform}: {NEEDS_LINUX}")
    limit = TimeLimit(options.budget)
    try:
        repository = Repository.holding(current_directory())
        _check_directory(options.profile)
        keep = StateFile(repository.common / _DIRECTORY / _STATE)
        good, bad = Side.of(options.good, "--good"), Side.of(options.bad, "--bad")
        if good.python or bad.python:
            return _tell_causes(options, repository, good, bad, limit)
        state, line = _begun(options, repository, keep, good.rev, bad.rev)
        try:
            found = _found(options, state, line, repository, keep, limit)
        except KeyboardInterrupt:
            if keep.latest is not None:
                tell("interrupted: `pytest-tfthreads bisect --continue` goes on")
            else:
                tell("interrupted before anything was measured: nothing is kept of it")
            raise
    except RevisionError as error:
        raise CommandError(str(error)) from error
    if options.json:
        print_json(to_json(found))
    else:
        print_lines(render(found))
    return 0 if found.is_certain else 1


def _check_directory(directory: Path | None) -> None:
    """Before anything is measured: raises `CommandError` where no trace can be stored."""
    if directory is not None and (why := why_no_file_in(directory, makes_directories=True)):
        raise CommandError(
            f"--profile: no traces can be stored in {directory}: {why}; mend that, or name another "
            "directory"
        )


def _tell_causes(
    options: argparse.Namespace, repository: Repository, good: Side, bad: Side, limit: TimeLimit
) -> int:
    """Which of the two it was, code or environment, by the four combinations."""
    if options.profile:
        raise CommandError(
            "--profile takes traces at the commit that a bisection finds, and with "
            f"{PYTHON}PATH no commit is looked for: leave --profile or {PYTHON}PATH out"
        )
    if options.goes_on or options.skip or not options.test or good.rev is None:
        raise CommandError(
            f"with {PYTHON}PATH the four combinations of two revisions and two environments are "
            "measured: name TEST and --good=REV too, and leave --continue and --skip out"
        )
    revs = (good.rev, bad.rev or _COMMIT_OF_HERE)
    ends = [
        repository.find(rev, trusted=True, asked_by=option)
        for rev, option in zip(revs, ("--good=", "--bad="), strict=True)
    ]
    for note in (note for one in ends for note in one.notes):
        tell(note)
    commits = [one.commit for one in ends]
    if commits[0] == commits[1]:
        raise CommandError(
            f"--good={revs[0]} and --bad={revs[1]} are one commit, so only the environment can "
            "differ: pytest --tf-threads-duet=python=PATH compares two environments"
        )
    if good.environment == bad.environment:
        raise CommandError(
            "--good and --bad have the same environment, "
            f"{good.environment or sys.executable}: leave {PYTHON}PATH out, and run "
            "pytest-tfthreads there"
        )
    first, last = Place(commits[0], good.python), Place(commits[1], bad.python)
    with PytestRun([options.test], options.pytest_arguments) as run:
        if run.collected.limit < len(COMBINATIONS):
            raise CommandError(
                "the four combinations of two revisions and two environments take turns with each "
                f"other, and --tf-threads-group={run.collected.limit} (tf_threads_group in the ini "
                "file) leaves no place for four: leave it out, or give --tf-threads-group=4 after "
                "--"
            )
        run.only()
        metric = options.metric or METRICS[0]
        found: Causes = causes(options.test, metric, first, last, run, limit)
    if options.json:
        print_json(found.to_json())
    else:
        print_lines(found.lines())
    return 0 if found.is_found else 1


def _found(
    options: argparse.Namespace,
    state: State,
    line: CommitLine,
    repository: Repository,
    keep: StateFile,
    limit: TimeLimit,
) -> Bisection:
    stopped, traces = "", None
    has_to_search = state.ends_differ != "no" and not _is_done(state, line)
    if has_to_search or (options.profile and _is_done(state, line)):
        tell(f"{plural(line.count, 'commit')} between both ends; pytest collects the test")
        with PytestRun([state.test], state.arguments) as run:
            run.only()
            at_once = min(AT_ONCE, run.collected.limit - ENDS)
            if at_once < 1:
                raise CommandError(_TOO_FEW_AT_ONCE)
            with keep.begun(state):
                state, stopped = search(state, line, run, keep.write, limit, at_once)
            if options.profile and _is_done(state, line):
                traces = _traced(state, line, run, options.profile)
    return replace(conclusion(state, line, repository, stopped), traces=traces)


def _traced(state: State, line: CommitLine, run: PytestRun, directory: Path) -> Traced:
    """Traces on both sides of the commit."""
    where = Posterior(line.count, state.rings(), state.unmeasurable).culprit.where
    tell("taking a trace on each side of it")
    before, after = (Place(line.commits[position].id) for position in (where.after, where.last))
    return run.trace(after, before, directory, "--profile")


def _begun(
    options: argparse.Namespace,
    repository: Repository,
    keep: StateFile,
    good: str | None,
    named_bad: str | None,
) -> tuple[State, CommitLine]:
    """A new bisection, or the last one again."""
    if options.goes_on:
        named = (options.test, good, named_bad, options.metric, options.pytest_arguments)
        if any(one not in (None, []) for one in named):
            raise CommandError(
                "--continue goes on as the bisection was begun: leave TEST, --good, --bad, "
                "--metric and what follows -- out"
            )
        state = keep.read()
        line = CommitLine.between(repository, state.good, state.bad)
        if options.skip:
            state = _without(options.skip, state, line, repository)
            keep.write(state)
        return state, line
    if not options.test:
        raise CommandError(
            "name the TEST by its node id, as pytest shows it, such as "
            "'tests/test_it.py::test_it[intra1-inter1]'; or go on with --continue"
        )
    keep.check()
    bad = named_bad or _COMMIT_OF_HERE
    if good:
        line = CommitLine.between(repository, good, bad)
    else:
        line = _from_saved_run(options, repository, bad)
    for note in line.notes:
        tell(note)
    state = State(
        test=options.test,
        arguments=tuple(options.pytest_arguments),
        good=line.commits[0].id,
        bad=line.commits[-1].id,
        metric=options.metric or METRICS[0],
    )
    return _without(options.skip, state, line, repository), line


def _without(revs: Sequence[str], state: State, line: CommitLine, repository: Repository) -> State:
    """These commits are not to be measured. Raises `CommandError` where one is not in between."""
    positions = {one.id: position for position, one in enumerate(line.commits)}
    for rev in revs:
        if not rev.strip():
            raise CommandError("--skip= names nothing; perhaps a variable is not set")
        commit = repository.find(rev, trusted=True, asked_by="--skip=").commit
        position = positions.get(commit)
        if position in (0, line.count):
            raise CommandError(
                f"--skip={rev} is an end of the bisection, and everything is measured beside both "
                "ends: begin anew with another --good or --bad"
            )
        if position is None:
            raise CommandError(
                f"--skip={rev} is commit {commit[:12]}, which is not between --good and --bad "
                "(history is followed along first parents): leave --skip out, or name another "
                "commit"
            )
        state = state.without(position)
    return state


def search(
    state: State,
    line: CommitLine,
    measuring: Measuring,
    keep: Callable[[State], None],
    limit: TimeLimit,
    at_once: int = AT_ONCE,
) -> tuple[State, str]:
    """Measure until the commit is found; what is known then, and why it ended without it.

    `at_once` candidates beside both ends at most. `keep` is called with each new state. Raises
    `CommandError` where an end cannot be measured.
    """
    longest_s = 0.0
    while not (state.ends_differ == "no" or _is_done(state, line)):
        positions: list[int] = []
        passes = state.passes_to_look
        if state.ends_differ == "yes":
            positions = Posterior(line.count, state.rings(), state.unmeasurable).candidates(at_once)
            passes = PASSES
            if not positions:
                return state, "No commit is left that can be measured and would tell more."
        if limit.budget_s is not None and state.observed and not limit.allows(longest_s):
            why = limit.too_short_for("The next stage", longest_s)
            return state, f"{why}; --continue goes on."
        if limit.budget_s is None and len(state.observed) >= MOST_RINGS:
            return state, (
                f"{len(state.observed)} rings did not settle it: the change may be too small for "
                "this machine; --continue --budget=20m goes on all the same."
            )
        begun_s = limit.clock_s()
        tell(_of_stage(state, line, positions, passes))
        # All is compared with the ends: their speed must not be the luck of an interpreter.
        ends = [Place(line.commits[one].id, None, INTERPRETERS) for one in (0, line.count)]
        candidates = [Place(line.commits[position].id) for position in positions]
        found = measuring.measure([*ends, *candidates], passes)
        check_places(_ENDS, found.places[:ENDS])
        before = state
        took_s = limit.clock_s() - begun_s
        state = state.after(positions, found, took_s)
        longest_s = max(longest_s, took_s)
        keep(state)
        _check_machine(line, positions, found.places[ENDS:])
        if (before.observed, before.skipped) == (state.observed, state.skipped):
            raise CommandError(
                "the processes took no turns with each other: a warm-up of the test's own "
                "(warmup_iterations) leaves no place for them; leave it out"
            )
    return state, ""


def _check_machine(line: CommitLine, positions: Sequence[int], places: Sequence[AtPlace]) -> None:
    """Raises `CommandError` where the machine is why candidates cannot be measured.

    To take them for commits that cannot be measured would be wrong, and for good.
    """
    for position, place in zip(positions, places, strict=True):
        if place.is_of_machine:
            raise CommandError(
                f"commit {line.commits[position].short} could not be made ready: "
                f"{place.problem.removesuffix('.')}. Mend that, then run `pytest-tfthreads bisect "
                "--continue`; or go on without the commit: "
                f"`pytest-tfthreads bisect --continue --skip={line.commits[position].short}`"
            )


def conclusion(state: State, line: CommitLine, repository: Repository, stopped: str) -> Bisection:
    """All that is told of a state."""
    ends = change = culprit = branch = None
    if state.observed:
        whole = Stretch(0, line.count)
        ends = _change(state, line, whole)
        if state.ends_differ == "yes":
            posterior = Posterior(line.count, state.rings(), state.unmeasurable)
            culprit = posterior.culprit
            if culprit.is_certain:
                change = ends if culprit.other is None else _change(state, line, culprit.where)
            else:
                where = posterior.probable()
                probability = posterior.probability_of(where)
                culprit = replace(culprit, where=where, probability=probability)
    if culprit is None and not stopped:
        stopped = _why_no_search(state)
    if culprit is not None and culprit.is_certain and culprit.where.commits == 1:
        branch = branch_of(repository, line.commits[culprit.where.last])
    return Bisection(
        test=state.test,
        metric=state.metric,
        commits=line.commits,
        ends=ends,
        culprit=culprit,
        change=change,
        branch=branch,
        skipped=state.skipped,
        rings=len(state.observed),
        processes=state.processes,
        seconds=state.seconds,
        stopped=stopped,
    )


def _why_no_search(state: State) -> str:
    rings = state.rings()
    if ends_are_alike(rings):
        return (
            f"Both ends have the same speed, as far as {len(rings)} rings can tell: they differ by "
            f"less than {percent(ALIKE)}, which is too little to look for. Name other ends with "
            "--good and --bad; or is it another test, or another environment?"
        )
    return (
        f"{len(rings)} rings could not tell the two ends apart, and they may still differ by "
        f"{percent(ALIKE)} or more: it needs a machine with less noise."
    )


def _change(state: State, line: CommitLine, where: Stretch) -> ChangeInParts:
    return ChangeInParts(*(step_of(state.rings(metric), line.count, where) for metric in METRICS))


def _is_done(state: State, line: CommitLine) -> bool:
    if state.ends_differ != "yes":
        return False
    posterior = Posterior(line.count, state.rings(), state.unmeasurable)
    return posterior.culprit.is_certain


def _of_stage(state: State, line: CommitLine, positions: Sequence[int], passes: int) -> str:
    if not positions:
        return f"measuring both ends, {plural(passes, 'ring')}"
    left = Posterior(line.count, state.rings(), state.unmeasurable).probable().commits
    names = ", ".join(line.commits[position].short[:8] for position in positions)
    return f"{plural(left, 'commit')} left; measuring {names} beside both ends"


# -- the good end, where none is named ------------------------------------------------------------


def _from_saved_run(options: argparse.Namespace, repository: Repository, bad: str) -> CommitLine:
    """From the latest saved run in which the test had not regressed, and which leads to `bad`."""
    problem = ""
    for run in _saved_runs(options, options.test):
        assert run.commit is not None
        try:
            commit = repository.find(run.commit, trusted=False, asked_by="--good=").commit
            line = CommitLine.between(repository, commit, bad)
        except RevisionError as error:
            problem = problem or f" ({run.label}: {one_line(str(error))})"
            continue
        tell(f"--good is the commit of {run.title}")
        return line
    raise CommandError(
        f"no saved run in {options.storage} has {options.test} without a regression, of a commit "
        f"without changes that leads to {bad}{problem}; name a revision, --good=REV"
    )


def _saved_runs(options: argparse.Namespace, test: str) -> Iterator[StoredRun]:
    """Latest first."""
    found = read_condensed(Storage(options.storage).every_run())
    runs = [one for one in found if not isinstance(one, BaselineError)]
    for run in sorted(runs, key=lambda one: one.moment, reverse=True):
        stored = run.tests.get(test, ())
        has_regressed = any(one.has_regressed for one in stored)
        if stored and run.commit and not run.dirty and not has_regressed:
            yield run


# -- what is kept ---------------------------------------------------------------------------------


@dataclass
class StateFile:
    """The state of the last bisection, in the directory of the repository.

    `latest` is what this command has read or written; None while it is still another's.
    """

    path: Path
    latest: State | None = field(default=None, init=False)

    def check(self) -> None:
        """Before anything is measured: raises `CommandError` where no state can be written."""
        if why := why_unwritable(self.path, makes_directories=True):
            raise CommandError(f"what is found cannot be kept in {self.path}: {why}")

    @contextlib.contextmanager
    def begun(self, state: State) -> Iterator[None]:
        """From here on the state is that of this command, though it may be killed.

        Where it ends with nothing measured, as one that cannot be carried out does, the state of
        the bisection before is put back.
        """
        if self.latest is not None:  # it goes on
            yield
            return
        before = self._data()
        self.write(state)
        try:
            yield
        except (CommandError, KeyboardInterrupt):
            if before is not None and not (self.latest or state).observed:
                with contextlib.suppress(CommandError):  # why it ends is worth more
                    self._write(before)
                    self.latest = None
            raise

    def write(self, state: State) -> None:
        """Whole or not at all. Raises `CommandError`."""
        self._write(state.to_text().encode())
        self.latest = state

    def read(self) -> State:
        """Raises `CommandError` where there is none."""
        try:
            state = State.from_text(read_file(self.path).decode("utf-8"))
        except FileNotFoundError as error:
            raise CommandError(
                f"there is no bisection to go on with ({self.path}); begin one: bisect TEST "
                "--good=REV"
            ) from error
        except (OSError, ValueError) as error:
            raise CommandError(
                f"{self.path} cannot be used: {error}; begin anew: bisect TEST --good=REV"
            ) from error
        self.latest = state
        return state

    def _write(self, data: bytes) -> None:
        try:
            self.path.parent.mkdir(exist_ok=True)
            write_file(self.path, data)
        except OSError as error:
            raise CommandError(
                f"what was found cannot be kept in {self.path}: {error.strerror}"
            ) from error

    def _data(self) -> bytes | None:
        """What is there; None where nothing is, or nothing that can be read."""
        try:
            return read_file(self.path)
        except OSError:
            return None
