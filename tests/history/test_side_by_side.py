"""Steps that were measured side by side, beside saved runs."""

import json
import math
import random
from dataclasses import replace

import pytest

import builders
from pytest_tfthreads.core.saved_runs import StoredMeasurement, StoredRun
from pytest_tfthreads.core.stats.change_points import Shift
from pytest_tfthreads.core.threads import Configuration
from pytest_tfthreads.history.series import line_of, lines_of, run_of, segmentations_of
from pytest_tfthreads.history.side_by_side import CommitStep, KeptCall, directory_in, read_kept
from unfit_files import UNFIT

MACHINE = {"cpu": "Model X", "physical": 2, "logical": 4, "quota": None, "tensorflow": "2.20.0"}


def measurement(speed=100.0, **fields):
    rounds = [1 / speed] * 4
    processes = (builders.sample(rounds, iterations=1),) * 2
    return builders.measurement(*processes, **{"machine": MACHINE, **fields})


def run(day, commit, speed, *, dirty=False):
    stored = StoredMeasurement("t", "t", Configuration("1x1", "1", "1"), measurement(speed))
    time = f"2026-01-{day:02}T00:00:00"
    return run_of(StoredRun(f"{day:04}_x.json", time, commit, dirty, {"t": (stored,)}))


def step(before, after, change, status="regression", **fields):
    machine, conditions = line_of(measurement())
    known = {"test": "t", "machine": machine, "conditions": conditions, "metric": "throughput"}
    return CommitStep(
        before=before, after=after, log_ratio=math.log1p(change), variance=1e-6, dof=9.0,
        status=status, **{**known, **fields},
    )  # fmt: skip


def write(storage, *steps, day=1):
    directory = directory_in(storage)
    directory.mkdir(exist_ok=True)
    path = directory / f"{day:04}.steps"
    path.write_bytes(KeptCall(f"2026-02-{day:02}T00:00:00+00:00", steps).data)
    return path


def changes(storage, runs):
    kept = read_kept(storage)
    lines = lines_of(runs)
    (found,) = segmentations_of(lines, lambda line, metric: [*kept.known(line, metric, runs)])
    return [
        (one.after, one.by, round(one.shift.value, 3), one.is_measured)
        for one in found["throughput"].changes
    ]


def test_a_measured_step_stands_between_the_runs_of_its_commits(tmp_path):
    runs = [run(1, "a", 100), run(2, "a", 90), run(3, "b", 99), run(4, "c", 96), run(5, "c", 98)]
    assert changes(tmp_path, runs) == []
    write(tmp_path, step("a", "c", -0.04), step("a", "c", 0.5, metric="cpu_efficiency"))
    assert changes(tmp_path, runs) == [(1, 3, -0.04, True)]
    # The latest measurement of a step counts.
    write(tmp_path, step("a", "c", -0.05), day=2)
    assert changes(tmp_path, runs) == [(1, 3, -0.05, True)]
    write(tmp_path, step("a", "c", 0.001, "no-change"), day=3)
    assert changes(tmp_path, runs) == []


def by_a_larger_tolerance(change, half_width):
    """A step that a call with --tolerance=20% has called none."""
    of_one = Shift(0.0, variance=1.0, dof=9.0).half_width(0.975)
    return replace(step("a", "b", change, "no-change"), variance=(half_width / of_one) ** 2)


@pytest.mark.parametrize(
    ("change", "half_width", "then"),
    [
        (-0.12, 0.02, [(9, 10, -0.12, True)]),  # certainly a change
        (0.12, 0.02, [(9, 10, 0.12, True)]),
        (-0.045, 0.01, [(9, 10, -0.045, True)]),  # beyond the history's tolerance, perhaps
        (-0.02, 0.06, "found"),  # nobody knows
        (-0.12, 0.11, "found"),  # the same, where there are so many steps
        (-0.02, 0.01, []),  # certainly none that matters
        (-0.04, 0.01, []),  # -4.96 % at most
        (0.04, 0.01, [(9, 10, 0.04, True)]),  # perhaps +5.05 %
    ],
)
def test_what_is_no_change_by_a_larger_tolerance_leaves_no_change_out(
    tmp_path, change, half_width, then
):
    draw = random.Random(1)
    speeds = [level * math.exp(draw.gauss(0, 0.01)) for level in (100, 70) for _ in range(10)]
    runs = [run(day, "a" if day <= 10 else "b", one) for day, one in enumerate(speeds, start=1)]
    found = changes(tmp_path, runs)
    assert [one[-1] for one in found] == [False]
    other = step("x", "y", 0.0, "no-change")
    write(tmp_path, by_a_larger_tolerance(change, half_width), *[other] * 9)
    assert changes(tmp_path, runs) == (found if then == "found" else then)


def test_steps_of_other_lines_commits_and_trees_say_nothing(tmp_path):
    runs = [run(1, "a", 100), run(2, "b", 100)]
    machine, conditions = line_of(measurement())
    others = [
        step("a", "c", -0.1),
        step("b", "a", -0.1),
        step("a", "b", -0.1, test="other"),
        step("a", "b", -0.1, machine=(*machine[1:],)),
        step("a", "b", -0.1, conditions=(*conditions[1:],)),
    ]
    for day, other in enumerate(others, start=1):
        write(tmp_path, other, day=day)
        assert changes(tmp_path, runs) == []
    write(tmp_path, step("a", "b", -0.1))
    assert changes(tmp_path, runs) == [(0, 1, -0.1, True)]
    with_changes = [runs[0], run(2, "b", 100, dirty=True)]
    assert changes(tmp_path, with_changes) == []


def test_what_is_kept_is_read_again_and_what_cannot_be_is_named(tmp_path):
    whole = write(tmp_path, step("a", "b", -0.1))
    assert read_kept(tmp_path).steps == (step("a", "b", -0.1),)
    data = json.loads(whole.read_text())
    of = {name: data["steps"][0][name] for name in ("test", "machine", "conditions", "metric")}
    course = {"releases": ["v1", "v2"], "first": "v1", "points": [], "tolerance": 0.05}
    size = {"since": "v1", "value": 0.1, "low": 0.0, "high": 0.2, "status": "open"}
    for number, text in enumerate([
        "{", "[]", json.dumps({**data, "schema": 2}), "[" * 100_000,
        json.dumps({**data, "steps": [{**data["steps"][0], "dof": 0}]}),
        json.dumps({**data, "courses": [{**of, "course": {**course, "first": "v9"}}]}),
        json.dumps({**data, "courses": [{**of, "course": {**course, "points": [
            {"name": "v2", "to_first": {**size, "low": 0.2}, "to_previous": None}]}}]}),
    ], start=2):  # fmt: skip
        (whole.parent / f"{number:04}.steps").write_text(text)
    kept = read_kept(tmp_path)
    assert len(kept.problems) == 7
    assert "names 'v9', which is none of its releases" in kept.problems[5]
    assert "has a change of 0.1 outside [0.2, 0.2]" in kept.problems[6]
    assert all(f"{number:04}.steps" in one for number, one in enumerate(kept.problems, start=2))
    assert read_kept(tmp_path / "absent").steps == ()
    assert read_kept(tmp_path / ("x" * 300)).steps == ()  # as where nobody may look


@pytest.mark.timeout(20)
def test_what_is_no_file_is_named_and_the_others_are_read(tmp_path):
    whole = write(tmp_path, step("a", "b", -0.1))
    for number, make in enumerate(UNFIT.values(), start=2):
        make(whole.parent / f"{number:04}.steps")
    kept = read_kept(tmp_path)
    assert kept.steps == (step("a", "b", -0.1),)
    for number, (words, told) in enumerate(zip(UNFIT, kept.problems, strict=True), start=2):
        assert told.startswith(f"{whole.parent}/{number:04}.steps cannot be used: {words}")


def test_a_storage_that_cannot_be_looked_at_is_a_problem(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", denied)
    kept = read_kept(tmp_path)
    assert kept.steps == ()
    assert kept.problems == (
        f"{tmp_path / 'side-by-side'} cannot be used: [Errno 13] Permission denied",
    )


def test_a_line_of_two_metrics_takes_each_its_own(tmp_path):
    runs = [run(1, "a", 100), run(2, "b", 100)]
    write(tmp_path, step("a", "b", -0.1), replace(step("a", "b", 0.2, "improvement"),
                                                  metric="cpu_efficiency"))  # fmt: skip
    kept = read_kept(tmp_path)
    (found,) = segmentations_of(
        lines_of(runs), lambda line, metric: [*kept.known(line, metric, runs)]
    )
    sizes = {name: [one.shift.value for one in each.changes] for name, each in found.items()}
    assert sizes["throughput"] == [pytest.approx(-0.1)]
    assert sizes["cpu_efficiency"] == [pytest.approx(0.2)]
