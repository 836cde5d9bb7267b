"""Saved runs of suites that never ran, and the command in this process."""

import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_tfthreads import cli
from pytest_tfthreads.core.contention import Contention
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample

MACHINE = {
    "cpu": "Model X",
    "physical": 2,
    "logical": 4,
    "quota": None,
    "tensorflow": "2.20.0",
    "onednn": "default",
    "python": "3.12.1",
    "plugin": "0.1.0",
}


def measured(speed, unit="images", spread=0.01, rng=None, reference_s=None, others=None, **machine):
    """Two processes of about so many images a second, half as many a CPU-second.

    `others` is the share of the CPUs that other programs took; by default it is not known.
    """
    rng = rng or random.Random(1)
    samples = []
    for _ in range(2):
        wall_s = math.exp(rng.gauss(0, spread)) / speed
        samples.append(
            Sample(
                (wall_s,) * 4, (2 * wall_s,) * 4, 1, 50, 0.1, 1, 3, 4, (0, 1),
                reference_wall_s=reference_s,
                contention=None if others is None else Contention(0.0, others, 0.0, 0.0),
            )
        )  # fmt: skip
    measurement = Measurement(
        requested=Pools(2, 1),
        effective=Pools(2, 1),
        cpus=(0, 1),
        start="fork",
        items=1,
        unit=unit,
        samples=tuple(samples),
        machine={**MACHINE, **machine},
    )
    return measurement.to_json()


@dataclass
class Storage:
    """A directory as pytest-benchmark fills it."""

    path: Path
    saved: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(3))

    def save(self, commit=None, name="nightly", dirty=False, day=None, about=None, **tests):
        """A run of tests: name → speed, or what is to be recorded of it."""
        self.saved += 1
        day = self.saved if day is None else day
        benchmarks = [
            {
                "name": test,
                "fullname": f"bench/test_it.py::{test}",
                "extra_info": {"tf_threads": ours if isinstance(ours, dict) else self.of(ours)},
            }
            for test, ours in tests.items()
        ]
        data = {
            "machine_info": {},
            "commit_info": {"id": commit, "dirty": dirty},
            "benchmarks": benchmarks,
            "datetime": f"2026-{1 + day // 28:02}-{1 + day % 28:02}T03:00:00+00:00",
            "tf_threads": {"failed": [], "complete": True, **(about or {})},
        }
        return self.write(f"{self.saved:04}_{name}.json", json.dumps(data))

    def of(self, speed, **fields):
        return measured(speed, rng=self.rng, **fields)

    def write(self, name, text):
        file = self.path / "Linux-CPython-3.12-64bit" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / ".benchmarks")


@pytest.fixture
def command(capsys):
    """Run the command; its exit code, output and complaints."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ending:
            cli.main([str(one) for one in arguments])
        output = capsys.readouterr()
        return ending.value.code, output.out, output.err

    return run
