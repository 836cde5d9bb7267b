"""Bisections with known truth: how many name the right commit, and what they take.

python benchmarks/releases/bisections.py [--bisections 20] [--loss 5] [--commits 64] [--seed 1]

A repository is made on the spot for each bisection, its commits along first parents: one, at a
random place, makes the test do LOSS % more work; one is a merge, and two cannot run. The test
multiplies matrices on one thread with TensorFlow. Every commit changes the file that is measured.
"""

import argparse
import contextlib
import io
import json
import os
import random
import tempfile
import time
from pathlib import Path

import project
from project import git

from pytest_tfthreads import cli
from pytest_tfthreads.core.tolerance import METRICS

TURNS = 400  # turns of the measured loop: a quarter of a percent each
NODEID = "tests/test_it.py::test_work[intra1-inter1]"


def make(top, commits, loss, draw):
    """The repository; returns the id of the commit that does it."""
    project.make(top)
    place = draw.randint(1, commits)
    others = [one for one in range(1, commits) if one != place]
    broken = draw.sample(others, 2)
    merge = draw.choice([one for one in range(1, commits + 1) if one not in broken])
    culprit = ""
    for number in range(commits + 1):
        if number == merge:
            git(top, "checkout", "-q", "-b", "side")
        project.write(top, number, round(TURNS * (1 + loss * (number >= place))))
        if number in broken:
            (top / "src/product.py").write_text(f"raise ImportError('version {number}')\n")
        git(top, "add", "-A")
        git(top, "commit", "-q", "-m", f"version {number}")
        if number == merge:
            git(top, "checkout", "-q", "main")
            git(top, "merge", "-q", "--no-ff", "-m", f"Merge version {number}", "side")
        if number == 0:
            git(top, "tag", "good")
        if number == place:
            culprit = git(top, "rev-parse", "HEAD")
    return culprit


def bisect(top, metric):
    """What the command prints as JSON."""
    printed = io.StringIO()
    here = Path.cwd()
    os.chdir(top)
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            cli.main(["bisect", NODEID, "--good=good", f"--metric={metric}", "--json"])
    finally:
        os.chdir(here)
    return json.loads(printed.getvalue())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bisections", type=int, default=20)
    parser.add_argument("--loss", type=float, default=5.0, help="in percent")
    parser.add_argument("--commits", type=int, default=64)
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    right = certain = 0
    for number in range(options.bisections):
        with tempfile.TemporaryDirectory() as directory:
            top = Path(directory) / "project"
            culprit = make(top, options.commits, options.loss / 100, draw)
            begun_s = time.monotonic()
            found = bisect(top, options.metric)
            seconds = time.monotonic() - begun_s
        commits = [one["commit"] for one in found["found"]]
        is_right = culprit in commits
        certain += found["certain"]
        right += found["certain"] and is_right
        change = found["change"] or found["ends"]
        print(
            f"{number + 1}: {'right' if is_right else 'WRONG'}"
            f"{'' if found['certain'] else ', not certain'}, {len(commits)} commits named, "
            f"{options.metric} {change[options.metric]['value']:+.1%}, {found['rings']} rings, "
            f"{found['processes']} processes, {len(found['skipped'])} skipped, {seconds:.0f} s",
            flush=True,
        )
    print(f"{right} of {options.bisections} named the right commit or range, {certain} certain")


if __name__ == "__main__":
    main()
