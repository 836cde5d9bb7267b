"""Whoever follows README and the tutorial gets what they show; with the real TensorFlow."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="no TensorFlow"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a single CPU"),
]


def test_the_tutorial_can_be_followed_to_its_end(reader):
    reader.follow((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    assert [command.split()[0] for command in reader.ran if command.startswith("pytest")] == [
        "pytest-tfthreads",
        "pytest",
        "pytest",
    ]
    assert "git bisect run pytest -q --tf-threads-duet=v1.0" in reader.ran


def test_the_example_of_readme_runs_as_pasted_and_shows_what_is_printed(reader):
    reader.follow((ROOT / "README.md").read_text(encoding="utf-8"))
    assert reader.ran == ["pytest test_features.py"]


def test_readme_is_read_in_two_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
