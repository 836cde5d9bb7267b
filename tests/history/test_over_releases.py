"""Courses over releases that are kept, and the tests of a report."""

from dataclasses import replace

from builders import measurement
from kept_releases import over_of
from pytest_tfthreads.commands.releases_kept import keep
from pytest_tfthreads.core.sweep.comparison import Candidate
from pytest_tfthreads.core.threads import ThreadConfig, ThreadCount
from pytest_tfthreads.history.over_releases import with_releases
from pytest_tfthreads.report.html.content import MeasuredCase, RunContent, Subject

THREADS = ThreadConfig(ThreadCount.parse(2, "intra"), ThreadCount.parse(1, "inter"))
MACHINE = {"cpu": "Model X", "physical": 2, "logical": 4, "quota": None, "tensorflow": "2.20.0"}
HERE = measurement(machine=MACHINE)
NAMES = ["v1", "v2", "v3"]


def shown(storage, measured=HERE):
    """What the report has of the test over releases, and its notes."""
    case = MeasuredCase("t[x]", Candidate(THREADS.id, THREADS, measured))
    content = RunContent("now", "here", (Subject("t", (case,)),), notes=("a note",))
    found = with_releases(content, storage)
    assert found.notes[0] == "a note"
    return found.cases[0].over, found.notes[1:]


def test_the_latest_call_that_has_the_test_counts(tmp_path):
    assert shown(tmp_path / "absent") == (None, ())
    for speeds in ([100, 100, 80], [100, 120, 120]):
        keep(over_of({"t[x]": (HERE, speeds)}, NAMES), tmp_path)
    keep(over_of({"another": (HERE, [100, 50, 50])}, NAMES), tmp_path)
    over, problems = shown(tmp_path)
    assert problems == ()
    assert over.releases == tuple(NAMES)
    for course in over.courses.values():
        statuses = [one.to_previous.status for one in course.points]
        assert statuses == ["improvement", "no-change"]


def test_other_machines_and_conditions_say_nothing(tmp_path):
    keep(over_of({"t[x]": (HERE, [100, 120, 120])}, NAMES), tmp_path)
    others = [
        replace(HERE, machine={**MACHINE, "cpu": "Model Y"}),
        replace(HERE, items=2),
        replace(HERE, start="fresh"),
    ]
    assert [shown(tmp_path, one)[0] for one in others] == [None] * 3
    newer = replace(HERE, machine={**MACHINE, "tensorflow": "2.21.0"})
    assert shown(tmp_path, newer)[0] is not None


def test_no_course_leads_from_one_kind_of_measurement_to_another(tmp_path):
    over = over_of({"t[x]": (HERE, [100, 120, 120])}, NAMES)
    (test,) = over.tests
    other = replace(test.at[2].measurement, items=2)
    mixed = replace(test, at=(*test.at[:2], replace(test.at[2], measurement=other)))
    keep(replace(over, tests=(mixed,)), tmp_path)
    assert shown(tmp_path) == (None, ())


def test_a_file_that_cannot_be_used_is_a_note(tmp_path):
    path = keep(over_of({"t[x]": (HERE, [100, 120, 120])}, NAMES), tmp_path)
    path.with_name("0002.steps").write_text("[]")
    over, (problem,) = shown(tmp_path)
    assert over is not None
    assert "0002.steps" in problem
