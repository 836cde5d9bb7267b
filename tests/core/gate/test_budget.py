"""Where the gate's time goes: first looks are reserved, the rest goes where it decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import tried
from pytest_tfthreads.core.gate.budget import Budget, parse_budget
from pytest_tfthreads.core.gate.duet import (
    INTERPRETERS,
    mean_ratio,
    pairs_to_decide,
    status_by_looks,
)


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
    needed = pairs_to_decide(
        mean_ratio(logs, interpreters=INTERPRETERS), len(logs), 0.05, hypotheses=2
    )
    assert needed is not None
    assert len(logs) < needed <= 12
    assert status_by_looks(logs, 0.05, 2) == "inconclusive"
    assert status_by_looks(logs * 4, 0.05, 2) == "pass"


def test_what_no_number_of_pairs_decides():
    logs = [-0.3, 0.3, -0.35, 0.25]
    assert (
        pairs_to_decide(mean_ratio(logs, interpreters=INTERPRETERS), len(logs), 0.05, hypotheses=20)
        is None
    )


def test_every_test_that_was_left_open_counts():
    # Of six tests two were looked at, and both were open: so are the four to come, 6 s each,
    # beside 12 s of first looks. Three pairs here take 6 s, and 6 s are spent.
    for total_s, allowed in ((47.9, False), (48.0, True)):
        one = Budget(total_s, first_looks=18, tests=6, process_s=1.0, first_pairs=3)
        look(one, opens=True)
        look(one, opens=True)
        assert one.allows_more(3) is allowed


def test_nothing_is_kept_for_tests_that_do_not_come():
    one = Budget(9.0, first_looks=3, tests=1, process_s=1.0, first_pairs=3)
    look(one, opens=True)
    assert one.allows_more(3)
    # More were measured than were announced: nothing is owed to them.
    one.begin(processes=3, tests=1)
    assert one.expected_s == 0
    assert one.allows_more(3)


def test_the_first_test_alone_says_what_the_others_may_need():
    # One of one was open: the three to come get 6 s each, beside 9 s; 3 s are spent, 6 s asked for.
    for total_s, allowed in ((35.9, False), (36.0, True)):
        one = budget(total_s)
        look(one, opens=True)
        assert one.allows_more(3) is allowed


def test_where_no_test_was_open_none_is_expected_to_be():
    one = budget(18.0)
    look(one, opens=False)
    assert one.allows_more(3)


@tried(100)
@given(st.integers(1, 6), st.integers(0, 3), st.integers(1, 12), st.floats(1, 200))
def test_who_has_time_for_more_has_time_for_less(tests, opened, pairs, total_s):
    one = Budget(total_s, first_looks=3 * tests, tests=tests, process_s=1.0)
    for number in range(min(tests, 3)):
        look(one, opens=number < opened)
    if one.allows_more(pairs):
        assert one.allows_first(pairs), "a first look leaves less to others"
        assert pairs == 1 or one.allows_more(pairs - 1)
