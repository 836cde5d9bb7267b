"""For which first looks the gate's budget keeps time."""

from types import SimpleNamespace

import pytest

from pytest_tfthreads.core.gate.budget import Budget
from pytest_tfthreads.runner.group import Isolation


@pytest.mark.parametrize(
    ("workers", "copies", "first_looks", "tests"),
    [(1, 1, 9, 3), (3, 1, 3, 1), (3, 3, 9, 3)],  # alone; dealt out; each worker runs each test
)
def test_a_worker_reserves_the_first_looks_of_the_tests_that_it_will_run(
    workers, copies, first_looks, tests
) -> None:
    isolation = SimpleNamespace(
        _settings=SimpleNamespace(budget_s=90.0, looks=(3, 6, 12)), _budget=Budget()
    )
    foreseen = {"a": 3, "b": 3, "c": 3}
    budget = Isolation.plan(isolation, foreseen, 2.0, workers=workers, copies=copies)
    assert budget.total_s == 90 / workers
    assert (budget.first_looks, budget.tests) == (first_looks, tests)
    assert budget.expected_s == 2.0 * first_looks
