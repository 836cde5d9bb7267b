"""Runs git such that its arguments alone say where it looks, and turns its failures into words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.system.originals import ORIGINALS

_TIMEOUT_S = 900  # a checkout may fetch large files
_GRACE_S = 3.0  # for git to remove its locks from the repository
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
    # A fetch would start them in the background, where they disturb what is measured.
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
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
    fetches = _silent_fetches(directory) if may_fetch else _NO_FETCHES
    try:
        done = _completed(
            ["git", "-C", str(directory), *_OPTIONS, *arguments],
            {**inherited, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **fetches, **(env or {})},
            keep_fds,
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


def _silent_fetches(directory: Path) -> dict[str, str]:
    """What lets no fetch ask anybody anything, for nobody may be there to answer.

    An askpass program that the user has named for git stays: CI gives tokens by it. So does the
    user's own way to call ssh.
    """
    silent = {"SSH_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never"}
    is_called_otherwise = (
        any(name in os.environ for name in ("GIT_SSH_COMMAND", "GIT_SSH"))
        or run(directory, "config", "--get", "core.sshCommand").code == 0
    )
    return silent if is_called_otherwise else {**silent, "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}


def _completed(
    command: Sequence[str], env: Mapping[str, str], keep_fds: Sequence[int]
) -> subprocess.CompletedProcess[bytes]:
    """As of `subprocess.run`, but whatever ends the wait also ends all that git has started.

    git has a session of its own: without a terminal no program below it can ask there.
    """
    with subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=keep_fds,
        start_new_session=True,
    ) as process:
        try:
            output, words = process.communicate(timeout=_TIMEOUT_S)
        except BaseException:  # Ctrl-C too, which reaches this process alone
            _end(process)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, words)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group: they would hold the lock of a checkout, and write into it."""
    if sys.platform == "win32":
        process.kill()
        return
    try:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    finally:
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    # PermissionError: macOS has it for a group in which all have ended.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


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


def lines(output: str) -> list[str]:
    """The lines of what a git command prints, without empty ones.

    Names of tags and remotes may have characters at which `str.splitlines` ends a line.
    """
    return [line for line in output.split("\n") if line]


def names(output: str) -> list[str]:
    """The entries of what a git command prints with -z."""
    return [name for name in output.split("\0") if name]
