"""`pytest-tfthreads report`: which run it shows, and by which it is judged."""

import html
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kept_releases import over_of
from pytest_tfthreads.cli import main
from pytest_tfthreads.commands.releases_kept import keep
from pytest_tfthreads.core.measurement import Measurement, Pools, Sample
from pytest_tfthreads.core.saved_runs import read_run

MACHINE = {"cpu": "Model X", "physical": 4, "logical": 4, "quota": None}
IDS = ("test_a.py::test_x[intra1-inter1]", "test_a.py::test_x[intra2-inter1]")


def measured(threads, speed):
    samples = tuple(
        Sample((0.1 / speed,) * 20, (0.1 / speed,) * 20, 1, 5, 0.1, 1 << 20, 0, 0, (0,), ring, 2)
        for ring in range(3)
    )
    pools = Pools(threads, 1)
    measurement = Measurement(pools, pools, (0,), "fork", 4, "images", samples, MACHINE)
    configuration = {"id": f"intra{threads}-inter1", "intra": str(threads), "inter": "1"}
    whose = {"group": "test_a.py::test_x", "configuration": configuration}
    return {**measurement.to_json(), **whose}


def save(path, when, speed=1.0, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    benchmarks = [
        {
            "fullname": name,
            "extra_info": {"tf_threads": {**measured(threads, speed * threads), **more}},
        }
        for threads, name in enumerate(IDS, start=1)
    ]
    path.write_text(json.dumps({"benchmarks": benchmarks, "machine_info": {}, "datetime": when}))
    return str(path)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs it in a directory of its own; exit code, the page as text, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as ending:
            main(["report", *arguments])
        page = tmp_path / "report.html"
        text = html.unescape(page.read_text(encoding="utf-8")) if page.exists() else ""
        return ending.value.code, text, *capsys.readouterr()

    return run


def test_latest_of_the_storage_judged_by_those_before(command, tmp_path):
    save(tmp_path / ".benchmarks/x/0002_new.json", "2026-11-02", speed=0.3)
    save(tmp_path / ".benchmarks/x/0001_old.json", "2026-11-01")
    (tmp_path / ".benchmarks/x/0003_broken.json").write_text("{")
    code, page, out, err = command()
    assert (code, out) == (0, "Wrote report.html: .benchmarks/x/0002_new.json (2026-11-02)\n")
    assert "left out: .benchmarks/x/0003_broken.json" in err
    assert "▼ regression" in page
    assert "judged against .benchmarks/x/0001_old.json" in page
    assert ">Use 2×1<" in page


def test_runs_of_suites_without_marked_tests_are_passed_over(command, tmp_path):
    unmarked = Path(save(tmp_path / ".benchmarks/x/0001_old.json", "2026-11-01")).read_text()
    save(tmp_path / ".benchmarks/x/0002_new.json", "2026-11-02", speed=0.3)
    for number in range(3, 40):
        file = tmp_path / f".benchmarks/x/{number:04}_other.json"
        file.write_text(unmarked.replace('"tf_threads"', '"other"'))
    code, page, out, err = command()
    assert (code, out) == (0, "Wrote report.html: .benchmarks/x/0002_new.json (2026-11-02)\n")
    assert err == ""
    assert "judged against .benchmarks/x/0001_old.json" in page


def test_what_releases_has_kept_is_drawn_with_the_tests_that_it_is_of(command, tmp_path):
    storage = tmp_path / ".benchmarks"
    run = save(storage / "x/0001_now.json", "2026-11-01")
    before = Path(run).read_bytes()
    assert "Over releases" not in command()[1]
    size = (tmp_path / "report.html").stat().st_size
    stored = read_run(Path(run))
    one, two = (stored.tests[name][0].measurement for name in IDS)
    names = ["v1.0", "v1.1", "v<1.2>", "v1.3"]
    speeds = [100, "it crashes", 80, 80.2]
    elsewhere = replace(two, machine={**MACHINE, "cpu": "Model Y"})
    keep(over_of({IDS[0]: (one, [100, 100, 100, 120])}, names), storage)  # not the latest
    keep(over_of({IDS[0]: (one, speeds), IDS[1]: (elsewhere, speeds)}, names), storage)
    keep(over_of({"another": (one, speeds)}, names), storage)
    (storage / "side-by-side/0009.steps").write_text("{")
    code, page, _, err = command()
    assert (code, err) == (0, "")
    assert page.count("<h3>Over releases</h3>") == 1
    assert "1×1 over releases, 20" in page
    assert "2×1 over releases" not in page
    assert "0009.steps cannot be used" in page
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "v&lt;1.2&gt;" in source
    assert "v<1.2>" not in source
    place = source.index('id="test-1-releases-1"')
    spec = json.loads(
        re.search(r'<script type="application/json">(.*?)</script>', source[place:], re.S)[1]
    )
    lines = {line["name"]: line for line in spec["data"]}
    assert set(lines) == {"throughput", "CPU efficiency"}
    assert lines["throughput"]["y"] == pytest.approx([0, -20, -19.8], abs=0.5)
    assert min(lines["throughput"]["error_y"]["arrayminus"][1:]) > 0
    assert spec["layout"]["xaxis"]["ticktext"] == ["v1.0", "v1.1", "v&lt;1.2&gt;", "v1.3"]
    (row,) = re.findall(r"<tr><th scope=.row.>1×1</th><td>throughput</td>.*?</tr>", page, re.S)
    assert re.findall(r"class=.badge \w+.>(.*?)<", row) == ["▼ regression", "✓ no change"]
    assert row.count("<td>–</td>") == 1  # where the test could not be run
    assert source.count('<div class="plot"') > 1
    assert (tmp_path / "report.html").stat().st_size - size < 10_000
    assert Path(run).read_bytes() == before


def test_named_files_are_in_the_order_in_which_they_are_named(command, tmp_path):
    new, old = (
        save(tmp_path / "new.json", "2026-11-02", 3.0),
        save(tmp_path / "o.json", "2026-11-01"),
    )
    code, page, out, _ = command(new, old, "--tolerance=10%")
    assert code == 0
    assert "o.json (2026-11-01)" in out
    assert "▼ regression" in page
    assert "10 %" in page


def test_a_test_tolerates_what_it_tolerated_in_its_run(command, tmp_path, capsys):
    estimate = {"value": 1.0, "low": None, "high": None}
    verdicts = [
        {
            **{"test": "x", "status": "pass", "configuration": "1×1", "unit": "calls"},
            **{"metric": metric, "now": estimate, "tolerance": 0.8, "reason": ""},
        }
        for metric in ("throughput", "cpu_efficiency")
    ]
    old = save(tmp_path / "old.json", "2026-11-01", 3.0)
    new = save(tmp_path / "new.json", "2026-11-02", verdicts=verdicts)
    assert "▼ regression" not in command(old, new)[1]
    assert "▼ regression" in command(old, new, "--tolerance=5%")[1]
    for options, code in (([], 0), (["--tolerance=throughput=5%"], 1)):
        with pytest.raises(SystemExit) as ending:
            main(["compare", old, new, *options])
        assert ending.value.code == code, capsys.readouterr()


def test_a_single_run_and_a_duet_keep_their_own_verdicts(command, tmp_path):
    verdict = {
        "test": IDS[0],
        "metric": "throughput",
        "status": "regression",
        "configuration": "1×1",
        "unit": "images",
        "now": {"value": 1.0, "low": None, "high": None},
        "tolerance": 0.05,
        "reason": "as <b>then</b>",
        "judged_against": "main, side by side in 3 pairs of processes",
        "baseline": {"value": 2.0, "low": 1.0, "high": 3.0},
        "change": {"value": -0.5, "low": -0.6, "high": -0.4},
        "detectable": 0.1,
        "corrected": False,
        "advice": [],
    }
    pairs = [{"throughput": -0.6, "cpu_efficiency": -0.6}] * 3
    duet = {"against": "main", "pairs": pairs, "baseline": None, "problem": ""}
    single = save(tmp_path / "single.json", "2026-11-02", verdicts=[verdict])
    assert "as <b>then</b>" in command(single)[1]
    side_by_side = save(tmp_path / "duet.json", "2026-11-03", verdicts=[verdict], duet=duet)
    page = command(single, side_by_side)[1]
    assert "as <b>then</b>" in page
    assert "test-1-pairs-throughput" in page
    wrong = save(tmp_path / "wrong.json", "2026-11-02", verdicts=[{**verdict, "metric": "joy"}])
    code, _, _, err = command(wrong)
    assert code == 2
    assert "tf_threads.verdicts[0].metric is 'joy', not one of throughput, cpu_efficiency" in err


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("cpus",), [], "tf_threads.cpus is empty, not a CPU or more"),
        (("processes", 0, "turn_rounds"), 0, "0 rounds a turn"),
        (("items",), 0, "tf_threads.processes are impossible"),
        (("processes",), measured(1, 1e-200)["processes"], "its speeds cannot be compared"),
    ],
)
def test_values_that_no_report_can_be_made_of(command, tmp_path, place, value, told):
    run = tmp_path / "a.json"
    save(run, "2026-11-02", speed=1e200)
    data = json.loads(run.read_text())
    *way, last = place
    where = data["benchmarks"][0]["extra_info"]["tf_threads"]
    for step in way:
        where = where[step]
    where[last] = value
    run.write_text(json.dumps(data))
    code, page, _, err = command(str(run))
    assert (code, page, err.count("\n")) == (2, "", 1)
    assert told in err


def test_errors_in_a_line(command, tmp_path, monkeypatch):
    code, _, _, err = command()
    assert (code, err.count("\n")) == (2, 1)
    assert f"there is no saved run in {Path.cwd() / '.benchmarks'}" in err
    run = save(tmp_path / "a.json", "2026-11-02")
    code, _, _, err = command(run, "-o", "none/there.html")
    assert (code, err.count("\n")) == (2, 1)
    assert "none/there.html cannot be written: there is no directory none" in err
    code, _, _, err = command(run, "-o", "/dev/full")
    assert (code, err.count("\n")) == (2, 1)
    assert "/dev/full was not written: No space left on device; mend that, or name" in err
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    code, _, _, err = command(run)
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'plotly>=6.0' orjson" in err
