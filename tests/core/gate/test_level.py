"""Which saved runs a new one is compared with: the present level."""

import json
import math
import random

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.comparable import History
from pytest_tfthreads.core.gate.evidence import history_of
from pytest_tfthreads.core.gate.level import present_level
from pytest_tfthreads.core.gate.pairs import Pair
from pytest_tfthreads.core.gate.verdict import Policy, Verdict, judge
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun, parse_run
from pytest_tfthreads.core.stats.change_points import Session
from pytest_tfthreads.core.threads import Configuration

TEST = "test_x.py::test_it"


def sessions(*speeds, spread=0.003, seed=1):
    rng = random.Random(seed)
    return [
        Session(tuple(math.log(speed) + rng.gauss(0, spread) for _ in range(3))) for speed in speeds
    ]


def places(start, stop):
    return tuple(range(start, stop))


def test_an_unchanged_history_is_one_level():
    assert present_level(sessions(*[100] * 12)) == places(0, 12)
    assert present_level(sessions(100)) == (0,)


def test_an_improvement_is_a_new_level():
    assert present_level(sessions(*[100] * 8, *[120] * 4)) == places(8, 12)


def test_a_loss_that_nobody_accepted_leaves_the_level_what_it_was():
    assert present_level(sessions(*[100] * 8, *[80] * 4)) == places(0, 8)


def test_a_loss_that_was_measured_side_by_side_is_accepted():
    """Its first run counts: later ones have the loss on both sides."""
    history = sessions(*[100] * 8, *[80] * 4)
    assert present_level(history, beside={8}) == places(8, 12)
    assert present_level(history, beside={9, 11}) == places(0, 8)


def test_a_named_run_begins_the_level():
    assert present_level(sessions(*[100] * 8, *[80] * 4), since=8) == places(8, 12)
    assert present_level(sessions(*[100] * 8, 80, *[100] * 2), since=10) == (10,)


def test_speed_that_comes_back_joins_the_level_again():
    history = sessions(*[100] * 6, *[80] * 3, *[100] * 3)
    assert present_level(history) == (*places(0, 6), *places(9, 12))


def test_half_of_a_loss_made_good_is_no_improvement():
    assert present_level(sessions(*[100] * 6, *[70] * 4, *[85] * 4)) == places(0, 6)
    assert present_level(sessions(*[100] * 6, *[70] * 4, *[120] * 4)) == places(10, 14)


# -- in saved runs and verdicts -------------------------------------------------------------------


def measured(speed, reference_s=0.001):
    samples = (
        sample(
            (1000 / one,),
            iterations=1000,
            reference_wall_s=reference_s,
            reference_cpu_s=reference_s,
        )
        for one in (0.997 * speed, speed, 1.003 * speed)
    )
    return measurement(
        *samples,
        requested=Pools(1, 1),
        effective=Pools(1, 1),
        cpus=(0,),
        unit="calls",
        machine={"cpu": "x", "physical": 1, "logical": 1, "quota": None},
    )


def run(number, speed, status="pass", named="", pairs=()):
    now = measured(speed)
    judged = Verdict(
        TEST, "throughput", status, "1×1", "calls", now.throughput, 0.05, "", named=named
    )
    stored = StoredMeasurement(
        TEST, TEST, Configuration("1x1", "1", "1"), now, (judged,), pairs=pairs
    )
    return StoredRun(
        f"{number:04}.json", f"2026-01-{number:02}", None, dirty=False, tests={TEST: (stored,)}
    )


def verdict(runs, speed, named=False):
    now = measured(speed)
    return judge(TEST, now, history_of(runs, TEST, now, named), Policy(), 26)[0]


def test_a_slow_run_that_stayed_open_does_not_become_the_baseline():
    """Compared with the latest run alone, every slow run but the first would be unchanged."""
    steady = [run(number, 100) for number in range(1, 9)]
    slow = [run(number, 85) for number in range(9, 12)]
    for more in range(4):
        found = verdict([*steady, *slow[:more]], 85)
        assert found.status == "regression"
        assert found.change.value == pytest.approx(-0.15, abs=0.05)
    assert found.judged_against.startswith("the mean of 8 runs, 0001.json (2026-01-01) to 0008")


def test_a_regression_is_accepted_by_naming_its_run():
    steady = [run(number, 100) for number in range(1, 9)]
    regressed = run(9, 80, "regression")
    assert verdict([*steady, regressed], 80).status == "regression"
    named = verdict([*steady, regressed], 80, named=True)
    assert named.status != "regression"
    assert (named.judged_against, named.named) == ("0009.json (2026-01-09)", "2026-01-09")
    # The next run is saved with that verdict: from then on the level is the new one.
    later = [*steady, regressed, run(10, 80, named=named.named)]
    found = verdict(later, 80)
    assert found.status != "regression"
    assert found.judged_against.startswith("the mean of 2 runs, 0009.json")
    assert found.named == ""
    assert verdict(later, 60).status == "regression"


def test_that_a_run_was_named_is_in_its_file():
    named = verdict([run(1, 100)], 100, named=True)
    assert Verdict.from_json(json.loads(json.dumps(named.to_json()))).named == "2026-01-01"
    ours = {**measured(100).to_json(), "verdicts": [named.to_json()]}
    data = {
        "machine_info": {},
        "datetime": "2026-01-02",
        "benchmarks": [{"fullname": TEST, "extra_info": {"tf_threads": ours}}],
    }
    stored = parse_run(json.dumps(data), "0002.json")
    for one in (stored, StoredRun.from_json(json.loads(json.dumps(stored.to_json())))):
        assert one.tests[TEST][0].named == "2026-01-01"


def test_a_tolerated_loss_that_a_duet_measured_is_accepted():
    steady = [run(number, 100) for number in range(1, 9)]
    slow = [run(number, 85) for number in range(9, 12)]
    slow[0] = run(9, 85, pairs=(Pair(-0.01, -0.01),))
    assert verdict([*steady, *slow], 85).status != "regression"
    # A duet that a budget had ended before it was decided has found nothing tolerable.
    slow[0] = run(9, 85, "inconclusive", pairs=(Pair(-0.01, -0.01),))
    assert verdict([*steady, *slow], 85).status == "regression"


def test_one_accepted_step_does_not_blind_the_rule():
    """A step of a fifth, squared, would be taken for drift: then a loss of a fifth is noise."""
    history = [run(number, 100) for number in range(1, 8)]
    history += [run(number, 120) for number in range(8, 14)]
    found = verdict(history, 102)
    assert found.status == "regression"
    assert found.detectable < 0.13


def test_the_words_without_titles():
    assert History((), baseline="x").words_of(()) == "x"
