"""The HTML report: what is there, and that it is HTML whatever tests are called."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from pytest_tfthreads.core.sweep.recommendation import recommend
from pytest_tfthreads.report import page
from pytest_tfthreads.report.html import over_threads
from pytest_tfthreads.report.html.content import RunContent
from pytest_tfthreads.report.html.document import render

VOID = {"meta", "link", "br", "input", "hr", "img"}


class Document(HTMLParser):
    """What a browser would find in the file; elements must be closed in the order of opening."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.links = [], [], [], []
        self.texts = {}  # by tag
        self.specs = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        if tag not in VOID:
            self.open.append((tag, found))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for tag, _ in self.open:
            self.texts[tag] = self.texts.get(tag, "") + data
        if self.open and self.open[-1][1].get("type") == "application/json":
            self.specs.append(json.loads(data))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def document(content):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_plotly_js", lambda: "")
        return Document(render(content).decode())


def test_every_part_is_there(document):
    assert [one["id"] for one in document.all("section")] == [
        "overview",
        "odd",
        *(f"test-{number}" for number in range(1, 6)),
        "machine",
        "how",
    ]
    assert len(document.ids) == len(set(document.ids))
    assert {link.removeprefix("#") for link in document.links if link.startswith("#")} <= set(
        document.ids
    )
    text = document.texts["body"]
    for words in (
        "2026-11-23 10:00 UTC, commit 0123456789ab and changes",
        "Use 8×1",
        "@pytest.mark.tf_threads(intra=8, inter=1)",
        "search: 8 of 20 configurations",
        "oversubscribed",
        "more threads than CPUs granted",
        "unknown to this version",
        "call failed: boom",
        "The run ended before all selected tests",
        "why it is regression",
        "▼ regression",
        "−31 %",
        "judged against 0001_x.json",
        "not compared with each other",
        "Measured under one configuration",
        "TensorFlow2.21.0",
        "none",  # the quota
        "a b/plugins/profile/1 on host",
        "Conv2D 10, Mean</script>",
        "v1.0 </script>",
        "no other trace",
    ):
        assert words in text


def test_every_figure_has_its_words_and_its_units(document):
    names = [one["id"] for one in document.all("div") if one.get("class") == "plot"]
    assert len(names) == len(document.specs)
    for kind in (
        "test-1-heat-throughput-0",
        "test-1-heat-efficiency-0",
        "test-1-scaling-intra",
        "test-1-scaling-inter",
        "test-1-wall",
        "test-1-cpu",
        "test-1-cores",
        "test-1-rounds",
        "test-1-change-throughput",
        "test-1-change-cpu_efficiency",
        "test-2-throughput",
        "test-2-efficiency",
        "test-3-pairs-throughput",
        "test-3-ops-0",
        "test-4-heat-throughput-1",
        "test-5-rounds",
    ):
        assert kind in names
    plots = [one for one in document.all("div") if one.get("class") == "plot"]
    assert all(one["role"] == "img" and one["aria-label"] for one in plots)
    labels = {one["id"]: one["aria-label"] for one in plots}
    assert labels["test-1-heat-throughput-0"] == "Throughput, images/s"
    assert labels["test-1-wall"] == "Wall time of a call, ms"
    assert len(document.all("table")) == len(document.all("caption"))


def test_scaling_has_intervals_the_ideal_line_and_the_law(document):
    names = [one["id"] for one in document.all("div") if one.get("class") == "plot"]
    spec = document.specs[names.index("test-1-scaling-intra")]
    traces = {one["name"]: one for one in spec["data"]}
    assert traces.keys() == {"inter 1", "inter 2", "ideal", "fitted law"}
    measured = traces["inter 1"]
    assert measured["customdata"] == [1, 2, 4, 8]
    assert measured["y"][0] == 1
    assert measured["error_y"]["array"][-1] > 0
    assert traces["ideal"]["y"][1] == pytest.approx(8 * traces["ideal"]["y"][0])
    assert traces["fitted law"]["y"][-1] == pytest.approx(measured["y"][-1], rel=0.05)


def test_a_law_is_drawn_through_the_points_that_it_was_fitted_to(make_candidate):
    with_law = [make_candidate(count, 1, "-A=0") for count in (1, 2, 4, 8)]
    others = [make_candidate(count, 1, "-A=1") for count in (1, 2)]
    advice = recommend("test", [*with_law, *others])
    best = next(one for one in advice.configurations if one.candidate.terms == "-A=1")
    (scaling,) = advice.scalings
    assert (scaling.terms, scaling.law is None) == ("-A=0", False)
    (figure,) = over_threads.scaling("x", dataclasses.replace(advice, best=best))
    assert "Scaling over intra-op threads (A=0)" in figure
    assert '"customdata":[1,2,4,8]' in figure
    unfitted = dataclasses.replace(scaling, law=None, refusal="few")
    (figure,) = over_threads.scaling(
        "x", dataclasses.replace(advice, best=best, scalings=(unfitted,))
    )
    assert "Scaling over intra-op threads (A=1)" in figure
    assert '"customdata":[1,2]' in figure


def test_distributions_show_two_speeds_and_no_more_than_is_seen(document):
    names = [one["id"] for one in document.all("div") if one.get("class") == "plot"]
    *violins, processes = document.specs[names.index("test-1-rounds")]["data"]
    assert len(violins) == 8
    assert {len(one["x"]) for one in violins} == {3 * 100}
    low, high = min(violins[0]["x"]), max(violins[0]["x"])
    assert high / low == pytest.approx(1.6, rel=0.01)
    assert len(processes["x"]) == 8 * 3


def test_text_from_tests_and_files_stays_text(content, document):
    assert not document.all("img")
    assert not document.all("b")
    scripts = [one for one in document.all("script") if one.get("type") != "application/json"]
    assert len(scripts) == 2  # plotly's and ours
    assert all(not re.match("on", name) for _, found in document.tags for name in found)
    assert "onerror" in document.texts["section"]
    # Nor is it markup to plotly.
    assert not any(
        "<img" in json.dumps(spec) or "<b>u" in json.dumps(spec) for spec in document.specs
    )


def test_half_a_surrogate_pair_has_no_bytes(content, monkeypatch):
    monkeypatch.setattr(page, "_plotly_js", lambda: "")
    assert b"source: ?" in render(dataclasses.replace(content, source="source: \ud800"))


def test_nothing_is_asked_of_the_network(document):
    policy = next(one["content"] for one in document.all("meta") if "http-equiv" in one)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    elsewhere = {link for link in document.links if not link.startswith(("#", "data:"))}
    assert elsewhere == {"file:///home/me/traces/a%20b/plugins/profile/1"}
    assert not any("src" in found for _, found in document.tags)


def test_values_that_json_does_not_know():
    text = page.figure("x", [{"y": [float("inf"), float("nan"), 1 / 3]}], {})
    assert "[null,null,0.333333]" in text


def test_a_run_of_a_single_configuration(content, monkeypatch):
    monkeypatch.setattr(page, "_plotly_js", lambda: "")
    lone = RunContent(when="some day", source="x", subjects=content.subjects[-1:])
    assert "some day" in Document(render(lone).decode()).texts["header"]


def test_plotly_does_not_change_how_warnings_look(tmp_path):
    folder = tmp_path / "plotly"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "offline.py").write_text(
        "import warnings\n"
        "warnings.formatwarning = lambda *_: 'as plotly has it'\n"
        "warnings.simplefilter('ignore')\n"
        "def get_plotlyjs(): return 'the library'\n"
    )
    code = (
        "import warnings; before = warnings.formatwarning, warnings.filters[:]\n"
        "from pytest_tfthreads.report import page\n"
        "assert page._plotly_js() == 'the library'\n"
        "assert before == (warnings.formatwarning, warnings.filters)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


def test_without_plotly(content, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(page.LibraryMissingError, match=r"pip install 'plotly>=6\.0' orjson"):
        render(content)


def test_configurations_of_a_duet_are_each_beside_a_baseline(document, content, monkeypatch):
    assert "2 configurations, each beside its baseline" in document.texts["td"]
    *_, duet, _, _ = content.subjects
    alone = tuple(dataclasses.replace(case, pairs=()) for case in duet.cases)
    monkeypatch.setattr(page, "_plotly_js", lambda: "")
    subjects = (dataclasses.replace(duet, cases=alone),)
    text = Document(render(dataclasses.replace(content, subjects=subjects)).decode()).texts["td"]
    assert "2 configurations, not compared with one another" in text


def test_every_cell_of_the_overview_says_what_it_is_where_columns_have_no_heads(document):
    labels = [one["data-label"] for one in document.all("td") if "data-label" in one]
    assert labels[:7] == [
        "Use",
        "Throughput",
        "A CPU-second",
        "Cores used",
        "Gain",
        "Against baseline",
        "Flags",
    ]
    assert len(labels) == 5 * 7
