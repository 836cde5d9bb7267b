"""Runs the tests of other plugins with this plugin installed and without, and compares outcomes.

    python tests/guests/compare.py [PLUGIN ...] [--keep DIR]

Nothing in those suites is marked with `tf_threads`, so each of their tests must end in the same way
on both sides. For each plugin its source distribution is fetched by pip, its release is installed
into a virtual environment of its own, and its own tests are run there: as it is, with this project
on the module path, and as it is once more, which tells the tests whose outcome changes by itself.
DIR keeps the environments and sources from run to run. The network is needed; some minutes pass.

Prints a table and every test whose outcome differs; the exit code is 1 if there is one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Guest:
    """A plugin whose tests are run: what they need, and where they are in its sources."""

    name: str
    needs: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


GUESTS = {
    guest.name: guest
    for guest in (
        Guest(
            "pytest-benchmark",
            (
                "pytest-xdist",
                "aspectlib",
                "freezegun",
                "pygal",
                "pygaljs",
                "elasticsearch",
                "hunter",
                "nbmake",
            ),
            ("tests",),
        ),
        Guest("pytest-xdist", ("filelock", "pexpect", "psutil"), ("testing",)),
        Guest("pytest-rerunfailures", ("pytest-xdist",), ("tests",)),
        Guest("pytest-timeout", ("pexpect", "pytest-cov"), ("test_pytest_timeout.py",)),
    )
}
_OUTCOMES = ("failure", "error", "skipped")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plugins", nargs="*", metavar="PLUGIN", help=", ".join(GUESTS))
    parser.add_argument("--keep", type=Path, metavar="DIR", help="environments and sources")
    options = parser.parse_args()
    if unknown := set(options.plugins) - GUESTS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: none of {', '.join(GUESTS)}")
    guests = [GUESTS[name] for name in options.plugins or GUESTS]
    with tempfile.TemporaryDirectory() as temporary:
        place = (options.keep or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        differ = [name for guest in guests for name in compare(guest, place)]
    sys.exit(bool(differ))


def compare(guest: Guest, place: Path) -> list[str]:
    """Print what the guest's tests give on both sides; the names of tests that differ."""
    python, sources = install(guest, place / guest.name)
    own_path = place / "tfthreads"
    if not own_path.exists():
        pip(Path(sys.executable), "install", "--no-deps", f"--target={own_path}", str(PROJECT))
    sides = [
        outcomes(guest, python, sources, place / guest.name / f"{number}.xml", path)
        for number, path in enumerate((None, own_path, None))
    ]
    without, with_it, again = sides
    unsteady = {name for name in without | again if without.get(name) != again.get(name)}
    differ = sorted(
        name
        for name in without | with_it
        if without.get(name) != with_it.get(name) and name not in unsteady
    )
    print(
        f"{guest.name:22}{sources.name.removeprefix(guest.name.replace('-', '_') + '-'):10}"
        f"without: {counted(without)}   with: {counted(with_it)}   "
        f"{len(differ)} differ, {len(unsteady)} change by themselves",
        flush=True,
    )
    for name in differ:
        print(f"    {name}: {without.get(name)} without, {with_it.get(name)} with", flush=True)
    return differ


def install(guest: Guest, place: Path) -> tuple[Path, Path]:
    """An interpreter that has the guest and all that its tests need, and the guest's sources."""
    python = place / "venv" / "bin" / "python"
    if not list(place.glob("*.tar.gz")):  # the last that is fetched
        subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
        # pytest-benchmark, for both sides have what this plugin depends on.
        pip(python, "install", guest.name, "pytest-benchmark", *guest.needs)
        pip(
            *(python, "download", "--no-deps", f"--no-binary={guest.name}", guest.name),
            *("--dest", str(place)),
        )
    (archive,) = place.glob("*.tar.gz")
    sources = place / archive.name.removesuffix(".tar.gz")
    if not sources.exists():
        with tarfile.open(archive) as file:
            file.extractall(place, filter="data")
    return python, sources


def pip(python: Path, *args: str) -> None:
    subprocess.run([python, "-m", "pip", "-q", "--disable-pip-version-check", *args], check=True)


def outcomes(
    guest: Guest, python: Path, sources: Path, report: Path, path: Path | None
) -> dict[str, str]:
    """How each test ended, by name; `path` is added to the module path."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST")}
    environment.pop("PYTHONPATH", None)
    # Of all temporary directories of pytest in one place, runs beside this one remove older ones.
    temporary = report.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    environment["PYTEST_DEBUG_TEMPROOT"] = str(temporary)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    run = subprocess.run(
        [
            *(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"),
            *("-o", "junit_family=xunit2", *guest.args),
        ],
        cwd=sources,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if not report.exists():
        sys.exit(f"{guest.name}: its tests were not run:\n{run.stdout}")
    cases = ET.parse(report).iter("testcase")
    found = {f"{case.get('classname')}::{case.get('name')}": outcome(case) for case in cases}
    report.unlink()
    return found


def outcome(case: ET.Element) -> str:
    return next((kind for kind in _OUTCOMES if case.find(kind) is not None), "passed")


def counted(found: dict[str, str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(found.values()).items()))


if __name__ == "__main__":
    main()
