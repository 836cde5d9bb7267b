"""Baselines that are made when a test needs them: what is tried again, and what stays."""

import pytest

from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.runner.on_demand import BaselinesOnDemand, NoBaselineError
from pytest_tfthreads.system.leases.leases import LeaseTimeoutError


class Baseline:
    def __init__(self, commit):
        self.commit = commit
        self.is_closed = False

    def close(self):
        self.is_closed = True


class Made:
    """Makes baselines, or raises what is in store for the next one."""

    def __init__(self):
        self.raised = []
        self.commits = []
        self.left = []
        self.baselines = BaselinesOnDemand(self.make, lambda one: self.left.append(one.commit))

    def make(self, commit):
        self.commits.append(commit)
        if self.raised:
            raise self.raised.pop()
        return Baseline(commit)


@pytest.fixture
def made():
    return Made()


def test_a_commit_that_cannot_be_had_is_tried_once(made) -> None:
    made.raised = [RevisionError("there is\nno such commit")]
    for _ in range(2):
        with pytest.raises(NoBaselineError, match=r"^there is no such commit$"):
            made.baselines.get("a")
    assert made.commits == ["a"]
    assert made.baselines.get("b").commit == "b"


@pytest.mark.parametrize(
    "error",
    [
        LeaseTimeoutError("others measured for too long"),
        OSError(28, "No space left on device"),
        pytest.fail.Exception("Timeout (>60.0s) from pytest-timeout."),
    ],
)
def test_what_may_be_over_is_tried_again_by_the_next_test(made, error) -> None:
    made.raised = [error]
    with pytest.raises(NoBaselineError, match=r"too long|No space|Timeout"):
        made.baselines.get("a")
    assert made.baselines.get("a").commit == "a"


def test_the_two_that_were_used_last_stay(made) -> None:
    first, second = made.baselines.get("a"), made.baselines.get("b")
    assert made.baselines.get("a") is first
    third = made.baselines.get("c")
    assert [one.commit for one in made.baselines.made] == ["a", "c"]
    assert (made.left, second.is_closed, first.is_closed) == (["b"], True, False)
    made.baselines.close()
    assert first.is_closed
    assert third.is_closed
    assert made.baselines.made == []


def test_a_project_that_makes_all_of_them_worthless_is_told_at_each_test(made) -> None:
    made.baselines.get("a")
    made.baselines.give_up("both sides run the same files")
    for commit in "ab":
        with pytest.raises(NoBaselineError, match="the same files"):
            made.baselines.get(commit)
