"""A page of the documentation, followed as a reader does."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# What is set up for readers, and stands ready for tests: the environment and the directory.
_SET_UP = re.compile(r"mkdir |python3? -m venv |pip install |cd ")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_CONCLUSION = re.compile(r"  |For |$")
_NAMED = re.compile(r"`([\w./-]+\.\w+)`[^`]*:\s*$")


@dataclass
class Reader:
    """Writes the files of a page and runs its commands, in a directory of its own."""

    path: Path
    environment: dict[str, str]
    code: int = 0
    ran: list[str] = field(default_factory=list)

    def follow(self, page):
        """All blocks in their order: a file follows its name, a console shows what is to come."""
        end = 0
        for block in _FENCE.finditer(page):
            language, text = block[1], block[2]
            named = _NAMED.search(page[end : block.start()].rstrip())
            end = block.end()
            if language == "console":
                self.run(text)
            elif named is not None:
                file = self.path / named[1]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")

    def run(self, console):
        """Run the commands of a block, and compare what each prints with what the block shows."""
        for part in re.split(r"^\$ ", console, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            if _SET_UP.match(command):
                continue
            done = subprocess.run(
                ["bash", "-c", f"(exit {self.code}); {command}"],
                cwd=self.path,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
            )
            self.code = done.returncode
            self.ran.append(command)
            _assert_shown(shown, done.stdout, command)


def _assert_shown(shown, printed, command):
    """Each line that is shown begins a line that was printed, in this order; figures may differ.

    Of a line with figures the first column is compared. Lines of `_CONCLUSION` depend on the
    machine.
    """
    actual = [_without_figures(line) for line in printed.splitlines()]
    at = 0
    for line in shown.splitlines():
        if re.search(r"\d", line):
            line = line.partition("  ")[0]
        expected = _without_figures(line)
        if not expected or expected == "…" or _CONCLUSION.match(line):
            continue
        found = next((n for n, one in enumerate(actual[at:], at) if one.startswith(expected)), None)
        assert found is not None, f"$ {command}\nshows no {line!r} here:\n{printed}"
        at = found + 1


def _without_figures(line):
    """Without the numbers, ids and widths that differ from run to run."""
    line = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{7,40}\b", "ID", line)
    line = re.sub(r"[-−+]?\d[\d,.]*", "0", line)
    line = re.sub(r"-{4,}|={4,}|_{4,}", "--", line)
    return " ".join(line.split())


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader with this Python's pytest and commands, whom git knows, and an empty directory."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("pytest", "pytest"), ("pytest-tfthreads", "pytest_tfthreads")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\n\tname = Nobody\n\temail = nobody@example.org\n")
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    directory = tmp_path / "features"
    directory.mkdir()
    return Reader(
        directory,
        {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": str(settings),
            "PYTEST_TFTHREADS_LEASES": str(tmp_path / "leases"),
            "COLUMNS": "80",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
