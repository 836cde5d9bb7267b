"""A test's end can be told whatever its descriptors are, and whatever it does to ours."""

import re

import pytest

from builders import flat

pytestmark = pytest.mark.usefixtures("no_leftovers")

# What a plugin may make of standard output and standard error, for native code or another process.
REDIRECTED = {
    "a-pipe": "os.pipe()[1]",
    "a-socket": "kept_socket().fileno()",
    "a-terminal": "os.openpty()[1]",
    "nothing": "os.open(os.devnull, os.O_WRONLY)",
    "a-full-disk": "os.open('/dev/full', os.O_WRONLY)",
    "a-directory": "os.open('.', os.O_RDONLY)",
    "a-file-to-write": "os.open('native.log', os.O_WRONLY | os.O_CREAT)",
    "an-event": "os.eventfd(0)",
    "closed": "None",
}

REDIRECTS = f"""
import os, pytest, socket

SOCKETS = []

def kept_socket():
    # Made where it is used: the conftest is imported in the pytest process too, which is ours.
    SOCKETS.extend(socket.socketpair())
    return SOCKETS[0]

NEW = {{{", ".join(f"{kind!r}: lambda: {made}" for kind, made in REDIRECTED.items())}}}

@pytest.hookimpl(trylast=True, hookwrapper=True)
def pytest_runtest_setup(item):
    if hasattr(item, "callspec") and "kind" in item.callspec.params:
        new = NEW[item.callspec.params["kind"]]()
        for fd in (1, 2):
            os.close(fd) if new is None else os.dup2(new, fd)
    yield
"""


def test_end_is_told_whatever_standard_output_is(suite):
    suite.write(
        f"""
        import os, time

        KINDS = {list(REDIRECTED)}

        @pytest.mark.parametrize("kind", KINDS)
        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_crash(kind):
            os.abort()

        @pytest.mark.parametrize("kind", ["a-pipe", "closed"])
        @pytest.mark.tf_threads(intra=1, inter=1, timeout=1)
        def test_hang(kind):
            time.sleep(1000)

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_after():
            pass
        """,
        conftest=REDIRECTS,
    )
    result = suite.run()
    result.assert_outcomes(failed=len(REDIRECTED) + 2, passed=1)
    text = flat(result)
    assert text.count("killed by SIGABRT") >= len(REDIRECTED)
    assert text.count("The measuring process hung") >= 2
    assert "INTERNALERROR" not in text


VANDALS = """
import os, pathlib, resource, stat, time

def descriptors(is_of_a_kind):
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and is_of_a_kind(os.fstat(int(name)).st_mode):
                found.append(int(name))
        except OSError:  # the listing's own
            pass
    return found

def write_to(fds, text):
    for fd in fds:
        try:
            os.write(fd, text)
        except OSError:  # not made for writing
            pass

def limit(name, value):
    resource.setrlimit(getattr(resource, name), (value, value))

ANSWERS = {
    "no-message": b"garbage",
    "no-line": b"x" * 200_000,
    "no-text": b'{"kind": "\\xff"}\\n',
    "no-object": b"[1]\\n",
    "no-kind": b'{"kind": 5}\\n',
    "too-deep": b'{"kind": "reply", "message": ' + b"[" * 100_000 + b"\\n",
    "no-outcome": b'{"kind": "reply"}\\n',
    "no-known-outcome": b'{"kind": "reply", "outcome": "splendid"}\\n',
    "no-such-field": b'{"kind": "reply", "outcome": "finished", "a": 1}\\n',
    "no-list": b'{"kind": "reply", "outcome": "finished", "reports": 5}\\n',
    "no-report": b'{"kind": "reply", "outcome": "finished", "reports": [{"a": 1}]}\\n',
    "no-sample": b'{"kind": "reply", "outcome": "finished", "sample": {}}\\n',
    "no-rounds": b'{"kind": "ready", "ready": {"iterations": 0, "call_s": 1, "budget_s": 1}}\\n',
    "not-ready": b'{"kind": "ready", "ready": [1]}\\n',
}

@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.tf_threads(intra=1, inter=1)
def test_answers(what):
    write_to(descriptors(stat.S_ISSOCK), ANSWERS[what])
    os.abort()

def writes_everywhere():
    write_to(descriptors(bool), b"garbage")
    os.abort()

def closes_all():
    os.closerange(0, 4096)

def replaces_all():
    null = os.open(os.devnull, os.O_RDWR)
    for fd in descriptors(bool):
        os.dup2(null, fd)

def makes_files_huge():
    for fd in descriptors(stat.S_ISREG):
        os.ftruncate(fd, 1 << 40)
    os.abort()

def may_open_nothing():
    limit("RLIMIT_NOFILE", 0)

def may_write_nothing():
    limit("RLIMIT_FSIZE", 0)
    os.abort()

def says_what_is_no_text():
    raise AssertionError("\\ud800 \\x00 \\x1b[2J")

DEEDS = {
    "writes_everywhere": writes_everywhere,
    "closes_all": closes_all,
    "replaces_all": replaces_all,
    "makes_files_huge": makes_files_huge,
    "may_open_nothing": may_open_nothing,
    "may_write_nothing": may_write_nothing,
    "says_what_is_no_text": says_what_is_no_text,
}

@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.tf_threads(intra=1, inter=1)
def test_deed(deed):
    DEEDS[deed]()

@pytest.mark.tf_threads(intra=1, inter=1)
def test_leaves_what_is_no_pair(request):
    request.node.user_properties += ["alone", ("a", "b", "c"), (1, object())]
    request.node._report_sections += [("call", "stdout", "three")]
    assert 0, "the test"

class OwnWarning(UserWarning):
    pass

@pytest.mark.tf_threads(intra=1, inter=1)
def test_after():
    import warnings
    OwnWarning.__module__ = "made.up"
    warnings.warn("that is the last", OwnWarning)
"""


def test_a_test_that_meddles_fails_and_nothing_else_does(suite):
    suite.write(VANDALS)
    result = suite.run("--tf-threads-timeout=30")
    result.assert_outcomes(failed=14 + 7 + 1, passed=1, warnings=1)
    text = flat(result)
    assert "INTERNALERROR" not in text
    assert text.count("garbled: The test wrote to a file descriptor that it does not own") == 7
    assert text.count("garbled: What the measuring process reported") == 8
    for place in ("(outcome is missing)", "(a is in no reply)", "(sample.wall_s is missing)"):
        assert place in text
    assert text.count("The test closed file descriptors that it does not own") == 3
    assert text.count("killed by SIGABRT") == 2
    warned = re.findall(r":\d+: (\w+Warning: .*)", result.stdout.str())
    assert warned == ["OwnWarning: that is the last"]


@pytest.mark.parametrize("start", ["fork", "fresh"])
def test_a_process_whose_modules_the_test_takes_away_is_not_accused_of_closing_files(suite, start):
    suite.write(
        """
        import sys

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_takes(benchmark):
            for name in [one for one in sys.modules if one.startswith("pytest_tfthreads")]:
                del sys.modules[name]
            benchmark(int)

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_takes_words(request):
            def fails(*_, **__):
                raise RuntimeError("no words")
            request.config.add_cleanup(lambda: vars(sys.modules[CONNECTION]).update(dumps=fails))

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_takes_all_words(request):
            import traceback
            def fails(*_, **__):
                raise RuntimeError("no words at all")
            traceback.format_exc = fails
            request.config.add_cleanup(fails)

        CONNECTION = "pytest_tfthreads.engine.protocol"
        """
    )
    result = suite.run(f"--tf-threads-start={start}", "--tf-threads-share=off")
    told = flat(result)
    assert "closed file descriptors" not in told
    could_not = "internal-error: The measuring process could not report its test, and ended"
    assert told.count(could_not) >= 2
    assert "RuntimeError: no words" in told
