"""--benchmark-compare: saved runs judge first, what they leave open is measured side by side."""

import json
import os
import shutil

import pytest

from builders import TWO_TESTS, flat
from git_projects import git
from pytest_tfthreads import cli
from pytest_tfthreads.core.contention import Contention
from pytest_tfthreads.core.gate.duet import INTERPRETERS, LOOKS

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

NEW = (
    TWO_TESTS
    + """
@pytest.mark.tf_threads(1, 1)
def test_new(benchmark):
    benchmark(sum, range(10))
"""
)
SWEEP = """
@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_sweep(benchmark):
    benchmark(sum, range(10))
"""
BEST = "intra2-inter1"
FAST, STEADY = "test_fast[intra1-inter1]", "test_steady[intra1-inter1]"
FIRST_LOOK, PAIRS = 3, 3


@pytest.fixture(scope="module")
def kept_project(tmp_path_factory):
    """Where the first test to need the project keeps a copy for the others."""
    return tmp_path_factory.mktemp("kept") / "project"


@pytest.fixture
def project(scripted, kept_project, monkeypatch, tmp_path):
    """A repository with one saved run of two tests, of 10 ms a call and one commit."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    scripted.temporary = tmp_path
    if kept_project.exists():
        shutil.copytree(kept_project, scripted.path, dirs_exist_ok=True)
        git(scripted.path, "update-index", "-q", "--refresh")
        return scripted
    scripted.pytester.makeini("[pytest]\nfilterwarnings = default\n")
    scripted.write(TWO_TESTS)
    git(scripted.path, "init", "-q", "-b", "main")
    git(scripted.path, "add", "test_it.py", "tox.ini")
    git(scripted.path, "commit", "-q", "-m", "first")
    scripted.run("--benchmark-save=first", processes=3).assert_outcomes(passed=2)
    shutil.copytree(scripted.path, kept_project)
    return scripted


def gate(project, *args):
    return project.run("--benchmark-compare", *args, processes=FIRST_LOOK)


def counts(project):
    return {test: count for (test, *_), count in project.executor.counts.items()}


def judged(project):
    return {
        name: (verdict["status"], verdict["judged_by"])
        for name, verdict in project.verdicts.items()
    }


def weather(process):
    """Today everything is a third slower than when the run was saved."""
    return 0.013


def slower(share):
    """The current code of test_fast is slower by a share; all is as on the day of the saved run."""

    def script(process):
        is_slow = process.test == "test_fast" and not process.is_baseline
        return 0.01 * (1 + share) if is_slow else 0.01

    return script


def edit_saved(project, edit):
    (file,) = project.path.glob(".benchmarks/*/0001_first.json")
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data))


def test_weather_fails_no_build_and_a_small_loss_is_found(project):
    project.script = weather
    result = gate(project)
    result.assert_outcomes(passed=2)
    assert judged(project) == {FAST: ("pass", "side by side"), STEADY: ("pass", "side by side")}
    assert "side by side pass" in flat(result)
    assert "verdicts are open" not in flat(result)

    project.script = slower(0.06)  # which no saved run can tell
    result = gate(project, "--benchmark-save=second")
    result.assert_outcomes(passed=1, failed=1)
    assert judged(project)[FAST] == ("regression", "side by side")
    told = flat(result)
    assert "more than 3.5 % as measured and more than 2 % for certain" in told
    assert told.count("slower: CPU work") == 1  # in full once, where the test fails
    recorded = project.saved["benchmarks"][0]["extra_info"]["tf_threads"]
    assert len(recorded["duet"]["pairs"]) == 2 * PAIRS  # the second look decides
    assert len(recorded["processes"]) == FIRST_LOOK  # the first look: what later runs compare with
    assert not list(project.temporary.glob("*tfthreads*"))


def commit(project, message):
    """A commit more of the same tests; its id."""
    git(project.path, "commit", "-q", "--allow-empty", "-m", message)
    return git(project.path, "rev-parse", "HEAD").strip()


def test_a_loss_that_a_saved_run_left_open_is_measured_beside_the_commit_before_it(project):
    first = git(project.path, "rev-parse", "HEAD").strip()
    commit(project, "lossy")
    project.script = slower(0.06)
    options = ("--tf-threads-duet=off", "--benchmark-save=second")
    gate(project, *options).assert_outcomes(passed=2)  # saved runs cannot tell
    assert project.verdicts[FAST]["status"] == "inconclusive"
    commit(project, "later")
    gate(project).assert_outcomes(passed=1, failed=1)
    assert judged(project)[FAST] == ("regression", "side by side")
    assert first[:7] in project.verdicts[FAST]["judged_against"]


def test_each_test_has_the_commit_of_its_own_saved_run(project):
    """A run of one test alone, at the current commit, hides no loss of the other test."""
    first = git(project.path, "rev-parse", "HEAD").strip()
    second = commit(project, "lossy")
    project.script = slower(0.06)
    options = ("--benchmark-save=second", "--tf-threads-duet=off", "-k", "steady")
    gate(project, *options).assert_outcomes(passed=1)
    third = commit(project, "later")
    project.script = lambda process: weather(process) * slower(0.06)(process) / 0.01
    gate(project, "--benchmark-save=third").assert_outcomes(passed=1, failed=1)
    assert first[:7] in project.verdicts[FAST]["judged_against"]
    against = {name: one["judged_against"] for name, one in project.verdicts.items()}
    assert third[:7] not in " ".join(against.values())
    assert first[:7] in against[FAST]
    # The run of the second commit had left the other test open as well, or settled it.
    assert first[:7] in against[STEADY] or second[:7] in against[STEADY]
    # Once more at the same commit: not beside itself.
    gate(project).assert_outcomes(passed=1, failed=1)
    assert third[:7] not in project.verdicts[FAST]["judged_against"]
    assert not list(project.temporary.glob("*tfthreads*"))


@pytest.mark.parametrize("args", [("--benchmark-compare",), ("--tf-threads-duet=HEAD",)])
def test_pairs_stay_where_the_baseline_fails_after_a_look(project, args):
    noise = (0.95, 1.0, 1.06, 1.02)

    def script(process):
        if process.is_baseline and process.number == 4:
            return ValueError("the port is in use")
        is_slow = process.test == "test_fast" and not process.is_baseline
        return 0.013 * (noise[process.number % 4] if is_slow else 1.0)

    project.script = script
    project.run(*args, processes=FIRST_LOOK).assert_outcomes(passed=2)
    found = project.verdicts[FAST]
    assert (found["status"], found["judged_by"]) == ("inconclusive", "side by side")
    assert "side by side in 4 pairs" in found["judged_against"]
    (advice,) = found["advice"]
    assert advice.startswith("no more pairs could be had: the test does not run at")
    assert "the port is in use" in advice


def test_a_test_that_measures_now_and_then_is_judged_by_what_there_is(project):
    calls = []

    def uses_benchmark(test):
        calls.append(test)
        return test != "test_fast" or calls.count(test) <= 2  # both of its first process

    project.script = weather
    project.uses_benchmark = uses_benchmark
    result = gate(project)
    result.assert_outcomes(passed=2)
    assert judged(project)[FAST] == ("inconclusive", "saved runs")
    assert "measures in some of its processes and not in others" in flat(result)


@pytest.fixture
def swept(project):
    """The repository with a saved run of a test that twice the threads make faster."""
    project.write(SWEEP)
    git(project.path, "commit", "-q", "-a", "-m", "a sweep")
    project.script = lambda process: 0.02 / process.intra
    project.run("--benchmark-save=second", processes=3).assert_outcomes(passed=2)
    return project


def told(capsys, *command):
    """What a command makes of saved runs: its exit code, output and complaints."""
    capsys.readouterr()  # of pytest's runs
    with pytest.raises(SystemExit) as ending:
        cli.main([*command])
    return ending.value.code, *capsys.readouterr()


def test_a_sweep_that_is_then_judged_side_by_side_is_a_sweep(swept, capsys):
    live = gate(swept, "--benchmark-save=third", "--tf-threads-report=live.html")
    live.assert_outcomes(passed=2)
    for one in swept.saved["benchmarks"]:
        recorded = one["extra_info"]["tf_threads"]
        assert {verdict["judged_by"] for verdict in recorded["verdicts"]} == {"side by side"}
        assert recorded["duet"]["pairs"]
        assert recorded["duet"]["took_turns"] is False
        assert recorded["duet"]["of_saved_run"] is True
    assert [one["recommendation"]["best"] for one in swept.saved["tf_threads"]["sweeps"]] == [BEST]
    code, out, err = told(capsys, "recommend", "--format=json")
    assert (code, err) == (0, "")
    assert json.loads(out)["configuration"] == BEST
    code, _, err = told(capsys, "report", "-o", "saved.html")
    assert code == 0, err
    for page in ("live.html", "saved.html"):
        text = (swept.path / page).read_text()
        assert ">Use 2×1<" in text, page
        assert "The pairs as a table" in text, page


@pytest.mark.parametrize("fails", [False, True])
def test_configurations_that_took_turns_with_their_baselines_are_no_sweep(swept, capsys, fails):
    swept.script = lambda process: (
        ValueError("gone") if fails and process.is_baseline else 0.02 / process.intra
    )
    swept.run("--tf-threads-duet=HEAD", "--benchmark-save=third", processes=3)
    assert swept.saved["tf_threads"]["sweeps"] == []
    duets = [one["extra_info"]["tf_threads"]["duet"] for one in swept.saved["benchmarks"]]
    assert [bool(one["problem"]) for one in duets] == [fails] * 2
    assert [one["took_turns"] for one in duets] == [True] * 2
    run = max(swept.path.glob(".benchmarks/*/*_third.json"))
    code, out, err = told(capsys, "recommend", str(run))
    assert (code, out) == (2, "")
    assert "no test was swept" in err


@pytest.mark.parametrize(("duet", "expected"), [("HEAD", False), ("baseline", True)])
def test_whether_a_saved_run_chose_the_other_side_is_saved(project, duet, expected):
    project.run(f"--tf-threads-duet={duet}", "--benchmark-save=second", processes=3)
    duets = [one["extra_info"]["tf_threads"]["duet"] for one in project.saved["benchmarks"]]
    assert [one["of_saved_run"] for one in duets] == [expected] * 2


@pytest.mark.parametrize("duet", ["--benchmark-compare", "--tf-threads-duet=HEAD"])
def test_why_nothing_is_recommended_is_told_by_the_turns_that_were_taken(swept, duet):
    swept.write(SWEEP.replace("2]", "'physical/9999']"))  # which is 1 on any machine
    swept.script = lambda process: 0.02
    swept.run(duet, "--tf-threads-report=live.html", processes=3)
    page = (swept.path / "live.html").read_text()
    is_duet = duet != "--benchmark-compare"
    assert "The pairs as a table" in page
    assert ("In a duet each configuration takes turns with its baseline" in page) is is_duet
    assert ("are the same on this machine, under several names" in page) is not is_duet


def test_the_pairs_of_a_duet_have_the_interpreters_of_each_side_in_turn(project):
    project.script = slower(0.06)
    gate(project)
    dealt = {"alone": [], "test_fast": [], "test_steady": []}
    for batch in project.executor.batches:
        name = batch.jobs[0].order.item.own_part.removeprefix("::")
        deals = {job.home.deal for job in batch.jobs}
        dealt["alone" if len(batch.jobs) == 1 else name].append(deals)
    turn = [{deal} for deal in range(INTERPRETERS)]
    assert dealt["alone"] == [{0}] * 2 * FIRST_LOOK
    assert dealt["test_steady"] == turn[:PAIRS]
    assert dealt["test_fast"] == turn * 2


def test_a_side_that_forks_has_its_interpreters_in_turn_beside_one_of_fresh_processes(project):
    project.script = slower(0.06)
    project.start = lambda process: "fresh" if process.is_baseline else "fork"
    gate(project)
    now, then = (
        [
            job.home.deal
            for batch in project.executor.batches
            for job in batch.jobs
            if len(batch.jobs) == 2 and "test_fast" in job.order.item.own_part
            if (job.home.cwd != str(project.path)) is is_baseline
        ]
        for is_baseline in (False, True)
    )
    assert now == [*range(INTERPRETERS)] * 2
    assert then == [0] * 2 * PAIRS  # the first process is not known to be fresh before it has run


def test_what_saved_runs_pass_is_not_measured_again(project):
    project.script = lambda process: 0.01
    gate(project, "--tf-threads-tolerance=60%").assert_outcomes(passed=2)
    assert judged(project) == {FAST: ("pass", "saved runs"), STEADY: ("pass", "saved runs")}
    assert counts(project) == {"test_fast": FIRST_LOOK, "test_steady": FIRST_LOOK}


def test_off_keeps_to_the_saved_runs_and_a_name_means_every_test(project):
    project.script = slower(1.5)
    result = gate(project, "--tf-threads-duet=off")
    result.assert_outcomes(passed=1, failed=1)
    assert judged(project)[FAST] == ("regression", "saved runs")
    assert counts(project) == {"test_fast": 2 * FIRST_LOOK, "test_steady": FIRST_LOOK}
    assert "more than 5 % as estimated and more than 2 % for certain" in flat(result)
    assert flat(result).count("--tf-threads-duet=off keeps to the saved runs") >= 1
    gate(project, "--tf-threads-duet", "--tf-threads-tolerance=60%")
    assert judged(project)[STEADY] == ("pass", "side by side")
    assert counts(project)["test_steady"] == PAIRS


def test_a_new_test_is_compared_at_the_commit_of_the_saved_run(project):
    project.write(NEW)
    project.script = lambda process: (
        0.02 if process.test == "test_new" and not process.is_baseline else 0.01
    )
    result = gate(project, "-k", "new")
    result.assert_outcomes(failed=1, deselected=2)
    assert judged(project)["test_new[intra1-inter1]"] == ("regression", "side by side")

    project.script = lambda process: ValueError("no such thing") if process.is_baseline else 0.01
    result = gate(project, "-k", "new")
    result.assert_outcomes(passed=1, deselected=2)
    assert judged(project)["test_new[intra1-inter1]"] == ("no-baseline", "saved runs")
    assert counts(project) == {"test_new": FIRST_LOOK + 1, "test_new at the baseline": 1}
    assert "the test does not run at" in flat(result)
    assert "2 of 2 verdicts are open (2 no-baseline)" in result.outlines[-2]


def test_another_machine_is_no_obstacle(project):
    def elsewhere(data):
        for one in data["benchmarks"]:
            one["extra_info"]["tf_threads"]["machine"]["cpu"] = "Another CPU"

    edit_saved(project, elsewhere)
    project.script = slower(0.06)
    gate(project).assert_outcomes(passed=1, failed=1)
    assert judged(project)[FAST] == ("regression", "side by side")


@pytest.mark.parametrize(
    ("commit", "reason"),
    [
        ({"id": "f" * 40, "dirty": False}, "has no commit 'ffff"),
        (None, "names no commit"),
        ({"dirty": True}, "saved with uncommitted changes"),
    ],
)
def test_without_the_commit_saved_runs_stand_and_say_what_would_help(project, commit, reason):
    def other(data):
        data["commit_info"] = None if commit is None else {**data["commit_info"], **commit}

    edit_saved(project, other)
    project.script = slower(1.5)
    result = gate(project)
    result.assert_outcomes(passed=1, failed=1)
    assert judged(project)[FAST] == ("regression", "saved runs")
    assert counts(project)["test_fast"] == 2 * FIRST_LOOK  # looked at again before it fails
    assert reason in flat(result)
    assert "judged by saved runs alone, against" in flat(result)
    summary = flat(result).partition("verdicts are open")[0].rpartition("Verdict")[2]
    assert summary.count("not measured side by side: ") == 1


@pytest.mark.parametrize("commit", [{"dirty": True}, None], ids=["note", "error"])
@pytest.mark.parametrize("asked", ["auto", "baseline"])
def test_the_name_of_a_saved_run_acts_on_no_terminal(project, commit, asked):
    edit_saved(project, lambda data: data.update(commit_info=commit and data["commit_info"]))
    if commit:
        edit_saved(project, lambda data: data["commit_info"].update(commit))
    (path,) = project.path.glob(".benchmarks/*/0001_*.json")
    path.rename(path.with_name("0001_\x1b]0;mine\x07.json"))
    result = gate(project, f"--tf-threads-duet={asked}")
    told = result.stdout.str() + "\n" + result.stderr.str()
    assert "0001_?]0;mine?.json" in told
    obeyed = [line for line in told.split("\n") if "\x1b" in line or "\x07" in line]
    theirs = ("test_fast[", "test_steady[", "Comparing against ")  # pytest-benchmark's own
    assert [line for line in obeyed if not line.startswith(theirs)] == []


def test_a_larger_budget_is_not_advised_where_it_would_not_help(project):
    edit_saved(project, lambda data: data.update(commit_info=None))
    project.script = slower(0.01)
    told = flat(gate(project, "--tf-threads-budget=1"))
    assert "names no commit" in told
    assert "would have been enough to begin" not in told


@pytest.mark.parametrize("commit", ["clean", "dirty", "none", "file"])
def test_off_promises_no_more_than_could_be_done(project, commit):
    def other(data):
        if commit != "clean":
            data["commit_info"] = (
                None if commit == "none" else {**data["commit_info"], "dirty": True}
            )

    edit_saved(project, other)
    if commit == "file":
        (saved,) = project.path.glob(".benchmarks/*/0001*")
        saved.write_text(saved.read_text()[:300])
    project.script = slower(0.01)
    told = flat(gate(project, "--tf-threads-duet=off"))
    assert "--tf-threads-duet=off keeps to the saved runs" in told
    assert ("side by side with the baseline's commit" in told) is (commit == "clean")


def test_a_failure_beside_the_baseline_fails_the_test(project):
    project.script = lambda process: (
        ValueError("flaky") if not process.is_baseline and process.number == 4 else 0.01
    )
    result = gate(project)
    result.assert_outcomes(failed=2)
    assert "flaky" in flat(result)


def test_all_configurations_are_compared_with_each_other_all_the_same(project):
    project.write(
        """
@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_busy(benchmark):
    benchmark(sum, range(10))
"""
    )
    project.script = lambda process: 0.01 / process.intra
    gate(project).assert_outcomes(passed=2)
    (sweep,) = project.saved["tf_threads"]["sweeps"]
    assert sweep["recommendation"]["best"] == "intra2-inter1"
    assert {status for status, _ in judged(project).values()} == {"pass"}


def test_exit_first_in_the_midst_of_duets(project):
    project.write(
        """
@pytest.mark.tf_threads(intra=[1, 2, 4], inter=1)
def test_busy(benchmark):
    benchmark(sum, range(10))
"""
    )
    project.script = lambda process: (
        ValueError("no") if process.intra == 2 and process.number == 3 else 0.01
    )
    gate(project, "-x").assert_outcomes(passed=1, failed=1)
    assert ("test_busy at the baseline", 4, 1) not in project.executor.counts


FIVE = """
@pytest.mark.parametrize("number", range(5))
@pytest.mark.tf_threads(1, 1)
def test_work(benchmark, number):
    benchmark(sum, range(10))
"""


@pytest.fixture
def five(project):
    """Five tests, each left open by the saved run; every process takes about 1.2 s."""
    project.write(FIVE)
    git(project.path, "commit", "-aqm", "five tests")
    project.run("--benchmark-save=five", processes=FIRST_LOOK).assert_outcomes(passed=5)
    return project


def processes_by_test(project):
    """In the order of tests: processes of the current side, and of the baseline's."""
    found = {}
    for batch in project.executor.batches:
        for job in batch.jobs:
            here = job.home.cwd == str(project.executor.config.invocation_params.dir)
            name = job.order.item.nodeid.rpartition("::")[2]
            found.setdefault(name, [0, 0])[0 if here else 1] += 1
    return list(found.values())


def test_budget_gives_every_test_its_first_look_and_keeps_to_its_time(five):
    result = gate(five, "--tf-threads-budget=40")
    result.assert_outcomes(passed=5)
    looks = processes_by_test(five)
    assert all(here >= FIRST_LOOK for here, _ in looks)
    assert five.executor.seconds <= 40
    assert 0 < sum(beside > 0 for _, beside in looks) < 5
    assert "5 tests to judge, about" in flat(result)
    assert "more within --tf-threads-budget (" in flat(result)
    assert "too little of --tf-threads-budget was left to measure side by side; about" in flat(
        result
    )
    gate(five)  # without a limit all are decided
    assert all(beside for _, beside in processes_by_test(five))


def test_budget_ends_a_duet_that_is_not_likely_to_close_and_says_what_would_help(five):
    noise = [1.0, 1.05, 0.95, 1.04]

    def script(process):
        return 0.01 if process.is_baseline else 0.01 * noise[process.number % 4]

    five.script = script
    result = gate(five, "-k", "[0-", "--tf-threads-budget=30")
    result.assert_outcomes(passed=1, deselected=4)
    told = flat(result)
    statuses = {status for status, _ in judged(five).values()}
    assert statuses == {"inconclusive"}
    assert five.executor.seconds <= 30
    assert "more would have decided it" in told or "did not decide it" in told


def test_a_duet_that_is_allowed_more_pairs_may_have_them(five):
    """Within a budget, for which it would have gone on if it could."""
    noise = [1.0, 1.05, 0.95, 1.04]
    five.script = lambda process: 0.01 if process.is_baseline else 0.01 * noise[process.number % 4]
    result = gate(five, "-k", "[0-", "--tf-threads-budget=10m", "--tf-threads-max-processes=6")
    (verdict,) = {verdict["pairs_to_decide"] for verdict in five.verdicts.values()}
    assert 6 < verdict <= LOOKS[-1]
    assert (
        f"{PAIRS} pairs did not decide it, and it would take about {verdict}: a larger "
        f"--tf-threads-max-processes ({LOOKS[-1]} at the most)"
    ) in flat(result)


MIXED = """
@pytest.mark.tf_threads(1, 1)
def test_work(benchmark):
    benchmark(sum, range(10))

@pytest.mark.parametrize("number", range(30))
@pytest.mark.tf_threads(1, 1)
def test_result(number):
    pass
"""


def test_tests_that_measure_nothing_have_no_share_in_the_budget(project):
    project.uses_benchmark = lambda test: test == "test_work"
    project.write(MIXED)
    git(project.path, "commit", "-aqm", "mixed")
    project.run("--benchmark-save=mixed", processes=FIRST_LOOK).assert_outcomes(passed=31)
    noise = [1.0, 1.02, 0.98, 1.01]
    project.script = lambda process: (
        0.01 if process.is_baseline else 0.0104 * noise[process.number % 4]
    )
    for more in ((), ("--tf-threads-share=off",)):
        result = gate(project, "--tf-threads-budget=40", *more)
        assert "1 test to judge, about" in flat(result)
        # A duet of 12 pairs takes 34 s: the budget is named where it is planned with, and never
        # as too short.
        told = flat(result).partition("test session starts")[2]
        planned, found, rest = told.partition("within --tf-threads-budget")
        assert found
        assert "--tf-threads-budget" not in planned + rest
        assert project.executor.counts["test_work at the baseline", 1, 1] > PAIRS


LATE = """
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker("tf_threads")
"""


@pytest.mark.parametrize("wanted", ["--benchmark-compare", "--tf-threads-duet=HEAD"])
def test_tests_that_are_marked_late_are_planned_for_together(project, wanted):
    """Also where the first of them is skipped."""
    source = TWO_TESTS.replace("@pytest.mark.tf_threads(1, 1)", "")
    project.write("@pytest.mark.skip\ndef test_skipped(benchmark): pass\n" + source)
    project.pytester.makeconftest(LATE)
    git(project.path, "add", "conftest.py")
    git(project.path, "commit", "-aqm", "late")
    project.run("--benchmark-save=late", processes=FIRST_LOOK).assert_outcomes(passed=2, skipped=1)
    project.script = lambda process: 0.01 if process.is_baseline else 0.013
    result = project.run(wanted, processes=FIRST_LOOK)
    result.assert_outcomes(failed=2, skipped=1)
    assert "2 tests to judge, about" in flat(result)
    assert set(judged(project).values()) == {("regression", "side by side")}


def test_who_names_a_run_accepts_its_speed_whoever_judges(project):
    """So that no later run has to name the run again."""
    project.script = slower(0.2)
    project.run("--benchmark-save=slow", processes=FIRST_LOOK)
    for args in (["--benchmark-compare=0002"], ["--benchmark-compare=0002", "--tf-threads-duet"]):
        project.script = lambda process: 0.0102 if process.is_baseline else 0.0104
        project.run(*args, processes=FIRST_LOOK)
        assert project.verdicts[FAST]["judged_by"] == "side by side"
        assert project.verdicts[FAST]["named"]
    project.run("--benchmark-compare=0002", "--tf-threads-duet=HEAD", processes=FIRST_LOOK)
    assert not project.verdicts[FAST]["named"]  # the user has named another baseline
    gate(project)
    assert not project.verdicts[FAST]["named"]


def test_a_loss_that_other_software_may_have_made_is_not_refuted_by_what_has_it_too(project):
    """Side by side both sides run the TensorFlow that is installed now."""
    project.script = lambda process: 0.04  # four times as long as then, on both sides
    gate(project).assert_outcomes(passed=2)
    assert judged(project)[FAST] == ("pass", "side by side")
    edit_saved(project, older_tensorflow)
    result = gate(project, "--benchmark-save=second")
    result.assert_outcomes(failed=2)
    assert judged(project)[FAST] == ("regression", "saved runs")
    told = flat(result)
    assert "other software was installed (TensorFlow 0.1 → " in told
    assert "--tf-threads-duet=python=PATH measures beside another environment" in told
    gate(project).assert_outcomes(failed=2)  # nobody has accepted it
    project.script = lambda process: 0.04 if process.is_baseline else 0.06
    gate(project)
    assert judged(project)[FAST] == ("regression", "side by side")


def test_other_software_is_never_accepted_by_a_duet(project):
    edit_saved(project, older_tensorflow)
    project.script = weather  # too little for one saved run to call a regression
    gate(project, "--benchmark-save=second").assert_outcomes(passed=2)
    verdict = project.verdicts[FAST]
    assert (verdict["status"], verdict["judged_by"]) == ("pass", "side by side")
    assert verdict["software"].startswith("TensorFlow 0.1 → ")


def older_tensorflow(data):
    for benchmark in data["benchmarks"]:
        benchmark["extra_info"]["tf_threads"]["machine"]["tensorflow"] = "0.1"


def test_naming_a_run_of_another_machine_is_recorded_too(project):
    def elsewhere(data):
        for benchmark in data["benchmarks"]:
            benchmark["extra_info"]["tf_threads"]["machine"]["cpu"] = "another"

    edit_saved(project, elsewhere)
    project.run("--benchmark-compare=0001", processes=FIRST_LOOK).assert_outcomes(passed=2)
    assert judged(project)[FAST] == ("pass", "side by side")
    assert project.verdicts[FAST]["named"]


def test_a_loss_that_nobody_mends_is_not_forgotten_after_many_runs(project):
    project.script = slower(0.2)
    gate(project, "--benchmark-save=slow").assert_outcomes(passed=1, failed=1)
    (file,) = project.path.glob(".benchmarks/*/0002_slow.json")
    data = json.loads(file.read_text())
    for number in range(3, 40):
        data["datetime"] = f"2050-01-{number // 24 + 1:02}T{number % 24:02}:00:00+00:00"
        (file.parent / f"{number:04}_slow.json").write_text(json.dumps(data))
    gate(project).assert_outcomes(passed=1, failed=1)
    assert judged(project)[FAST] == ("regression", "side by side")


@pytest.mark.parametrize("left_open", [{25}, set(range(11, 41))], ids=["one", "all"])
def test_a_loss_that_was_left_open_hides_no_run_before_it(project, left_open):
    """Ten good runs, then thirty with a loss; some of those were inconclusive."""
    (good,) = project.path.glob(".benchmarks/*/0001_first.json")
    project.script = slower(0.2)
    gate(project, "--benchmark-save=slow").assert_outcomes(passed=1, failed=1)
    (slow,) = good.parent.glob("0002_slow.json")
    texts = {False: good.read_text(), True: slow.read_text()}
    slow.unlink()
    for number in range(1, 41):
        data = json.loads(texts[number > 10])
        data["datetime"] = f"2050-01-{number // 24 + 1:02}T{number % 24:02}:00:00+00:00"
        if number in left_open:
            for one in data["benchmarks"]:
                for verdict in one["extra_info"]["tf_threads"]["verdicts"]:
                    if verdict["status"] == "regression":
                        verdict["status"] = "inconclusive"
        (good.parent / f"{number:04}_run.json").write_text(json.dumps(data))
    good.unlink()
    gate(project, "--tf-threads-duet=off")
    assert project.verdicts[FAST]["baseline"]["value"] == pytest.approx(100, rel=0.03)


def test_what_a_search_only_glanced_at_is_not_measured_side_by_side(project):
    project.script = lambda process: 0.01 / {1: 1, 2: 1.6, 4: 2.5}.get(process.intra, 1)
    options = ("--tf-threads=intra=1,2,4;inter=1,2,3", "--tf-threads-search", "-k", "fast")
    project.run("--benchmark-save=searched", *options, processes=FIRST_LOOK)
    result = gate(project, *options)
    glanced = {
        one["name"]
        for one in project.saved["benchmarks"]
        if "glance" in one["extra_info"]["tf_threads"]["flags"]
    }
    by_saved_runs = {name for name, (_, judge) in judged(project).items() if judge == "saved runs"}
    assert glanced
    assert glanced <= by_saved_runs
    assert "the search only glanced at it" in flat(result)


def test_measuring_again_keeps_to_the_budget(project):
    """All configurations take part again where one is suspicious."""
    project.write(SWEEP.replace("[1, 2]", "[1, 2, 3, 4, 5, 6]"))
    project.run("--benchmark-save=sweep", processes=FIRST_LOOK).assert_outcomes(passed=6)
    project.script = lambda process: 0.04 if process.intra == 6 else 0.01
    options = ("--tf-threads-duet=off",)
    gate(project, *options)
    without_limit, seconds = sum(project.executor.counts.values()), project.executor.seconds
    assert without_limit > 6 * FIRST_LOOK + 6
    gate(project, *options, f"--tf-threads-budget={seconds * (6 * FIRST_LOOK + 8) / without_limit}")
    assert 6 * FIRST_LOOK < sum(project.executor.counts.values()) < without_limit
    assert project.executor.seconds <= seconds * (6 * FIRST_LOOK + 8) / without_limit


def test_budget_by_ini_key_and_what_is_no_time(scripted):
    scripted.write(TWO_TESTS)
    result = scripted.run("--benchmark-compare", "--tf-threads-budget=10h")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--tf-threads-budget: '10h' is no time; write seconds or minutes" in flat(result)
    scripted.pytester.makeini("[pytest]\nfilterwarnings = default\ntf_threads_budget = 2s\n")
    result = scripted.run("--benchmark-compare", processes=3)
    result.assert_outcomes(passed=2)
    assert "more than --tf-threads-budget" in flat(result)


def test_what_other_programs_held_back_is_flagged_and_told(project):
    """A test alone is flagged, and its open verdicts name the others."""
    project.contention = lambda process: Contention(
        0.3, 0.38 if process.test == "test_fast" else 0.0, 0.0, 1.0
    )
    project.script = lambda process: 0.0104 if process.test == "test_fast" else 0.01
    result = gate(project, "--tf-threads-duet=off")
    recorded = {one["name"]: one["extra_info"]["tf_threads"] for one in project.saved["benchmarks"]}
    assert recorded[FAST]["flags"] == ["contended"]
    assert recorded[STEADY]["flags"] == []
    assert recorded[FAST]["contention"]["others_share"] == pytest.approx(0.38)
    assert project.verdicts[FAST]["status"] == "inconclusive"
    words = "other programs took 38 % of the granted CPUs while this was measured"
    assert words in project.verdicts[FAST]["reason"]
    assert "other programs" not in project.verdicts[STEADY]["reason"]
    assert "contended: other programs" in flat(result)
