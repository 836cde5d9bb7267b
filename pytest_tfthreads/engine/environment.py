"""Another Python environment, in which the same tests are to be run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_tfthreads import __version__
from pytest_tfthreads.core.decode import decode

# What an interpreter tells of itself, in Python; it has imported sys. A prefix alone does not make
# it: several versions may have /usr, each with modules of its own.
WHO = "[sys.prefix, sys.implementation.name, *sys.version_info[:2], getattr(sys, 'abiflags', '')]"
_PROBE = f"""
import importlib.util, json, sys
here = [one for one in sys.path if one]
try:
    from pytest_tfthreads import __version__ as plugin
except Exception as error:
    plugin, problem = None, repr(error)
else:
    problem = ""
missing = [one for one in sys.argv[1:] if importlib.util.find_spec(one) is None]
print(json.dumps({{"path": here, "who": {WHO}, "plugin": plugin, "problem": problem,
    "python": list(sys.version_info[:3]), "missing": missing}}))
"""
_PROBE_TIMEOUT_S = 60
_NEEDED = ("pytest", "pytest_benchmark")


class EnvironmentUnfitError(Exception):
    """It cannot run tests beside this one; the message says why and what to do."""


class OwnEnvironmentError(EnvironmentUnfitError):
    """The environment that was named is that of this process."""


@dataclass(frozen=True)
class _Told:
    """What an interpreter answers to the probe."""

    path: tuple[str, ...]
    who: tuple[str, str, int, int, str]
    plugin: str | None
    problem: str
    python: tuple[int, int, int]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """An interpreter, and where it finds its modules."""

    python: str
    sys_path: tuple[str, ...]
    version: str

    @classmethod
    def other(cls, python: str) -> Environment | None:
        """As `probe`, but None of this environment: people name all environments alike.

        Raises `EnvironmentUnfitError`.
        """
        try:
            return cls.probe(python)
        except OwnEnvironmentError:
            return None

    @classmethod
    def probe(cls, python: str) -> Environment:
        """Ask an interpreter about itself.

        Raises `EnvironmentUnfitError`, and of this environment `OwnEnvironmentError`.
        """
        if not python:
            raise EnvironmentUnfitError(
                "python= has to name an interpreter, or the directory of a virtual environment"
            )
        # Not pathlib's: before Python 3.14 its methods raise where a directory above cannot be
        # searched, and `expanduser` raises where there is no such user.
        path = os.path.expanduser(python)
        if os.path.isdir(path):  # a virtual environment
            path = os.path.join(path, "bin", "python")
        if not os.path.isfile(path):
            raise EnvironmentUnfitError(f"there is no interpreter {path}{_why_unseen(path)}")
        # Not resolved: the link in a virtual environment is what makes it one.
        python = os.path.abspath(path)
        try:
            run = subprocess.run(
                [python, "-c", _PROBE, *_NEEDED],
                capture_output=True,
                text=True,
                timeout=_PROBE_TIMEOUT_S,
                check=True,
                cwd=os.sep,
                stdin=subprocess.DEVNULL,
            )
            told = decode(_Told, json.loads(run.stdout.splitlines()[-1]))
        except subprocess.CalledProcessError as error:
            words = (error.stderr or "").strip().splitlines()
            raise EnvironmentUnfitError(
                f"{python} is no Python that works: {words[-1] if words else error}"
            ) from error
        except (
            OSError, ValueError, LookupError, RecursionError, subprocess.TimeoutExpired,
        ) as error:  # fmt: skip
            raise EnvironmentUnfitError(f"{python} is no Python that works: {error!r}") from error
        if told.plugin != __version__:
            found = (
                f"has pytest-tfthreads {told.plugin}"
                if told.plugin
                else f"cannot import it ({told.problem})"
            )
            raise EnvironmentUnfitError(
                f"both sides need pytest-tfthreads {__version__}, and {python} {found}: "
                f"install that version there ({python} -m pip install /path/to/pytest-tfthreads)"
            )
        if told.missing:
            raise EnvironmentUnfitError(
                f"{python} lacks {', '.join(told.missing)}, which both sides need: {python} -m "
                f"pip install {' '.join(told.missing)}"
            )
        if is_own(told.who):
            raise OwnEnvironmentError(
                f"{python} is the environment that runs these tests: name another environment"
            )
        return cls(python, told.path, ".".join(map(str, told.python)))


def is_own(who: Sequence[object]) -> bool:
    """Whether an interpreter that tells this (`WHO`) runs in the environment of this process."""
    prefix, *version = who
    own_version = [sys.implementation.name, *sys.version_info[:2], getattr(sys, "abiflags", "")]
    is_own_prefix = os.path.realpath(str(prefix)) == os.path.realpath(sys.prefix)
    return is_own_prefix and version == own_version


def _why_unseen(path: str) -> str:
    """Why nobody can say whether there is such a file, behind a colon; empty where none is."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:  # ValueError: a null byte
        return f": {getattr(error, 'strerror', None) or error}"
    return ""
