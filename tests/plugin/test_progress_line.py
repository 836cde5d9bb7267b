"""What the terminal shows while a measurement runs."""

import re

import pytest
from _pytest import unraisableexception

from pytest_tfthreads.pytest_bridge import progress_line

SOURCE = """
@pytest.mark.benchmark(max_time=0.2)
@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_it(benchmark):
    benchmark(sum, range(10_000))

@pytest.mark.tf_threads(intra=1, inter=1)
def test_fails():
    assert not "at all"
"""
QUICKLY = """
from pytest_tfthreads.pytest_bridge import progress_line
progress_line.{name} = 0.02
"""
# The cursor goes down, the line is written again and again, and then the cursor goes back.
LIVE = re.compile(r"\r?\n(tf_threads: [^\n]*?)((?:\r\x1b\[K[^\n]*?)*)\r\x1b\[K\x1b\[A\x1b\[(\d+)C")


def test_live_line_leaves_nothing_behind(suite, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    suite.write(SOURCE, conftest=QUICKLY.format(name="LIVE_EVERY_S"))
    child = suite.pytester.spawn_pytest(
        "-p no:cacheprovider --color=no --tf-threads-processes=2 test_it.py", expect_timeout=120
    )
    child.setwinsize(30, 70)
    child.expect(r"1 failed, 2 passed")
    shown = child.before.decode()
    found = list(LIVE.finditer(shown))
    assert found
    told = "\r\x1b[K".join(one[1] + one[2] for one in found)
    assert re.search(r"pass 1 of 2, about \d:\d\d left \(all: \d:\d\d\): test_it", told)
    assert re.search(r"pass 2 of 2, about ", told)
    assert "tf_threads: starting a process: test_it.py::test_fails" in told
    assert max(map(len, re.split(r"\r\x1b\[K", told))) < 70
    assert int(found[0][3]) == len("test_it.py ")
    assert re.search(r"test_it\.py \.\.F +\[100%\]\r\n", LIVE.sub("", shown))
    assert "tf_threads: pass" not in LIVE.sub("", shown)


def test_heartbeat_where_the_cursor_cannot_move(suite):
    suite.write(SOURCE, conftest=QUICKLY.format(name="HEARTBEAT_EVERY_S"))
    result = suite.run("-v", subprocess=True)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_it[[]intra1-inter1[]] ",
            "tf_threads: pass 1 of 1, about ?:?? left (all: ?:??): test_it.py::test_it, 2 conf*",
            "test_it.py::test_it[[]intra1-inter1[]] PASSED * [[] 33%[]]",
            "test_it.py::test_it[[]intra2-inter1[]] PASSED * [[] 66%[]]",
            "test_it.py::test_fails[[]intra1-inter1[]] FAILED * [[]100%[]]",
        ]
    )
    assert "\x1b" not in result.stdout.str()


@pytest.fixture
def called_with(bare_pytester):
    """The configuration of a pytest that was called with options. No run of its own follows."""

    def configured(*options):
        config = bare_pytester.parseconfigure(*options)
        # At its end pytest looks several times through all objects, those of the run around it too.
        key = getattr(unraisableexception, "gc_collect_iterations_key", None)
        if key is not None:
            config.stash[key] = 0
        return config

    return configured


@pytest.mark.parametrize(
    ("options", "tells"),
    [
        ([], True),
        (["-v"], True),
        (["-q"], False),
        (["-s"], False),
        (["--pdb"], False),
        (["-o", "log_cli=true"], False),
        (["-p", "no:terminal"], False),
        (["-p", "no:logging"], True),
    ],
)
def test_nothing_is_told_where_it_would_be_in_the_way(
    called_with, monkeypatch, capsys, options, tells
):
    monkeypatch.setattr(progress_line, "HEARTBEAT_EVERY_S", 0)
    one = progress_line.ProgressLine(called_with(*options))
    with one.test("test_x", [], budget_s=1):
        one.expect(processes=2, passes=2)
        with one.ring(1, processes=1):
            one.tick()
        with one.phase("starting a process", at_once=True):
            pass
    told = capsys.readouterr().out
    assert ("tf_threads: pass 1 of 2, about" in told) == tells
    assert ("tf_threads: starting a process: test_x\n" in told) == tells


def test_what_cannot_be_taken_away_again_is_not_told_at_once(called_with, capsys):
    one = progress_line.ProgressLine(called_with())
    with one.test("test_x", [], budget_s=1), one.phase("starting a process", at_once=True):
        pass
    assert "tf_threads" not in capsys.readouterr().out
