"""The constants with which the published error rates were measured.

Who changes one measures again: benchmarks/gate/replay.py, benchmarks/sweep/false_separation.py and
benchmarks/history/rates.py print docs/explanation/error-rates.md.
"""

import pytest

from pytest_tfthreads.core import layout, tolerance
from pytest_tfthreads.core.gate import correction, duet, evidence, level, verdict
from pytest_tfthreads.core.stats import change_points, drift, estimates, moderation

CONSTANTS = {
    estimates: {"FAMILYWISE_ERROR": 0.05, "SIGMA_OF_MAD": 1.4826},
    verdict: {"PASS_ERROR": 0.05, "POWER": 0.8, "MARGIN": 0.4, "REFERENCE_SHIFT": 0.1,
              "ENOUGH_RUNS": 10, "ENOUGH_S": 0.5},
    duet: {"LOOKS": (3, 6, 12), "SPENT": (0.1, 0.2, 0.7), "BEYOND": 0.7, "EXPECTED": 0.015,
           "EXPECTED_DOF": 2.5, "UNREPEATED": 0.1, "UNREPEATED_DOF": 4.0, "MOST_FORESEEN": 100,
           "STORED_DOF": 2.5},
    correction: {"STANDS_FROM": 0.7},
    evidence: {"RUNS_OF_PAIRS": 5},
    level: {"CHANGE_ERROR": 0.01},
    drift: {"UNCORRECTED": drift.Expected(0.11, 24.0, 1.0),
            "CORRECTED": drift.Expected(0.04, 4.0, 2.0), "AGREED": drift.Expected(0.08, 8.0, 1.0),
            "EXPECTED_DOF": 20.0, "SUITE_WEIGHT": 4.0, "WITHIN": 0.05, "STATE_SPREAD": 0.29,
            "STATE_MEMORY_S": 0.25, "WITHIN_DOF": 2.0, "FLOOR": 0.01},
    moderation: {"FLOOR": 0.01, "WITHIN_WEIGHT": 2.0, "UNREPEATED": 0.026, "UNREPEATED_DOF": 4.0,
                 "ALIKE": 6.0, "FEW_MEMBERS": 6, "BLOCK_SPREAD": 0.02},
    change_points: {"LEAST_SITTINGS": 2, "ENOUGH_SITTINGS": 4, "CONFIDENCE": 0.95,
                    "NOISE": drift.Expected(0.07, 3.0, 1.0)},
    layout: {"MIN_ROUND_S": 0.005},
    tolerance: {"METRICS": ("throughput", "cpu_efficiency")},
}  # fmt: skip


@pytest.mark.parametrize("module", CONSTANTS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_constants_are_those_of_the_published_rates(module):
    expected = CONSTANTS[module]
    assert {name: getattr(module, name) for name in expected} == expected


def test_a_tolerance_of_five_percent_fails_on_regressions_alone():
    policy = verdict.Policy()
    assert policy.tolerance == {"throughput": 0.05, "cpu_efficiency": 0.05}
    assert policy.fail_on == {"regression"}
    assert verdict.FAILING == ("regression", "inconclusive", "no-baseline", "not-comparable")
    assert correction.EXPECTED == {
        correction.NOT: drift.UNCORRECTED,
        correction.BY_BOTH: drift.AGREED,
        correction.BY_WALL: drift.CORRECTED,
    }
