"""What was learned of one test."""

from dataclasses import replace

from pytest_tfthreads.core.sweep.recommendation import recommend
from pytest_tfthreads.core.sweep.result import Sweep
from pytest_tfthreads.core.sweep.search import SearchCost

COST = SearchCost(2, 9, 6, 27, 1.5, 9.0)


def test_a_sweep_of_two_configurations_and_another_name(candidate):
    one, two = candidate(1), candidate(2, speed=1.5)
    alias = replace(candidate("physical"), same_as=two.id)
    found = Sweep.of("test", [one, two, alias], COST)
    advice = recommend("test", [one, two, alias])
    assert found == Sweep("test", advice, COST, {alias.id: two.id}, is_one=False)
    assert found.to_json() == {
        "test": "test",
        "recommendation": advice.to_json(),
        "same": {alias.id: two.id},
        "search": COST.to_json(),
    }


def test_all_are_names_of_one(candidate):
    one = candidate(4)
    alias = replace(candidate("physical"), same_as=one.id)
    found = Sweep.of("test", [one, alias], None)
    assert found == Sweep("test", None, None, {alias.id: one.id}, is_one=True)
    assert found.to_json() == {
        "test": "test",
        "recommendation": None,
        "same": {alias.id: one.id},
        "search": None,
    }
    assert Sweep.of("test", [one], None).is_one
    # Neither is another name, though the two took no turns with each other.
    apart = Sweep.of("test", [one, candidate(2, rings=(None,))], None)
    assert (apart.recommendation, apart.same, apart.is_one) == (None, {}, False)
