"""Releases with known steps: what `releases` says of each, beside what saved runs say.

python benchmarks/releases/steps.py [--short] [--runs 3] [--tolerance 3%] [--budget 10m]

A repository of 12 releases (--short: 5) is made on the spot. A release differs from the one before
by −5, +3 or −10 % of throughput, or by nothing but a comment. The test multiplies matrices on one
thread with TensorFlow. First each release is checked out, run and saved, one after the other, as
suites do that save a run with each release; all releases get a run before any gets its second. Then
`pytest-tfthreads releases` measures them side by side. The table has each step's true size, what
was measured side by side, the ratio of the means of the saved runs, and what `history` found.

With asv (`pip install asv`), each release is then run by asv, one after the other in the existing
environment, and throughput has what asv says of the step: the ratio of its two results, what
`asv compare` says by the tolerance as its factor, and the regressions that `asv publish` detects
over all releases.
"""

import argparse
import contextlib
import io
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

import project
from project import git

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
import asv_tool

from pytest_tfthreads import cli
from pytest_tfthreads.core.tolerance import METRICS

STEPS = (0, -0.05, 0, 0, 0.03, 0, 0, -0.10, 0, 0.03, 0)
SHORT_STEPS = (-0.05, 0, 0.03, -0.10)
LOOP = 800  # turns of the measured loop at the first release: an eighth of a percent each


def make(top, steps, tolerance):
    """The repository, which asv can run, too.

    Returns the names of its releases, and the true sizes of their steps.
    """
    project.make(top)
    (top / ".gitignore").write_text(f".benchmarks\n__pycache__\n{asv_tool.KEPT}\n")
    for name, text in asv_tool.files("product.work()", tolerance).items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(text)
    turns = [LOOP]
    for step in steps:
        turns.append(round(turns[-1] / (1 + step)))
    names = [f"v1.{number}" for number in range(len(turns))]
    for number, (name, count) in enumerate(zip(names, turns, strict=True)):
        project.write(top, number, count)
        git(top, "add", "-A")
        git(top, "commit", "-q", "-m", f"Release {name}")
        git(top, "tag", name)
    return names, [before / after - 1 for before, after in itertools.pairwise(turns)]


def save(top, names, runs):
    """A saved run of each release, and again; seconds that it took."""
    began_s = time.monotonic()
    for _ in range(runs):
        for name in names:
            git(top, "checkout", "-q", name)
            subprocess.run(
                [
                    *(sys.executable, "-m", "pytest", "-q", f"--benchmark-save={name}"),
                    *("--tf-threads-processes=2", "-p", "no:cacheprovider"),
                ],
                cwd=top,
                check=True,
                capture_output=True,
            )
    git(top, "checkout", "-q", "main")
    return time.monotonic() - began_s


def of_asv(top, names, commits, tolerance):
    """By release, what asv says of its step, in words; and the seconds that it took."""
    began_s = time.monotonic()
    asv_tool.prepare(top)
    for name, commit in zip(names, commits, strict=True):
        git(top, "checkout", "-q", name)
        asv_tool.measure(top, commit)
    git(top, "checkout", "-q", "main")
    published = asv_tool.published(top)
    words = {}
    for name, (before, after) in zip(names[1:], itertools.pairwise(commits), strict=True):
        ratio = asv_tool.seconds(top, before) / asv_tool.seconds(top, after) - 1
        mark = asv_tool.compared(top, before, after, 1 + tolerance)
        found = f"{published[after]:+.1%}" if after in published else "–"
        words[name] = f"{ratio:+6.1%} {mark or '–':6}   {found}"
    return words, time.monotonic() - began_s


def told(top, *arguments):
    """What the command prints as JSON."""
    printed = io.StringIO()
    here = Path.cwd()
    os.chdir(top)
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            cli.main([*arguments, "--json"])
    finally:
        os.chdir(here)
    return json.loads(printed.getvalue())


def of_saved_runs(history, metric):
    """The mean log speed of each release's saved runs, by commit; and commits after a change."""
    (line,) = history["lines"]
    logs: dict[str, list[float]] = {}
    for point in line["points"]:
        commit = history["runs"][point["run"]]["commit"]
        logs.setdefault(commit, []).append(math.log(point[metric]["value"]))
    changes = {
        history["runs"][one["likely_run"]]["commit"]: one["change"]["value"]
        for one in history["changes"]
        if one["metric"] == metric
    }
    return {commit: fmean(values) for commit, values in logs.items()}, changes


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="5 releases")
    parser.add_argument("--runs", type=int, default=3, help="saved runs of each release")
    parser.add_argument("--tolerance", default="3%")
    parser.add_argument("--budget", help="of the releases side by side")
    options = parser.parse_args()
    tolerance = float(options.tolerance.removesuffix("%")) / 100
    has_asv = asv_tool.ASV.exists()
    if not has_asv:
        print("asv is not installed beside this Python: without its column")
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory) / "project"
        names, truth = make(top, SHORT_STEPS if options.short else STEPS, tolerance)
        saved_s = save(top, names, options.runs)
        history = told(top, "history")
        budget = [f"--budget={options.budget}"] if options.budget else []
        found = told(top, "releases", *names, f"--tolerance={options.tolerance}", *budget)
        commits = [one["commit"] for one in found["releases"]]
        by_asv, asv_s = of_asv(top, names, commits, tolerance) if has_asv else ({}, 0.0)
    (test,) = found["tests"]
    for metric in METRICS:
        logs, changes = of_saved_runs(history, metric)
        # asv times by the wall clock.
        beside = by_asv if metric == "throughput" else {}
        columns = "truth, side by side, saved runs, history" + (
            ", asv, asv compare, asv publish" if beside else ""
        )
        print(f"\n{metric}: {columns}")
        steps = {one["release"]: one["to_previous"] for one in test["steps"][metric]}
        for place, true in enumerate(truth, start=1):
            step, commit = steps[names[place]], commits[place]
            guessed = math.expm1(logs[commit] - logs[commits[place - 1]])
            change = changes.get(commit)
            print(
                f"{names[place]:6} {true:+6.1%}   {step['value']:+6.1%} "
                f"[{step['low']:+.1%}, {step['high']:+.1%}] {step['status']:12} "
                f"{guessed:+6.1%}   {'–' if change is None else f'{change:+.1%}':6}   "
                f"{beside.get(names[place], '')}".rstrip()
            )
    print(
        f"\nside by side: {found['processes']} processes, {found['seconds']:.0f} s; saved runs: "
        f"{options.runs} of each release, {2 * options.runs * len(names)} processes, "
        f"{saved_s:.0f} s" + (f"; asv: {asv_s:.0f} s" if has_asv else "")
    )


if __name__ == "__main__":
    main()
