"""How git is run: it asks nobody, and ends with all that it has started."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pytest_tfthreads.revision import git
from pytest_tfthreads.revision.checkout import Checkout
from pytest_tfthreads.revision.git import RevisionError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
SOON_S = 10  # shorter than what hangs here
_HANGS = "sleep 30 & touch started; sleep 30"


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """A function that puts a shell script before all other programs on PATH."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)

    def write(name, script):
        program = directory / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return write


# -- its end ----------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["", "trap '' TERM; "], ids=["heeds SIGTERM", "heeds nothing"])
def test_nothing_is_left_of_a_git_that_takes_too_long(on_path, tmp_path, monkeypatch, first):
    """Whatever lives holds the descriptor: with a checkout's lock, nobody could clean up."""
    on_path("git", first + _HANGS)
    monkeypatch.setattr(git, "_TIMEOUT_S", 0.5)
    monkeypatch.setattr(git, "_GRACE_S", 0.5)
    monkeypatch.chdir(tmp_path)
    ours, theirs = os.pipe()
    with pytest.raises(RevisionError, match=r"`git status` did not end within 0\.5 seconds in "):
        git.run(tmp_path, "status", keep_fds=[theirs])
    os.close(theirs)
    assert (tmp_path / "started").exists()
    readable, _, _ = select.select([ours], [], [], SOON_S)
    assert readable
    assert os.read(ours, 1) == b""
    os.close(ours)


_RUN = """
import os
from pathlib import Path
from pytest_tfthreads.revision import git
git.run(Path("."), "status", keep_fds=[os.dup(1)])
"""


def test_nothing_is_left_of_a_git_that_is_interrupted(on_path, tmp_path):
    on_path("git", _HANGS)
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    end_s = time.monotonic() + SOON_S
    while not (tmp_path / "started").exists() and time.monotonic() < end_s:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=SOON_S)  # until nobody has its output open
    assert "KeyboardInterrupt" in words


def test_git_has_time_to_remove_its_locks(on_path, tmp_path, monkeypatch):
    on_path("git", "trap 'rm lock; exit 1' TERM; touch lock; sleep 30 & wait")
    monkeypatch.setattr(git, "_TIMEOUT_S", 0.5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RevisionError, match="did not end"):
        git.run(tmp_path, "status")
    assert not (tmp_path / "lock").exists()


# -- what a fetch may ask ---------------------------------------------------------------

_SSH = """
echo "$0 $*" >> '{log}'
echo "askpass=$SSH_ASKPASS $SSH_ASKPASS_REQUIRE, $GIT_ASKPASS" >> '{log}'
(: < /dev/tty) 2> /dev/null && echo "a terminal" >> '{log}'
exit 1
"""


@pytest.mark.parametrize("is_named_by", [None, "GIT_SSH", "GIT_SSH_COMMAND", "core.sshCommand"])
def test_a_fetch_by_ssh_asks_nobody(tree, on_path, tmp_path, monkeypatch, is_named_by):
    """The user's own way to call ssh stays, and the program that answers git, as it does in CI."""
    log = tmp_path / "log"
    for name in ("ssh", "ssh-of-mine"):
        on_path(name, _SSH.format(log=log))
    tree.git("config", "uploadpack.allowFilter", "true")
    clone = tree.at(tmp_path / "clone")
    clone_from = ("clone", "--quiet", "--filter=blob:none", f"file://{tree.path}")
    tree.git(*clone_from, str(clone.path))
    clone.git("remote", "set-url", "origin", "ssh://nobody@example.org/x.git")
    if is_named_by == "core.sshCommand":
        clone.git("config", is_named_by, "ssh-of-mine")
    elif is_named_by:
        monkeypatch.setenv(is_named_by, "ssh-of-mine")
    monkeypatch.setenv("SSH_ASKPASS", "a-window")
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "prefer")
    monkeypatch.setenv("GIT_ASKPASS", "tokens-of-ci")
    with pytest.raises(RevisionError, match="This is a partial clone"):
        Checkout.make(clone.path, "v1.0", trusted=True)
    call, asked, *others = log.read_text().splitlines()[:3]
    assert ("ssh-of-mine" in call) == (is_named_by is not None)
    assert ("-oBatchMode=yes" in call) == (is_named_by is None)
    assert asked == "askpass= never, tokens-of-ci"
    assert "a terminal" not in others


def test_a_fetch_starts_no_housekeeping(tmp_path, temp):
    """In the background it would outlive git, and disturb what is measured."""
    for key, value in (("gc.auto", "0"), ("maintenance.auto", "false")):
        assert git.ask(tmp_path, "config", "--get", key) == value
