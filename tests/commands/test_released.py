"""What a command line names, in real repositories."""

import itertools
import os
import shutil
import subprocess
import sys

import pytest

from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.released import named
from pytest_tfthreads.core.abreast import Place
from pytest_tfthreads.engine.environment import Environment
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.repository import Repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(scope="module")
def git(tmp_path_factory):
    """v0.9, v1.0, an untagged commit, v1.1 and `stable` on one, v1.2, main; `old` off v0.9.

    A branch of v0.9 has v0.9.1, and was merged after v1.0.
    """
    top = tmp_path_factory.mktemp("repository")
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    names = {
        f"GIT_{who}_{what}": text
        for who in ("AUTHOR", "COMMITTER")
        for what, text in (("NAME", "A"), ("EMAIL", "a@b"))
    }

    moments = itertools.count(1_800_000_000)

    def run(*args):
        names["GIT_COMMITTER_DATE"] = f"{next(moments)} +0000"
        done = subprocess.run(
            ["git", "-C", top, *args],
            check=True, capture_output=True, text=True, env=os.environ | settings | names,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(subject, *tags):
        run("commit", "--quiet", "--allow-empty", "-m", subject)
        for tag in tags:
            run("tag", tag)

    run("init", "--quiet", "--initial-branch=main")
    commit("first", "v0.9")
    run("checkout", "--quiet", "-b", "old")
    commit("a fix of 0.9", "v0.9.1")
    run("checkout", "--quiet", "main")
    commit("second", "v1.0")
    commit("third")
    run("merge", "--quiet", "--no-ff", "-m", "Merge old", "old")
    commit("fourth", "stable", "v1.1")
    commit("fifth", "v1.2")
    commit("sixth")
    run.top = top
    return run


def names_of(git, *texts, last=None):
    return [one.name for one in named(texts, last, git.top).releases]


def test_a_range_is_its_ends_and_all_tags_between_in_the_order_of_history(git) -> None:
    found = named(["v1.0..HEAD"], None, git.top)
    assert [one.name for one in found.releases] == ["v1.0", "v1.1", "v1.2", "HEAD"]
    # The merged branch had no v1.0 in it.
    assert [one.place for one in found.releases] == [
        Place(git("rev-parse", f"{name}^{{commit}}")) for name in ("v1.0", "v1.1", "v1.2", "HEAD")
    ]
    assert [one.commit.subject for one in found.releases] == ["second", "fourth", "fifth", "sixth"]
    assert found.releases[1].tags == ("v1.1", "stable")
    assert found.notes == ()
    assert names_of(git, "v1.1..") == ["v1.1", "v1.2", "HEAD"]
    assert names_of(git, "v0.9..v1.1") == ["v0.9", "v0.9.1", "v1.0", "v1.1"]


def test_the_last_tags_of_the_history_come_before_what_is_named(git) -> None:
    assert names_of(git, "HEAD", ".", last=2) == ["v1.1", "v1.2", "HEAD", "."]
    found = named([], 9, git.top)
    assert [one.name for one in found.releases] == ["v0.9", "v0.9.1", "v1.0", "v1.1", "v1.2"]
    assert found.notes == ("HEAD's history has 5 tagged commits only",)


def test_a_commit_is_measured_once_however_it_is_named(git) -> None:
    found = named(["stable", "v1.1", "v1.0..v1.1"], None, git.top)
    assert [one.name for one in found.releases] == ["stable", "v1.0"]
    assert "v1.1 is stable, and is measured once" in found.notes


def test_environments_stand_beside_revisions(git, monkeypatch) -> None:
    def probe(path):
        return Environment(f"/at/{path}/bin/python", (), "3.12.1")

    monkeypatch.setattr(Environment, "probe", probe)
    found = named(["v1.0", "python=old", "."], None, git.top).releases
    assert [(one.name, one.place) for one in found] == [
        ("v1.0", Place(git("rev-parse", "v1.0"))),
        ("python=old", Place(python="/at/old/bin/python")),
        (".", Place()),
    ]


def test_the_environment_of_the_command_may_be_named_like_others(git) -> None:
    own = f"python={sys.executable}"
    found = named(["v1.0", own, "."], None, git.top)
    assert [(one.name, one.place) for one in found.releases][1:] == [(own, Place())]
    assert f". is {own}, and is measured once" in found.notes


def test_head_is_not_the_current_tree_where_that_has_changes(git) -> None:
    file = git.top / "new.py"
    file.write_text("")
    git("add", "new.py")
    try:
        found = named(["v1.0", "HEAD"], None, git.top)
        assert "HEAD is measured without them, and . would be with them" in found.notes[-1]
        assert named(["v1.0", "HEAD", "."], None, git.top).notes == ()
    finally:
        git("rm", "--quiet", "--force", "new.py")


@pytest.mark.parametrize(
    ("texts", "last", "words"),
    [
        ([], None, "name two or more"),
        (["v1.0"], None, "this names only v1.0: name two"),
        (["v1.1", "stable"], None, "this names only v1.1"),
        (["v1.0", "v9"], None, "v9: the repository .* has no commit 'v9'.* releases REV"),
        (["v9..HEAD"], None, r"v9\.\.HEAD: the repository .* has no commit 'v9'"),
        (["HEAD..v1.0"], None, r"HEAD\.\.v1.0: HEAD is no ancestor of v1.0: write v1.0\.\.HEAD"),
        (["v0.9.1..v1.0"], None, "v0.9.1 is no ancestor of v1.0$"),
        (["..v1.0"], None, r"\.\.v1.0: this is no range of releases: write FIRST\.\.LAST"),
        (["v1.0...v1.2"], None, "this is no range"),
        (["python=/no/such", "."], None, "python=/no/such: there is no interpreter"),
        ([f"python={sys.executable}", "."], None, rf"names only python={sys.executable} \(\. is"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_of_the_argument(git, texts, last, words) -> None:
    with pytest.raises(CommandError, match=words):
        named(texts, last, git.top)


def test_without_a_repository_only_environments_can_be_compared(tmp_path) -> None:
    with pytest.raises(CommandError, match=r"v1: this needs a git repository"):
        named(["v1", "."], None, tmp_path)
    with pytest.raises(CommandError, match=r"--last=3: this needs a git repository"):
        named([], 3, tmp_path)


def test_a_history_without_tags_has_no_last_ones(git) -> None:
    git("checkout", "--quiet", "--orphan", "bare")
    try:
        git("commit", "--quiet", "--allow-empty", "-m", "alone")
        with pytest.raises(CommandError, match="--last=2: no commit of HEAD's history has a tag"):
            named([], 2, git.top)
    finally:
        git("checkout", "--quiet", "--force", "main")


def test_a_shallow_clone_is_named_where_history_or_tags_are_missing(git, tmp_path) -> None:
    def clone(*arguments):
        command = ["git", *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)

    shallow = tmp_path / "shallow"
    clone("clone", "--quiet", "--depth=1", "--branch=v1.2", f"file://{git.top}", str(shallow))
    clone("-C", str(shallow), "fetch", "--quiet", "--depth=1", "origin", "tag", "v1.0")
    advice = "shallow clone knows: `git fetch --unshallow --tags`"
    with pytest.raises(CommandError, match=rf"v1.0 is no ancestor of HEAD, as far .* {advice}"):
        named(["v1.0..HEAD"], None, shallow)
    with pytest.raises(CommandError, match=rf"names only v1.2 \(HEAD's history has .*{advice}"):
        named([], 2, shallow)


def test_where_git_cannot_tell_of_changes_a_note_says_so(git, monkeypatch) -> None:
    """For example, because git does not trust the owner of a submodule."""

    def unknown(repository):
        raise RevisionError("git status failed in submodule sub")

    monkeypatch.setattr(Repository, "is_changed", property(unknown))
    found = named(["v1.0", "HEAD"], None, git.top)
    assert [one.name for one in found.releases] == ["v1.0", "HEAD"]
    assert found.notes == (
        "whether the current tree has uncommitted changes is not known: git status failed in "
        "submodule sub",
    )
