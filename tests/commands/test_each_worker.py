"""A saved run of pytest-xdist's --dist=each: every command sees the results of all its workers."""

import csv
import html
import json

import pytest

TEST = "bench/test_it.py::a"


def measured_by(storage, worker, speed, **machine):
    """What is recorded of a worker's measurement."""
    whose = {
        "test": TEST,
        "group": f"{TEST}@{worker}",
        "configuration": {"id": "intra2-inter1", "intra": "2", "inter": "1"},
    }
    return {**storage.of(speed, **machine), **whose}


@pytest.fixture
def runs(storage):
    """Two runs of two hosts, of which the second became slower."""
    return [
        storage.save(
            **{
                "a@gw0": measured_by(storage, "gw0", 100.0, host="one"),
                "a@gw1": measured_by(storage, "gw1", speed, host="two", cpu="Model Y"),
            }
        )
        for speed in (50.0, 5.0)
    ]


def test_compare_judges_all(runs, command):
    code, out, _ = command("compare", *runs, "--json")
    verdicts = {(one["test"], one["metric"]): one["status"] for one in json.loads(out)}
    assert code == 1
    assert verdicts[f"{TEST}@gw1", "throughput"] == "regression"
    assert verdicts[f"{TEST}@gw0", "throughput"] != "regression"


def test_workers_in_one_place_are_one_baseline_of_all_their_processes(storage, command):
    """As in `history`; which worker was the last to save says nothing."""
    for first, second in ((80.0, 120.0), (120.0, 80.0)):
        before = storage.save(
            **{
                "a@gw0": measured_by(storage, "gw0", first),
                "a@gw1": measured_by(storage, "gw1", second),
            }
        )
        now = storage.save(
            **{
                "a@gw0": measured_by(storage, "gw0", 98.0),
                "a@gw1": measured_by(storage, "gw1", 97.0),
            }
        )
        code, out, _ = command("compare", before, now, "--json")
        judged = [one for one in json.loads(out) if one["metric"] == "throughput"]
        assert code == 0
        assert [one["test"] for one in judged] == [f"{TEST}@gw0", f"{TEST}@gw1"]
        assert [one["now"]["value"] for one in judged] == [
            pytest.approx(98, abs=1),
            pytest.approx(97, abs=1),
        ]
        for one in judged:
            assert one["baseline"]["value"] == pytest.approx(98, abs=3)
            assert one["baseline"]["low"] < 90


def test_report_shows_all(runs, command, tmp_path):
    page = tmp_path / "page.html"
    assert command("report", *runs, "-o", page)[0] == 0
    text = html.unescape(page.read_text(encoding="utf-8"))
    assert f"{TEST}@gw0" in text
    assert f"{TEST}@gw1" in text
    assert "▼ regression" in text


def test_list_counts_a_test_once_and_names_all_machines(runs, storage, command):
    _, out, _ = command("list", "--json", "--storage", storage.path)
    first = json.loads(out)[0]
    assert first["tests"] == 1
    assert [one["CPU model"] for one in first["machines"]] == ["Model X", "Model Y"]


def test_history_has_a_line_for_each(runs, storage, command):
    code, out, _ = command("history", "--csv", "--storage", storage.path)
    assert code == 0
    rows = [row for row in csv.DictReader(out.splitlines()) if row["metric"] == "throughput"]
    by_machine = {machine: [] for machine in "AB"}
    for row in rows:
        by_machine[row["machine"]].append(round(float(row["value"]), -1))
    assert sorted(by_machine.values()) == [[50, 0], [100, 100]]


def test_numbers_of_runs_in_every_command(runs, storage, command, tmp_path):
    storage.save(**{"a@gw0": storage.of(1.0)})
    where = ("--storage", storage.path)
    assert command("compare", "0001", "0002", *where)[0] == 1
    page = tmp_path / "page.html"
    code, out, _ = command("report", "*/0002", "-o", page, *where)
    assert code == 0
    assert "0002_nightly.json" in out
    code, out, _ = command("list", "0001", "0003", "--csv", *where)
    assert [row["number"] for row in csv.DictReader(out.splitlines())] == ["0001", "0003"]
    code, _, err = command("compare", "0001", "0042", *where)
    assert (code, err.count("\n")) == (2, 1)
    assert "matches '0042'; name one by its file or its number, such as Linux-CPython-3.12-" in err
    other = storage.path / "Linux-CPython-3.9-64bit"
    other.mkdir()
    (other / "0001_older.json").write_text(runs[0].read_text())
    code, _, err = command("report", "0001", *where)
    assert code == 2
    assert "name it by Linux-CPython-3.12-64bit/0001 or Linux-CPython-3.9-64bit/0001" in err
    assert command("list", "Linux-CPython-3.9-64bit/0001", *where)[0] == 0
