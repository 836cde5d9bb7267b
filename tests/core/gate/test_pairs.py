"""What is kept of a duet, and which of its clocks is which."""

import math

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.gate.pairs import Duet, Pair, pair_of


def in_turns(wall_s, cpu_s, ring=0):
    return sample(wall_s, cpu_s, ring=ring, turn_rounds=2)


def test_what_is_kept_of_a_duet():
    baseline = measurement(sample([2.0], [4.0]))
    duet = Duet("main (0123456)", (Pair(-0.02, 0.01), Pair(0.5, 0.25)), baseline, "a problem")
    assert duet.to_json() == {
        "against": "main (0123456)",
        "pairs": [
            {"throughput": -0.02, "cpu_efficiency": 0.01},
            {"throughput": 0.5, "cpu_efficiency": 0.25},
        ],
        "baseline": {
            "throughput": {"value": pytest.approx(5.0), "low": None, "high": None},
            "cpu_efficiency": {"value": pytest.approx(2.5), "low": None, "high": None},
            "cores_used": {"value": pytest.approx(2.0), "low": None, "high": None},
        },
        "problem": "a problem",
    }
    nothing = {"against": "main", "pairs": [], "baseline": None, "problem": ""}
    assert Duet("main").to_json() == nothing


def test_each_clock_has_its_own_ratio():
    candidate = in_turns([2.0] * 4, [6.0] * 4)
    pair = pair_of(candidate, in_turns([1.0] * 4, [1.0] * 4))
    assert math.exp(-pair.throughput) == pytest.approx(2)
    assert math.exp(-pair.cpu_efficiency) == pytest.approx(6)


def test_words_where_there_is_no_pair():
    one = in_turns([1.0] * 4, [1.0] * 4)
    with pytest.raises(ValueError, match="no turns") as caught:
        pair_of(one, in_turns([1.0] * 4, [1.0] * 4, ring=1))
    assert str(caught.value) == (
        "the two processes took no turns with each other: a warm-up of the test's own "
        "(warmup_iterations) leaves no place for them; leave the warm-up out"
    )
    with pytest.raises(ValueError, match=r"of both processes: measure for longer \(max_time\)$"):
        pair_of(in_turns([1.0] * 4, [0, 0, 1, 1]), in_turns([1.0] * 4, [1, 1, 0, 0]))


@pytest.mark.parametrize("field", ["throughput", "cpu_efficiency"])
def test_a_factor_that_cannot_be_is_not_read(field):
    data = {"throughput": 0.0, "cpu_efficiency": 0.0}
    assert Pair.from_json({**data, field: 100.0}) != Pair(0.0, 0.0)
    with pytest.raises(ValueError, match=rf"{field} is 100.5, not a finite number"):
        Pair.from_json({**data, field: 100.5})
