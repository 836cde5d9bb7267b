"""The doctor's text and JSON."""

import json
from dataclasses import replace

import pytest

from pytest_tfthreads.core.stats.estimates import Estimate
from pytest_tfthreads.doctor.assessment import Examination, of_trial
from pytest_tfthreads.doctor.checks import Finding
from pytest_tfthreads.doctor.cpu_speed import CpuSpeed, Steadiness, TwoSpeeds
from pytest_tfthreads.doctor.power import fitness
from pytest_tfthreads.doctor.report import SCHEMA, render, to_json

TOLERANCE = {"throughput": 0.05, "cpu_efficiency": 0.05}
MACHINE = (
    Finding("turbo", "warning", "on", ("echo 0 | sudo tee /sys/x",)),
    Finding("quota", "bad", "1.5 CPUs of time on 4 CPUs", ("docker run --cpuset-cpus=0",)),
    Finding("clock", "unknown", "hidden " * 40),
)
LOOKED_AT = Examination(TOLERANCE, 10, MACHINE)


@pytest.fixture
def examined(trial):
    def build(**noise):
        made = trial(**noise)
        speeds = Steadiness(
            (CpuSpeed(0, 1e-3, 9e-4, 2e-3, 0.1, TwoSpeeds(1e-3, 1.8e-3, 0.4)),),
            Estimate(0.1, 0.06, 0.2),
        )
        return replace(
            LOOKED_AT,
            measured=tuple(of_trial(made, 0.05)),
            seconds=20.0,
            intra=4,
            speeds=speeds,
            trial=made,
            fitness=fitness(made, TOLERANCE, 10),
        )

    return build


def test_fit(examined):
    found = examined(spread=0.005, weather=0.2, reference_s=None)
    lines = render(found)
    text = "\n".join(lines)
    assert lines[-1].startswith("fit for 5 %: side by side fit (detects 2.")
    assert "against saved runs not fit (detect" in lines[-1]
    assert "6 pairs of processes with 4×1 threads" in text
    assert "side by side (--tf-threads-duet)" in text
    assert "against 30 saved runs, at best" in text
    assert "pytest --tf-threads-duet --tf-threads-tolerance=5%" in text
    assert text.index("- quota: docker run") < text.index("- turbo: echo 0")
    assert max(map(len, lines)) <= 110
    assert found.is_fit


def test_fit_for_saved_runs(examined):
    found = examined(spread=0.001, weather=0.0)
    found = replace(
        found,
        tolerance=dict.fromkeys(TOLERANCE, 0.1),
        fitness=fitness(found.trial, dict.fromkeys(TOLERANCE, 0.1), 1),
    )
    assert "against saved runs fit at best, from" in render(found)[-1]
    assert "--benchmark-autosave --benchmark-compare" in "\n".join(render(found))


def test_not_fit(examined):
    found = examined(spread=0.1)
    text = "\n".join(render(found))
    assert "\nnot fit for 5 %: side by side not fit (detects" in text
    assert "against saved runs not fit" in text
    assert (
        "even side by side a loss of 5 % is not found here; the smallest that is found is" in text
    )
    assert not found.is_fit


def test_without_measuring():
    assert render(LOOKED_AT)[-1].startswith("not fit; whether a loss of 5 %")
    fine = replace(LOOKED_AT, machine=(MACHINE[0],))
    assert render(fine)[-1].startswith("nothing found against it; whether a loss of 5 %")
    assert fine.is_fit
    nothing_came = replace(fine, seconds=3.0)
    assert "measuring came to nothing" in render(nothing_came)[-1]
    assert not nothing_came.is_fit


def test_tolerance_by_metric(examined):
    tolerance = {"throughput": 0.05, "cpu_efficiency": 0.1}
    found = examined(spread=0.005)
    found = replace(found, tolerance=tolerance, fitness=fitness(found.trial, tolerance, 10))
    assert "for throughput 5 %, CPU efficiency 10 %: side by side fit" in render(found)[-1]


def keys(data):
    """Names of all fields, level by level."""
    if isinstance(data, dict):
        return {name: keys(value) for name, value in data.items()}
    return "list" if isinstance(data, list) else "value"


def test_json_keeps_its_names(examined):
    told = json.loads(json.dumps(to_json(examined(spread=0.005)), allow_nan=False))
    estimate = dict.fromkeys(("value", "low", "high"), "value")
    limit = {"smallest": estimate, "at_tolerance": estimate, "set_tolerance": "value"}
    limits = {"throughput": limit, "cpu_efficiency": limit}
    assert keys(told) == {
        "schema": "value",
        "fit": "value",
        "verdict": "value",
        "tolerance": dict.fromkeys(TOLERANCE, "value"),
        "tests": "value",
        "machine": "list",
        "measured": "list",
        "seconds": "value",
        "intra": "value",
        "pairs": "value",
        "speeds": {"between_processes": estimate, "cpus": "list"},
        "detectable": {
            "duet": {"fit": "value", **limits},
            "saved_runs": {
                "fit": "value",
                "runs_needed": "value",
                "processes_needed": "value",
                "by_runs": dict.fromkeys(("1", "3", "10", "30"), limits),
            },
        },
        "advice": "list",
    }
    assert told["schema"] == SCHEMA == 1
    assert set(told["machine"][0]) == {"name", "status", "value", "advice"}
    assert set(told["speeds"]["cpus"][0]) == {
        "cpu", "median_s", "fast_s", "slow_s", "held_up", "two_speeds",
    }  # fmt: skip


def test_json_without_measuring():
    told = to_json(LOOKED_AT)
    assert [told[name] for name in ("speeds", "detectable", "pairs")] == [None] * 3
    assert (told["fit"], told["measured"], told["seconds"]) == (False, [], 0.0)
