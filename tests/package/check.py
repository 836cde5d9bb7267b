"""Build the sdist and the wheel, and use each as a user would: `tox -e package`.

Each is installed, with what it depends on, into a new environment outside of the checkout. A file
that does not belong, or one that is missing, ends this with the reason.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_tfthreads"
# What runs in the new environment: the package and nothing of the checkout.
USE = """
import importlib.metadata as metadata, importlib.resources as resources
import pytest_tfthreads
version = metadata.version("pytest-tfthreads")
assert pytest_tfthreads.__version__ == version, pytest_tfthreads.__version__
assert resources.files("pytest_tfthreads").joinpath("py.typed").is_file()
entry_points = metadata.distribution("pytest-tfthreads").entry_points
for one in entry_points:
    assert one.load() is not None
assert {one.group for one in entry_points} == {"pytest11", "console_scripts"}
"""
TEST = """
import pytest

def test_unmarked():
    pass

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_marked():
    pass
"""


def run(*command: str | Path, cwd: Path) -> str:
    """What the command prints; a command that fails ends this, with all that it printed."""
    done = subprocess.run(
        [str(one) for one in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def check_files(wheel: Path, sdist: Path) -> None:
    """The wheel has the package and its metadata, the sdist what tests and documentation need."""
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    if names != ours:
        sys.exit(f"{wheel.name}: missing {sorted(ours - names)}, too much {sorted(names - ours)}")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = ours | {"README.md", "LICENSE", "CHANGELOG.md", "tox.ini", "tests/conftest.py"}
    needed |= {"docs/conf.py", "examples/README.md", "docs/reference/saved-run.schema.json"}
    if missing := needed - names:
        sys.exit(f"{sdist.name}: missing {sorted(missing)}")


def check_use(distribution: Path, directory: Path) -> None:
    """Install it into an environment of its own, import it, and run the command and pytest."""
    directory.mkdir()
    environment = directory / "environment"
    venv.create(environment, with_pip=True)
    programs = environment / "bin"
    run(programs / "pip", "install", "--quiet", distribution, cwd=directory)
    run(programs / "pip", "check", cwd=directory)
    run(programs / "python", "-c", USE, cwd=directory)
    run(programs / "pytest-tfthreads", "--version", cwd=directory)
    run(programs / "pytest-tfthreads", "--help", cwd=directory)
    (directory / "test_it.py").write_text(TEST)
    shown = run(programs / "pytest", "--collect-only", "-q", cwd=directory)
    if "test_it.py::test_marked[intra2-inter1]" not in shown:
        sys.exit(f"{distribution.name}: pytest does not find the plugin:\n{shown}")
    run(programs / "pytest", "-q", "-k", "unmarked", cwd=directory)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        built = Path(temporary) / "dist"
        run(sys.executable, "-m", "build", "--outdir", built, ROOT, cwd=ROOT)
        (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
        run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=ROOT)
        check_files(wheel, sdist)
        for distribution in (wheel, sdist):
            check_use(distribution, Path(temporary) / distribution.suffix.removeprefix("."))
            print(f"{distribution.name} is fine")


if __name__ == "__main__":
    main()
