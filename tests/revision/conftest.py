"""A git repository of a test's own, and a git that knows nothing of this machine."""

import os
import subprocess
import tempfile

import pytest

from pytest_tfthreads.revision.counterparts import Counterparts


class Tree:
    """A working tree, and git in it."""

    def __init__(self, path):
        self.path = path

    def at(self, path):
        return Tree(path.resolve())

    def new(self, path):
        path.mkdir(parents=True)
        tree = self.at(path)
        tree.git("init", "--quiet", "--initial-branch=main")
        return tree

    def git(self, *args):
        done = subprocess.run(["git", "-C", self.path, *args], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, **files):
        """`mypkg__core` is mypkg/core.py."""
        for name, text in files.items():
            file = self.path / (name.replace("__", "/") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def commit(self, **files):
        self.write(**files)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a commit")
        return self.head

    @property
    def head(self):
        return self.git("rev-parse", "HEAD")

    @property
    def worktrees(self):
        return self.git("worktree", "list", "--porcelain").count("worktree ")


@pytest.fixture
def temp(tmp_path, monkeypatch):
    """A temporary directory of the test's own, and a git that knows nothing of this machine."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    settings = {"user.name": "A", "user.email": "a@b", "protocol.file.allow": "always"}
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, (key, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    directory = tmp_path / "temporäre files"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return directory.resolve()


@pytest.fixture
def tree(temp, tmp_path):
    """Two commits: v1.0 with VALUE 1, and the current one with VALUE 2."""
    tree = Tree(tmp_path).new(tmp_path / "my prøject")
    tree.commit(mypkg__core="VALUE = 1", tests__test_it="def test_old(): pass")
    tree.git("tag", "-a", "v1.0", "-m", "the first")
    tree.commit(mypkg__core="VALUE = 2", tests__test_it="def test_new(): pass")
    return tree


@pytest.fixture
def counterparts(tmp_path):
    """A tree and its checkout, empty but for what a test puts there."""
    base = tmp_path.resolve()
    for name in ("current/my tree", "temp/my tree"):
        (base / name).mkdir(parents=True)
    return Counterparts(base / "current/my tree", base / "temp/my tree", prefixes=())
