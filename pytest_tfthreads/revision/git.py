"""Runs git such that its arguments alone say where it looks, and turns its failures into words."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.system.originals import ORIGINALS

_TIMEOUT_S = 900  # a checkout may fetch large files
_NO_TIMES = 6
_FIRST_PAUSE_S = 0.1
# A hook or an alias that pytest is run from leaves these behind: they would have git look at
# another repository, index or set of paths than those that are named. What configures git, such as
# GIT_CONFIG_GLOBAL or GIT_CONFIG_COUNT with its safe.directory, stays.
_NOT_INHERITED = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
_OPTIONS = (
    "--no-optional-locks",  # looking at the current tree must not change its index
    "--literal-pathspecs",
    "-c",
    f"core.hooksPath={os.devnull}",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.splitIndex=false",
    # Anybody may have put a bare repository's files into a directory. Those that are meant are
    # named by --git-dir.
    "-c",
    "safe.bareRepository=explicit",
    "-c",
    "advice.detachedHead=false",
    # With it, git would also move the submodules of the current tree to the other revision.
    "-c",
    "submodule.recurse=false",
    # Relative paths would put an extension into the repository that older gits refuse to read.
    "-c",
    "worktree.useRelativePaths=false",
)
# In a partial clone git fetches any object that it lacks, by programs that the repository's
# configuration names. Older gits know no GIT_NO_LAZY_FETCH; without a protocol they fetch nothing.
_NO_FETCHES = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"}


class RevisionError(Exception):
    """A revision cannot be checked out; the message says why and what to do."""


@dataclass(frozen=True)
class GitOutput:
    """What a git command printed, and its own words where it complained."""

    code: int
    output: str
    words: str


def run(
    directory: Path,
    *arguments: str,
    keep_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    may_fetch: bool = False,
) -> GitOutput:
    """Run git in a directory, never through a shell. `keep_fds` are inherited by it.

    `may_fetch`: in a partial clone it fetches what it lacks. Otherwise it uses no network.

    Raises `RevisionError` if it cannot be started or does not come to an end.
    """
    inherited = {name: text for name, text in os.environ.items() if name not in _NOT_INHERITED}
    fetches = {} if may_fetch else _NO_FETCHES
    try:
        done = subprocess.run(  # nosec B607 # the git that the user has on PATH is meant
            ["git", "-C", str(directory), *_OPTIONS, *arguments],  # noqa: S607 - the user's git
            env={**inherited, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **fetches, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            pass_fds=keep_fds,
        )
    except FileNotFoundError as error:
        raise RevisionError(
            "revisions are checked out with git, and there is no git on PATH. "
            "Install it, or compare two environments: python=PATH in place of a revision."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: an argument with a null byte
        raise RevisionError(f"git cannot be started: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise RevisionError(
            f"`git {_command(arguments)}` did not end within {_TIMEOUT_S} seconds in {directory}."
        ) from error
    return GitOutput(
        done.returncode, os.fsdecode(done.stdout), done.stderr.decode(errors="replace").strip()
    )


def ask(
    directory: Path,
    *arguments: str,
    keep_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    may_fetch: bool = False,
) -> str:
    """What git prints, without the end of its last line. Raises `RevisionError` if it fails."""
    answer = run(directory, *arguments, keep_fds=keep_fds, env=env, may_fetch=may_fetch)
    if answer.code != 0:
        raise RevisionError(
            f"`git {_command(arguments)}` failed in {directory}: "
            f"{answer.words or f'exit code {answer.code}'}"
        )
    return answer.output.removesuffix("\n")


def ask_worktree(
    directory: Path,
    *arguments: str,
    keep_fds: Sequence[int] = (),
    git_dir: Path | None = None,
    may_fetch: bool = False,
) -> str:
    """`git worktree …`, again and again for a few seconds where another run's is in its way.

    `git_dir` names the repository's own directory where no tree of it may be there any more: git
    would look for one otherwise, and refuse what it finds where only a tree is trusted
    (safe.directory).

    git reads the registrations of all worktrees, without a lock, and gives up on one that another
    process is just writing or removing.
    """
    named = [] if git_dir is None else [f"--git-dir={git_dir}"]
    pause_s = _FIRST_PAUSE_S
    for time_left in reversed(range(_NO_TIMES)):
        answer = run(
            directory, *named, "worktree", *arguments, keep_fds=keep_fds, may_fetch=may_fetch
        )
        if answer.code == 0:
            return answer.output
        in_the_way = "worktrees/" in answer.words or ".lock" in answer.words
        if not (in_the_way and time_left):
            break
        ORIGINALS.sleep(pause_s)
        pause_s *= 2
    raise RevisionError(f"`git worktree {arguments[0]}` failed in {directory}: {answer.words}")


def _command(arguments: Sequence[str]) -> str:
    """The name of the git command, before which options may stand."""
    return next(one for one in arguments if not one.startswith("-"))


def names(output: str) -> list[str]:
    """The entries of what a git command prints with -z."""
    return [name for name in output.split("\0") if name]
