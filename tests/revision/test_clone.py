"""Clones as CI makes them: which commit a name means there, and what brings one that is missing."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from pytest_tfthreads.revision.checkout import Checkout
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.repository import Repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch):
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def origin(tree):
    """Five commits on main, two on a branch from the second, and what a request merges."""
    for number in range(3):
        tree.commit(mypkg__core=f"VALUE = {number + 3}")
    tree.git("switch", "--quiet", "-c", "feature/x", "HEAD~3")
    tree.commit(mypkg__other="1")
    tree.git("switch", "--quiet", "--detach", "main")
    tree.git("merge", "--quiet", "--no-ff", "-m", "merged", "feature/x")
    tree.git("update-ref", "refs/pull/7/merge", "HEAD")
    tree.git("switch", "--quiet", "main")
    return tree


@pytest.fixture
def cloned(origin, tmp_path):
    """A function that clones it, by `git clone` with options."""

    def clone(*options):
        path = tmp_path / "clone"
        origin.git("clone", "--quiet", *options, f"file://{origin.path}", str(path))
        return origin.at(path)

    return clone


@pytest.fixture
def checked_out(origin, tmp_path):
    """A function that makes what actions/checkout makes of a request: detached, no branch."""

    def check_out(*options):
        clone = origin.new(tmp_path / "clone")
        clone.git("remote", "add", "origin", f"file://{origin.path}")
        refs = ["+refs/heads/*:refs/remotes/origin/*"] if not options else []
        merge = "+refs/pull/7/merge:refs/remotes/pull/7/merge"
        clone.git("fetch", "--quiet", *options, "origin", *refs, merge)
        clone.git("checkout", "--quiet", "--detach", "refs/remotes/pull/7/merge")
        return clone

    return check_out


def find(tree, rev, trusted=True):
    return Repository.holding(tree.path).find(rev, trusted)


def complaint(tree, rev, trusted=True):
    with pytest.raises(RevisionError) as caught:
        find(tree, rev, trusted)
    return str(caught.value)


def commands(message):
    return re.findall(r"`(git fetch [^`]*)`", message)


# -- names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rev", "taken"),
    [
        ("main", "origin/main"),
        ("refs/heads/main", "origin/main"),
        ("main~2", "origin/main~2"),
        ("main^", "origin/main^"),
        ("feature/x", "origin/feature/x"),
        ("refs/pull/7/merge", "pull/7/merge"),
    ],
)
def test_a_branch_that_only_the_remote_has_is_taken_and_said(origin, checked_out, rev, taken):
    clone = checked_out()
    found = find(clone, rev)
    assert found.commit == origin.git("rev-parse", rev)
    assert found.name == taken
    with Checkout.make(clone.path, rev, trusted=True) as checkout:
        assert checkout.title == f"{found.commit[:7]} ({taken})"
        note = checkout.notes[0]
    assert f"no branch or tag {rev.rstrip('~2^')} in this clone" in note
    assert f"{taken.rstrip('~2^')} is taken" in note


def test_a_baseline_never_means_a_branch_of_a_remote(origin, checked_out):
    origin.git("branch", "deadbeef")
    clone = checked_out()
    assert find(clone, "deadbeef").name == "origin/deadbeef"
    assert "no commit 'deadbeef'" in complaint(clone, "deadbeef", trusted=False)


def test_remotes_that_have_different_ones_are_named(origin, cloned, tmp_path):
    clone = cloned()
    clone.git("checkout", "--quiet", "--detach")
    clone.git("branch", "--quiet", "-D", "main")
    clone.git("remote", "add", "fork", str(origin.path))
    clone.git("fetch", "--quiet", "fork")
    assert find(clone, "main").name in ("origin/main", "fork/main")  # the same commit
    clone.git("update-ref", "refs/remotes/fork/main", "HEAD~1")
    message = complaint(clone, "main")
    assert "fork/main" in message
    assert "origin/main" in message
    clone.git("config", "checkout.defaultRemote", "fork")
    assert find(clone, "main").name == "fork/main"


def test_a_name_of_several_commits_is_told_with_what_git_takes(tree):
    tree.git("branch", "twice", "HEAD")
    tree.git("tag", "twice", "v1.0")
    found = find(tree, "twice")
    assert found.commit == tree.git("rev-parse", "v1.0^{commit}")
    assert "refs/tags/twice is taken" in found.notes[0]
    assert "refs/heads/twice" in found.notes[0]
    assert find(tree, "refs/heads/twice").notes == ()
    tree.git("tag", "same", "main")
    tree.git("branch", "same", "main")
    assert find(tree, "same").notes == ()
    # Digits that begin an id are a branch's name first.
    digits = tree.head[:7]
    tree.git("branch", digits, "v1.0")
    assert tree.head in find(tree, digits).notes[0]


def test_a_name_that_looks_like_an_option(tree):
    tree.git("update-ref", "refs/heads/-x", "v1.0^{commit}")
    assert "refs/heads/" in complaint(tree, "-x")
    assert find(tree, "refs/heads/-x").commit == tree.git("rev-parse", "v1.0^{commit}")


def test_what_is_no_commit_is_told_as_what_it_is(tree):
    assert "it is a tree" in complaint(tree, "HEAD:mypkg")
    assert "it is a blob" in complaint(tree, tree.git("rev-parse", "HEAD:mypkg/core.py"))


def test_ways_of_naming_a_commit_that_git_knows(tree):
    started = tree.git("rev-parse", "v1.0^{commit}")
    commit = ("commit", "--quiet", "--allow-empty", "-m")
    tree.git(*commit, "the fix: not ^{commit}")
    fixed = tree.head
    tree.git(*commit, "later")
    for rev in (":/the fix", ":/^the", ":/ fix: not ", "HEAD^{/the fix}", "HEAD^{/!-later}"):
        assert find(tree, rev).commit == fixed, rev
        assert find(tree, rev).name == rev
    assert find(tree, ":/!-later").commit == tree.git("rev-parse", ":/!-later")
    assert find(tree, "@{1}").commit == fixed
    tree.git("switch", "--quiet", "-c", "elsewhere", "v1.0")
    tree.git("switch", "--quiet", "-")
    assert find(tree, "@{-1}").commit == started
    assert find(tree, "@{yesterday}").commit


def test_what_a_message_or_the_index_does_not_have(tree):
    assert "has no commit ':/no such text'" in complaint(tree, ":/no such text")
    assert "has no commit 'HEAD^{/no such text}'" in complaint(tree, "HEAD^{/no such text}")
    assert "it is a blob" in complaint(tree, ":mypkg/core.py")
    assert "it is a blob" in complaint(tree, ":0:mypkg/core.py")
    assert "is no commit id" in complaint(tree, ":/a", trusted=False)


def test_no_commit_yet(tree, tmp_path):
    empty = tree.new(tmp_path / "empty")
    assert "no commit at all" in complaint(empty, "HEAD")


def test_no_remote(tree):
    assert "git remote add origin" in complaint(tree, "v9")
    assert commands(complaint(tree, "v9")) == []


# -- what brings it ---------------------------------------------------------------------


def brought(clone, rev, number=0):
    """Runs a command of the complaint, and returns what the revision is then."""
    message = complaint(clone, rev)
    _, *arguments = shlex.split(commands(message)[number])
    clone.git(*arguments, "--quiet")
    return find(clone, rev).commit


@pytest.mark.parametrize("options", [("--depth=1",), ("--depth=1", "--no-tags")])
@pytest.mark.parametrize(
    "rev", ["main", "main~2", "feature/x", "origin/main", "v1.0", "refs/tags/v1.0", "ID"]
)
def test_the_command_brings_it_into_a_shallow_checkout(origin, checked_out, options, rev):
    clone = checked_out(*options)
    rev = origin.git("rev-parse", "main~3") if rev == "ID" else rev
    wanted = origin.git("rev-parse", f"{rev.removeprefix('origin/')}^{{commit}}")
    message = complaint(clone, rev)
    assert "This is a shallow clone" in message
    assert "`fetch-depth: 0` of actions/checkout" in message
    assert "`GIT_DEPTH: 0`" in message
    assert brought(clone, rev) == wanted
    assert clone.git("rev-parse", "--is-shallow-repository") == "true"  # it brought no more


@pytest.mark.parametrize("rev", ["HEAD^1", "HEAD~3", "HEAD^2"])
def test_the_command_brings_what_comes_before_a_shallow_checkout(origin, checked_out, rev):
    clone = checked_out("--depth=1")
    wanted = origin.git("rev-parse", rev.replace("HEAD", "refs/pull/7/merge"))
    assert brought(clone, rev) == wanted


def test_the_whole_history_can_be_brought_as_well(origin, cloned):
    clone = cloned("--depth=1")
    short = origin.git("rev-parse", "--short=8", "main~3")
    assert brought(clone, short) == origin.git("rev-parse", short)
    assert clone.git("rev-parse", "--is-shallow-repository") == "false"


@pytest.mark.parametrize(
    ("ci", "there", "not_there"),
    [
        ("GITHUB_ACTIONS", "actions/checkout", "GitLab"),
        ("GITLAB_CI", "GitLab", "actions/checkout"),
    ],
)
def test_in_ci_its_own_setting_is_named(cloned, monkeypatch, ci, there, not_there):
    monkeypatch.setenv(ci, "true")
    message = complaint(cloned("--depth=1"), "feature/x")
    assert there in message
    assert not_there not in message


@pytest.mark.parametrize("rev", ["feature/x", "feature/x~1", "ID"])
def test_a_clone_of_one_branch(origin, cloned, rev):
    clone = cloned("--single-branch", "--no-tags")
    rev = origin.git("rev-parse", "feature/x") if rev == "ID" else rev
    assert "This clone fetches main only" in complaint(clone, rev)
    assert brought(clone, rev) == origin.git("rev-parse", rev)


def test_a_tag_that_was_not_fetched(origin, cloned):
    clone = cloned("--no-tags")
    assert brought(clone, "v1.0") == origin.git("rev-parse", "v1.0^{commit}")


def test_a_request_that_was_not_fetched(origin, cloned):
    clone = cloned()
    wanted = origin.git("rev-parse", "refs/pull/7/merge")
    assert brought(clone, "refs/pull/7/merge") == wanted


def test_a_way_that_leads_nowhere_is_not_fetched(origin, cloned):
    clone = cloned()
    message = complaint(clone, "main~99")
    assert "'main' is here, but '~99' leads from there to no commit" in message
    assert commands(message) == []


def test_a_way_that_is_longer_than_any_history(cloned):
    assert "is here, but '~999" in complaint(cloned(), f"main~{'9' * 5000}")


def test_another_remote_than_origin(origin, cloned):
    clone = cloned("--depth=1", "--origin=upstream")
    assert brought(clone, "feature/x") == origin.git("rev-parse", "feature/x")


def test_a_remote_whose_name_looks_like_two_lines(origin, cloned):
    clone = cloned("--depth=1", "--origin=up\u2028stream")
    assert "origin/" not in complaint(clone, "feature/x")
    assert brought(clone, "feature/x") == origin.git("rev-parse", "feature/x")
    with Checkout.make(clone.path, "feature/x", trusted=True) as checkout:
        assert checkout.title.endswith("(up\u2028stream/feature/x)")


def test_no_command_is_made_of_what_is_no_name(cloned):
    clone = cloned("--depth=1")
    for rev in ("a;b", "$(x)", "`x`", "v" * 5000, "a b"):
        message = complaint(clone, rev)
        assert commands(message) == ["git fetch --unshallow --tags origin"]


def test_a_partial_clone_fetches_what_it_needs_or_says_what_is_missing(origin, cloned, temp):
    origin.git("config", "uploadpack.allowFilter", "true")
    clone = cloned("--filter=blob:none")
    with Checkout.make(clone.path, "v1.0", trusted=True) as checkout:
        assert (checkout.root / "mypkg/core.py").read_text() == "VALUE = 1"
    away = origin.path.with_name("away")
    origin.path.rename(away)
    with pytest.raises(RevisionError, match="This is a partial clone") as caught:
        Checkout.make(clone.path, "main~2", trusted=True)
    assert clone.worktrees == 1
    assert not list(temp.iterdir())
    away.rename(origin.path)
    _, *arguments = shlex.split(commands(str(caught.value))[0])
    clone.git(*arguments, "--quiet")
    origin.path.rename(away)
    with Checkout.make(clone.path, "main~2", trusted=True) as checkout:
        assert (checkout.root / "mypkg/core.py").read_text() == "VALUE = 3"


def test_a_commit_that_a_partial_clone_lacks_is_not_fetched(origin, cloned):
    """The commit of a saved run must be there: a server may have those of anybody's forks."""
    origin.git("config", "uploadpack.allowFilter", "true")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
    clone = cloned("--filter=blob:none", "--depth=1")
    commit = origin.git("rev-parse", "v1.0^{commit}")
    for trusted in (False, True):
        with pytest.raises(RevisionError, match=f"`git fetch --depth=1 origin {commit}` brings it"):
            Checkout.make(clone.path, commit, trusted)
    assert brought(clone, commit) == commit


# -- where there is none ----------------------------------------------------------------


def test_a_tree_without_its_repository(origin, tmp_path):
    linked = tmp_path / "linked"
    origin.git("worktree", "add", "--quiet", "--detach", str(linked), "v1.0")
    copy = tmp_path / "copied"
    shutil.copytree(linked, copy)
    origin.git("worktree", "remove", str(linked))
    with pytest.raises(RevisionError, match="Was only a worktree or a submodule copied"):
        Repository.holding(copy / "mypkg")


def test_files_without_a_repository(tmp_path, temp):
    (tmp_path / ".git").mkdir()
    with pytest.raises(RevisionError, match=r"an archive or an image without \.git is none"):
        Repository.holding(tmp_path)


def test_a_directory_that_cannot_be_looked_at():
    """A name that no directory can have stands for one that this user may not search."""
    with pytest.raises(RevisionError, match=r"git finds none in /xxx.*: fatal: "):
        Repository.holding(Path("/", "x" * 300))
