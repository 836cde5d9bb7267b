"""Where the gate's time goes: first looks are reserved, the rest goes where it decides."""

import pytest

from pytest_tfthreads.core.gate.budget import Budget, parse_budget
from pytest_tfthreads.core.gate.duet import mean_ratio, pairs_to_decide, status_by_looks


@pytest.mark.parametrize(
    ("text", "seconds"), [("600", 600), ("90s", 90), ("10m", 600), ("1.5m", 90), (" 5 ", 5)]
)
def test_seconds_and_minutes(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "10h", "m", "1e3", "ten", "5 m m", "nan"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="write seconds or minutes, such as 600 or 10m"):
        parse_budget(text)


def budget(total_s):
    """Four tests of 3 processes, each of which takes 1 s."""
    return Budget(total_s, first_looks=12, tests=4, process_s=1.0, first_pairs=3)


def look(budget, opens):
    budget.begin(processes=3, tests=1)
    budget.spend(processes=3, seconds=3.0)
    if opens:
        budget.open()


def test_without_a_limit_all_is_allowed():
    unlimited = budget(None)
    look(unlimited, opens=True)
    assert unlimited.allows_first(1000)
    assert unlimited.allows_more(1000)


def test_first_looks_of_tests_to_come_are_reserved():
    # 12 s are for first looks: 3 spent, 9 reserved. Three pairs take 6 s.
    for total_s, allowed in ((17.9, False), (18.0, True)):
        one = budget(total_s)
        look(one, opens=True)
        assert one.allows_first(3) is allowed
    assert budget(12.0).expected_s == 12.0


def test_further_looks_leave_a_first_duet_to_as_many_as_were_open_so_far():
    # Half of the tests were open: so one of the two to come gets 6 s, beside 6 s of first looks.
    one = budget(24.0)
    look(one, opens=True)
    look(one, opens=False)
    assert one.allows_more(3)
    one = budget(23.9)
    look(one, opens=True)
    look(one, opens=False)
    assert not one.allows_more(3)
    assert one.allows_first(3)  # which need not leave that


def test_pace_is_that_of_the_processes_so_far():
    one = Budget(100.0, first_looks=3, tests=1, process_s=1.0)
    one.spend(processes=3, seconds=27.0)
    assert one.pair_s == pytest.approx(2 * (1 + 27) / 4)


def test_pairs_that_would_decide_do_decide():
    logs = [-0.02, 0.02, -0.04]
    needed = pairs_to_decide(mean_ratio(logs), len(logs), 0.05, hypotheses=2)
    assert needed is not None
    assert len(logs) < needed <= 12
    assert status_by_looks(logs, 0.05, 2) == "inconclusive"
    assert status_by_looks(logs * 4, 0.05, 2) == "pass"


def test_what_no_number_of_pairs_decides():
    logs = [-0.3, 0.3, -0.35, 0.25]
    assert pairs_to_decide(mean_ratio(logs), len(logs), 0.05, hypotheses=20) is None
