"""Files that git does not have, and that a test of the other revision would read."""

import shutil

import pytest

from pytest_tfthreads.revision.checkout import Checkout
from pytest_tfthreads.revision.data_files import missing_file

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def told(tree):
    """What is said beside a problem, `{root}` in which is the top of the checkout."""
    (tree.path / ".gitignore").write_text("data\n")
    tree.commit(weights="# in git")
    for name in ("data/scale.txt", "untracked.npz"):
        (tree.path / name).parent.mkdir(exist_ok=True)
        (tree.path / name).write_text("1")
    with Checkout.make(tree.path, "HEAD", trusted=True) as checkout:
        yield lambda problem: missing_file(
            problem.format(root=checkout.counterparts.root), checkout.counterparts
        )


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '{root}/data/scale.txt'",
            "data/scale.txt",
        ),
        ("ValueError: File not found: {root}/untracked.npz. Is it there?", "untracked.npz"),
        ("ValueError: File not found: filepath={root}/untracked.npz", "untracked.npz"),
        (
            "OSError: cannot open '{root}/none' or {root}/data/scale.txt: errno = 2",
            "data/scale.txt",
        ),
        ("FileNotFoundError: [Errno 2] No such file: 'data/scale.txt'", "data/scale.txt"),
    ],
)
def test_a_file_that_only_the_current_tree_has_is_named(told, problem, name):
    found = told(problem)
    assert found.startswith(f". {name} is in the current tree, but not in git")
    assert "add the file to git" in found


@pytest.mark.parametrize(
    "problem",
    [
        "AssertionError: 1 == 2",
        "FileNotFoundError: '{root}/data/none.txt'",
        "FileNotFoundError: '{root}/weights.py'",  # it is there
        "FileNotFoundError: '/etc/hostname'",
        "FileNotFoundError: '../{root}/../../../../../../../../../../../etc/passwd'",
        "FileNotFoundError: '{root}/../../../../../../../../../../../../etc/passwd'",
        "KeyError: '--exec=x'",
        "",
    ],
)
def test_nothing_is_said_of_what_is_missing_in_both_or_outside(told, problem):
    assert told(problem) == ""
