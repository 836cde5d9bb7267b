"""`pytest-tfthreads releases`: tests at several releases, measured side by side."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.output import (
    check_page,
    print_csv,
    print_json,
    print_lines,
    tell,
    write_page,
)
from pytest_tfthreads.commands.parsers import (
    Commands,
    add_command,
    add_fail_on,
    add_formats,
    add_tolerance,
    to_budget,
)
from pytest_tfthreads.commands.pytest_run import PytestRun
from pytest_tfthreads.commands.released import CURRENT, named
from pytest_tfthreads.commands.releases_kept import keep
from pytest_tfthreads.commands.releases_run import WITHOUT_BUDGET, Comparing
from pytest_tfthreads.commands.saved import STORAGE, current_directory, to_directory
from pytest_tfthreads.core.gate.duet import INTERPRETERS
from pytest_tfthreads.core.gate.verdict import Policy
from pytest_tfthreads.core.variants.released import (
    FAILING,
    Changed,
    Over,
    Release,
    TestOver,
    changes_of_software,
    pairs_of,
)
from pytest_tfthreads.core.variants.steps import LOOKS
from pytest_tfthreads.names import NEEDS_LINUX, PYTHON
from pytest_tfthreads.platforms import can_measure
from pytest_tfthreads.report import releases as report
from pytest_tfthreads.report.html import releases as html_report
from pytest_tfthreads.report.page import check_library
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.repository import Repository
from pytest_tfthreads.revision.tags import commits_between
from pytest_tfthreads.system.memory import available_bytes

_HTML = "--html"
_INTERPRETER_BYTES = 250 << 20  # of its own, with TensorFlow: 210 MB were measured
_EXAMPLE = """\
examples:
  pytest-tfthreads releases v1.0 v1.1 HEAD -- benchmarks -k inference
  pytest-tfthreads releases v1.0..HEAD --budget=30m --html releases.html -- benchmarks
  pytest-tfthreads releases --last=5 HEAD
  pytest-tfthreads releases python=../venv-tf-2.16 python=../venv-tf-2.20 .

FIRST..LAST is these two and all tags between; . is the current tree with all its changes;
python=PATH is the current tree in another environment. They are compared in the order in which they
are named. What follows -- is pytest's. All take turns on the same CPUs, with the current tests at
each of them. The exit code follows from the last step of each test: from the release before to the
last one.

exit code: 0, or 1 where a last step is one of --fail-on, 2 where nothing can be compared
"""


def add_to(commands: Commands) -> None:
    """Register the sub-command with its options."""
    parser = add_command(
        commands,
        "releases",
        _releases,
        help="compare the speed of tests at several releases, measured side by side",
        description="Compare the speed of tests at several releases or in several environments, "
        "measured side by side: since which release is it slower, and by how much?",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "release",
        nargs="*",
        metavar="RELEASE",
        help=f"a revision, FIRST..LAST, {PYTHON}PATH, or {CURRENT}",
    )
    parser.add_argument(
        "--last",
        type=_count,
        metavar="N",
        help="the last N tags of HEAD's history, before all that is named",
    )
    add_tolerance(parser, "change of speed that is tolerated")
    add_fail_on(parser, "last steps that make the exit code 1", FAILING)
    parser.add_argument(
        "--budget",
        type=to_budget,
        metavar="T",
        help="seconds or minutes (600, 10m) that it may take; steps that are open get all of it "
        f"(default: {LOOKS[0]} passes of each test, and up to {WITHOUT_BUDGET} where a step is "
        "open)",
    )
    parser.add_argument(_HTML, type=Path, metavar="FILE", help="write it as a page, too")
    parser.add_argument(
        "--storage",
        type=to_directory,
        metavar="DIR",
        help="keep the steps beside the saved runs of this storage, for `history` and reports "
        f"(default: {STORAGE}, if it is there)",
    )
    add_formats(parser, "all figures", "test, release and metric")
    parser.set_defaults(pytest_arguments=[])


def _releases(options: argparse.Namespace) -> int:
    if not can_measure():
        raise CommandError(f"releases measures, and this is {sys.platform}: {NEEDS_LINUX}")
    if options.html is not None:
        check_page(options.html, _HTML)
        check_library()
    tolerance = Policy().with_tolerance(options.tolerance).tolerance
    found = named(options.release, options.last, current_directory())
    for note in found.notes:
        tell(note)
    interpreters = _interpreters(len(found.releases))
    if interpreters == 1:
        tell("too little memory is left for several interpreters a release: intervals are wider")
    comparing = Comparing(
        found.releases, tolerance, options.budget, tell, interpreters=interpreters
    )
    try:
        with PytestRun((), options.pytest_arguments) as run:
            comparing.run(run)
    except (KeyboardInterrupt, CommandError):
        if comparing.tests:  # what is complete is kept
            _report(options, _over(comparing))
        raise
    over = _over(comparing)
    _report(options, over)
    if over.stopped and not over.tests:
        raise CommandError("no test was measured in the time that it may take (--budget)")
    if not any(one.is_compared for one in over.tests):
        raise CommandError(
            "no test could be compared: each could be measured at one release at most; what is "
            "printed above says why"
        )
    return int(bool(over.failing(options.fail_on)))


def _report(options: argparse.Namespace, over: Over) -> None:
    """Print it and write files: where one of these cannot be done, the others are all the same."""
    failing = over.failing(options.fail_on)
    with contextlib.ExitStack() as afterwards:  # also where nobody reads what is printed
        afterwards.callback(_keep, options, over)
        afterwards.callback(_write_page, options, over, failing)
        if options.json:
            print_json(report.to_json(over, failing))
        elif options.csv:
            print_csv(report.COLUMNS, report.rows(over))
        else:
            print_lines(report.render(over, failing))


def _write_page(
    options: argparse.Namespace, over: Over, failing: Sequence[tuple[str, str]]
) -> None:
    if options.html is not None:
        page = html_report.render(over, failing).encode("utf-8", errors="replace")
        write_page(options.html, page, _HTML)


def _keep(options: argparse.Namespace, over: Over) -> None:
    storage = options.storage or Path(STORAGE)
    if options.storage is not None or os.path.isdir(storage):
        kept = keep(over, storage)
        if kept is not None:
            tell(f"steps are kept in {kept}, for `pytest-tfthreads history` and reports")


def _over(comparing: Comparing) -> Over:
    """With what lies between the releases."""
    tests = tuple(comparing.tests)
    releases = tuple(comparing.releases)
    return Over(
        releases=releases,
        tests=tests,
        changed=tuple(_changed(releases, tests, *pair) for pair in pairs_of(releases, tests)),
        tolerance=comparing.tolerance,
        processes=comparing.processes,
        elapsed_s=comparing.elapsed_s,
        left_out=tuple(comparing.left_out),
        stopped=comparing.stopped,
    )


def _changed(
    releases: Sequence[Release], tests: Sequence[TestOver], earlier: int, later: int
) -> Changed:
    before, after = releases[earlier], releases[later]
    of_software = (changes_of_software(test, earlier, later) for test in tests)
    changed = Changed(before.name, after.name, versions=next(filter(None, of_software), ()))
    return (
        changed
        if before.commit is None and after.commit is None
        else _with_commits(changed, before, after)
    )


def _with_commits(changed: Changed, before: Release, after: Release) -> Changed:
    """Raises nothing: what is not known of commits is left out."""
    try:
        repository = Repository.holding(current_directory())
        head = repository.head
        ids = [head if one.commit is None else one.commit.id for one in (before, after)]
        if ids[0] is None or ids[1] is None:
            return changed
        return Changed(
            changed.earlier,
            changed.later,
            commits=tuple(commits_between(repository.top, ids[0], ids[1])),
            lost=len(commits_between(repository.top, ids[1], ids[0])),
            has_changes=(before.commit is None or after.commit is None) and repository.is_changed,
            versions=changed.versions,
        )
    except (CommandError, RevisionError) as error:
        tell(f"what lies between {changed.earlier} and {changed.later} is not known: {error}")
        return changed


def _interpreters(releases: int) -> int:
    """How many of each release fit into half of the memory that is left."""
    left = available_bytes()
    fit = left is None or releases * INTERPRETERS * _INTERPRETER_BYTES <= left / 2
    return INTERPRETERS if fit else 1


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tags, such as 5")
    return int(text)
