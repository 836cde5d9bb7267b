"""asv as a peer: it times a product's commits in the existing environment, and judges them.

asv makes an environment for each commit, which takes a package index. In an existing environment
its documentation has each commit checked out, run, and saved under its hash; then commits are
compared (`asv compare`), and the site's step detection says where the speed fell (`asv publish`).
All that asv keeps is in `.asv` of the repository, its knowledge of the machine too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ASV = Path(sys.executable).with_name("asv")  # it has no module to run
KEPT = ".asv"
_ENVIRONMENT = "existing"
_BENCHMARK = "steps.Step.time_step"
_WORDS = {"+ ": "slower", "- ": "faster"}
_TIMED = """\
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # asv takes PYTHONPATH away


class Step:
    def setup(self):
        import product

        self.work = {work}
        self.work()

    def time_step(self):
        self.work()
"""


def files(work: str, threshold: float) -> dict[str, str]:
    """What a repository needs, by path. `work` is what is timed: `product.work`.

    `threshold`: the loss from which on `publish` calls a step a regression, as a share.
    """
    return {
        "timed/__init__.py": "",
        "timed/steps.py": _TIMED.format(work=work),
        "asv.conf.json": json.dumps(
            {
                "version": 1,
                "project": "product",
                "repo": ".",
                "branches": ["HEAD"],
                "environment_type": _ENVIRONMENT,
                "benchmark_dir": "timed",
                "results_dir": f"{KEPT}/results",
                "html_dir": f"{KEPT}/html",
                "regressions_thresholds": {".*": threshold},
            }
        ),
    }


def prepare(top: Path) -> None:
    """To be called once, before anything is run."""
    (top / KEPT).mkdir(exist_ok=True)
    _run(top, "machine", "--yes")


def measure(top: Path, commit: str) -> None:
    """Time what is checked out, which is that commit."""
    _run(top, "run", "--show-stderr", "-E", _ENVIRONMENT, f"--set-commit-hash={commit}")


def compared(top: Path, before: str, after: str, factor: float) -> str:
    """What `compare` is sure of: the later one is "slower" or "faster" by the factor or more."""
    table = _run(top, "compare", f"--factor={factor}", "--only-changed", before, after)
    marks = [line.removeprefix("| ")[:2] for line in table.splitlines()]
    return next((_WORDS[mark] for mark in marks if mark in _WORDS), "")


def seconds(top: Path, commit: str) -> float:
    """The time of a call at a commit, as asv has saved it."""
    (path,) = (top / KEPT / "results").glob(f"*/{commit[:8]}-*.json")
    data = json.loads(path.read_text())
    row = dict(zip(data["result_columns"], data["results"][_BENCHMARK], strict=False))
    (found,) = row["result"]
    return float(found)


def published(top: Path) -> dict[str, float]:
    """By commit, the changes of speed that the site's step detection calls regressions."""
    _run(top, "publish")
    html = top / KEPT / "html"
    commits = json.loads((html / "index.json").read_text())["revision_to_hash"]
    found = json.loads((html / "regressions.json").read_text())["regressions"]
    return {
        commits[str(at)]: before / after - 1
        for *_, jumps in found
        for _, at, before, after in jumps
    }


def _run(top: Path, *arguments: str) -> str:
    own = {
        "HOME": str(top / KEPT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    done = subprocess.run(
        [str(ASV), *arguments], cwd=top, capture_output=True, text=True, env={**os.environ, **own}
    )
    if done.returncode:
        sys.exit(f"asv {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout
