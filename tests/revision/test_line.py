"""The commits between two, in real repositories."""

import shutil

import pytest

from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.line import CommitLine, branch_of
from pytest_tfthreads.revision.repository import Repository

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.usefixtures("temp"),
]


@pytest.fixture
def merged(tree):
    """v1.0, the second, one on main, a merge of the branch `side` with two commits, the last."""
    tree.git("checkout", "--quiet", "-b", "side")
    tree.commit(side="A = 1")
    tree.commit(side="A = 2")
    tree.git("checkout", "--quiet", "main")
    tree.commit(own="B = 1")
    tree.git("merge", "--quiet", "--no-ff", "-m", "Merge side", "side")
    tree.git("tag", "merge")
    tree.commit(own="B = 2")
    return tree


def line(tree, good, bad):
    return CommitLine.between(Repository.holding(tree.path), good, bad)


def test_a_line_goes_along_first_parents_from_good_to_bad(merged) -> None:
    found = line(merged, "v1.0", "HEAD")
    ids = merged.git("rev-list", "--first-parent", "--reverse", "HEAD").split()
    assert [commit.id for commit in found.commits] == ids
    assert found.count == 4
    merge = found.commits[3]
    assert merge.subject == "Merge side"
    assert merge.date == merged.git("show", "-s", "--format=%cI", "merge")
    assert [len(commit.parents) for commit in found.commits] == [0, 1, 1, 2, 1]


def test_the_branch_of_a_merge_has_ends_that_can_be_bisected(merged) -> None:
    repository = Repository.holding(merged.path)
    merge, last = line(merged, "v1.0", "HEAD").commits[3:]
    good, bad = branch_of(repository, merge)
    assert (good, bad) == (merged.git("rev-parse", "side~2"), merged.git("rev-parse", "side"))
    assert CommitLine.between(repository, good, bad).count == 2
    assert branch_of(repository, last) is None


def test_a_branch_that_main_was_merged_into_begins_on_its_own_line(tree) -> None:
    tree.git("checkout", "--quiet", "-b", "feature")
    start = tree.head
    tree.commit(side="A = 1")
    tree.git("checkout", "--quiet", "main")
    tree.commit(own="B = 1")
    tree.git("checkout", "--quiet", "feature")
    tree.git("merge", "--quiet", "-m", "Merge main", "main")
    tip = tree.commit(side="A = 2")
    tree.git("checkout", "--quiet", "main")
    tree.git("merge", "--quiet", "--no-ff", "-m", "Merge feature", "feature")
    repository = Repository.holding(tree.path)
    merge = line(tree, "v1.0", "HEAD").commits[-1]
    good, bad = branch_of(repository, merge)
    assert (good, bad) == (start, tip)
    subjects = [one.subject for one in CommitLine.between(repository, good, bad).commits]
    assert subjects == ["a commit", "a commit", "Merge main", "a commit"]


def test_a_branch_that_begins_with_a_commit_of_its_own_has_no_good_end(tree) -> None:
    tree.git("checkout", "--quiet", "--orphan", "other")
    tree.commit(side="A = 1")
    tree.git("checkout", "--quiet", "main")
    tree.git(
        "merge", "--quiet", "--no-ff", "--allow-unrelated-histories", "-X", "ours",
        "-m", "Merge other", "other",
    )  # fmt: skip
    merge = line(tree, "v1.0", "HEAD").commits[-1]
    assert branch_of(Repository.holding(tree.path), merge) is None


def test_how_the_ends_were_found_is_noted(merged) -> None:
    merged.git("branch", "v1.0", "HEAD")
    (note,) = line(merged, "v1.0", "HEAD").notes
    assert "v1.0 is the name of several commits: refs/tags/v1.0 is taken" in note


def test_subjects_are_any_text(tree) -> None:
    for subject in ("", "tab\t and \x1b[31m red", "fünf\nbody"):
        tree.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "-m", subject)
    subjects = [commit.subject for commit in line(tree, "v1.0", "HEAD").commits[2:]]
    assert subjects == ["", "tab\t and \x1b[31m red", "fünf body"]


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("v1.0", "v1.0", "are both commit"),
        ("HEAD", "v1.0", "is older than --good=HEAD"),
        ("side", "HEAD", r"came into --bad=HEAD by a merge.* Name --good=[0-9a-f]{12},"),
        ("side", "merge^", r"is no ancestor of --bad=merge\^.* Name --good=[0-9a-f]{12}, where"),
        ("no-such", "HEAD", "has no commit 'no-such'"),
        ("--all", "HEAD", "looks like an option"),
    ],
)
def test_two_commits_without_a_line_say_why(merged, good, bad, words) -> None:
    with pytest.raises(RevisionError, match=words):
        line(merged, good, bad)


def test_what_a_message_names_instead_has_a_line(merged) -> None:
    with pytest.raises(RevisionError) as caught:
        line(merged, "side", "HEAD")
    instead = str(caught.value).partition("Name --good=")[2][:12]
    assert line(merged, instead, "HEAD").count == 3


def test_a_shallow_clone_says_what_brings_the_rest(merged, tmp_path) -> None:
    shallow = tmp_path / "shallow"
    merged.git("clone", "--quiet", "--depth=2", f"file://{merged.path}", str(shallow))
    clone = merged.at(shallow)
    clone.git("fetch", "--quiet", "--depth=1", "origin", "tag", "v1.0")
    with pytest.raises(RevisionError, match="git fetch --unshallow"):
        line(clone, "v1.0", "HEAD")
