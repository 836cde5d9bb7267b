"""What a command hears from its run of pytest: here somebody else speaks, and no process runs."""

import errno
import os
import socket

import pytest

from pytest_tfthreads.commands import pytest_run
from pytest_tfthreads.commands.errors import CommandError
from pytest_tfthreads.commands.pytest_run import PytestRun, last_words
from pytest_tfthreads.commands.releases_run import Comparing
from pytest_tfthreads.core.abreast import (
    AtPlace,
    Begun,
    Collected,
    Ended,
    MeasuredPlaces,
    Place,
    Selected,
)
from pytest_tfthreads.core.decode import encode
from pytest_tfthreads.core.variants.released import Release
from pytest_tfthreads.engine.protocol import Connection

KINDS = {Collected: "collected", Begun: "begun", MeasuredPlaces: "found", Ended: "over"}
COLLECTED = Collected((Selected("a", 1.0), Selected("b", 1.0)), 8)
FOUND = MeasuredPlaces((AtPlace(problem="it crashes"),) * 2)


class Speaker:
    """Stands for the process of pytest: all that it says is said at once."""

    returncode = None

    def __init__(self, said, exit_code):
        self.said = said
        self.exit_code = exit_code

    def __call__(self, command, *, pass_fds, stdout, **_):
        self.command = command
        self.connection = Connection(socket.socket(fileno=os.dup(pass_fds[0])))
        for one in self.said:
            self.connection.send(KINDS[type(one)], encode(one))
        stdout.write(b"Exit: enough\n")
        stdout.flush()
        return self

    def send_signal(self, number):
        raise ProcessLookupError

    def wait(self, seconds=None):
        self.connection.sock.close()
        self.returncode = self.exit_code


@pytest.fixture
def compared(monkeypatch):
    """What `releases` makes of a run that says this."""

    def run(*said, exit_code):
        speaker = Speaker([COLLECTED, *said, Ended(exit_code)], exit_code)
        monkeypatch.setattr(pytest_run.subprocess, "Popen", speaker)
        releases = [Release(name, Place(name)) for name in ("v1", "v2")]
        comparing = Comparing(releases, {}, None, lambda line: None)
        comparing.tolerance = {"throughput": 0.05, "cpu_efficiency": 0.05}
        error = ""
        try:
            with PytestRun((), ()) as pytest_process:
                comparing.run(pytest_process)
        except CommandError as raised:
            error = str(raised)
        assert comparing.stopped == error
        return comparing

    return run


def test_our_options_come_before_the_end_of_the_users_own(monkeypatch):
    speaker = Speaker([COLLECTED, Ended(0)], 0)
    monkeypatch.setattr(pytest_run.subprocess, "Popen", speaker)
    with PytestRun(["tests"], ["-q", "--", "more"]) as run:
        assert run.collected == COLLECTED
    first, *_, last = speaker.command[3:]
    assert (first, last) == ("tests", "more")
    assert speaker.command[4:6] == ["-q", "--tb=short"]
    assert speaker.command[6].startswith("--tf-threads-abreast=")
    assert speaker.command[7:] == ["--", "more"]


def test_a_test_that_a_plugin_runs_again_begins_once(compared):
    a, b = Begun("a", 1.0, "it failed"), Begun("b", 1.0)
    comparing = compared(a, FOUND, a, a, b, FOUND, b, exit_code=1)
    assert [one.nodeid for one in comparing.tests] == ["a", "b"]
    assert (comparing.left_out, comparing.stopped) == ([], "")


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (40, "signal 40")])
def test_a_run_that_a_signal_ended_is_told_with_its_name(monkeypatch, number, name) -> None:
    class Killed(Speaker):
        def __call__(self, command, **options):
            super().__call__(command, **options)
            self.connection.hang_up()
            return self

    monkeypatch.setattr(pytest_run.subprocess, "Popen", Killed([], -number))
    killed = pytest.raises(CommandError, match=rf"pytest was killed \({name}\)")
    with killed, PytestRun((), ()) as run:
        assert run.collected


@pytest.mark.parametrize("exit_code", [2, 3, 99])
def test_tests_that_pytest_did_not_come_to_are_told(compared, exit_code):
    comparing = compared(Begun("a", 1.0), FOUND, exit_code=exit_code)
    assert [one.nodeid for one in comparing.tests] == ["a"]
    assert comparing.left_out == ["b"]
    assert f"stopped before its last test, with exit code {exit_code}" in comparing.stopped
    assert comparing.stopped.endswith("pytest printed: Exit: enough")


@pytest.mark.parametrize("exit_code", [0, 1, 5, 6])
def test_tests_that_turn_out_to_measure_nothing_are_no_loss(compared, exit_code):
    comparing = compared(Begun("a", 1.0), FOUND, exit_code=exit_code)
    assert (comparing.left_out, comparing.stopped) == ([], "")


HEADER = ["===== test session starts =====", "platform linux", "collected 1 item"]
ENDS = ["===== no tests ran in 0.03s ====="]
REFUSED = ["ERROR: not found: a.py::b", "(no match in any of [<Module a.py>])"]


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ([*HEADER, *ENDS, *REFUSED], REFUSED),
        ([*REFUSED, *HEADER, *ENDS], REFUSED),
        ([*HEADER, "a.py F", *ENDS], ["a.py F", *ENDS]),
        ([f"line {number}" for number in range(20)], [f"line {number}" for number in range(8, 20)]),
        ([], []),
    ],
)
def test_last_words_are_pytests_error_or_what_comes_after_its_header(printed, told) -> None:
    assert last_words("\n\n".join(printed)) == told


def test_colors_hide_no_error() -> None:
    printed = ["\x1b[31mERROR: not found: x\x1b[0m", "\x1b[1m=== session starts ===\x1b[0m"]
    assert last_words("\n".join([*printed, "collected 0 items", "no tests ran"])) == [
        "ERROR: not found: x"
    ]


def test_a_machine_on_which_pytest_cannot_be_started_is_named(monkeypatch) -> None:
    def refuse(*args, **options):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    for module, name in ((pytest_run.subprocess, "Popen"), (pytest_run.socket, "socketpair")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, refuse)
            with pytest.raises(CommandError, match="cannot be started: Resource temporarily"):
                PytestRun((), ())
    monkeypatch.setattr(pytest_run.tempfile, "TemporaryFile", refuse)
    with pytest.raises(CommandError, match="TMPDIR names another directory"):
        PytestRun((), ())
