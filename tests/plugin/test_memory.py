"""A test that leaves its process without memory is told as that, and no other test suffers."""

import re

import pytest

from builders import flat

pytestmark = pytest.mark.usefixtures("no_leftovers")

# Nothing can be allocated any more but what fits into memory that was used before. Python raises
# MemoryError then, and now and then another error: SystemError for example, from `ast.parse`.
STARVED = """
import resource, warnings
pytestmark = pytest.mark.tf_threads(intra=1, inter=1)
HELD = []

def starve(blocks_left, size_left):
    held = [None] * 500_000
    resource.setrlimit(resource.RLIMIT_AS, (1, 1))
    count = 0
    for size in (1 << 16, 1 << 12, 600, 400, 256, 128, 64, 32):
        try:
            while True:
                held[count] = bytes(size)
                count += 1
        except MemoryError:
            pass
    HELD.append(held)
    given_back = 0
    for number in range(count):
        if given_back < blocks_left and len(held[number]) == size_left:
            held[number] = None
            given_back += 1

class OwnWarning(UserWarning):
    pass

def make_tests(name, leave):
    def test_starve(request):
        leave()
        bytearray(1 << 30)
        assert 0, "there is no limit here"

    def test_after():
        warnings.warn(f"after {name}", OwnWarning)

    def test_starve_while_measured(benchmark):
        @benchmark
        def call():
            leave()
            bytearray(1 << 30)
            assert 0, "there is no limit here"

    globals().update({
        f"test_{name}": test_starve,
        f"test_{name}_after": test_after,
        f"test_{name}_measured": test_starve_while_measured,
    })

make_tests("all_that_was_there", lambda: resource.setrlimit(resource.RLIMIT_AS, (1, 1)))
for blocks, size in LEFT:
    make_tests(f"{blocks}_of_{size}", lambda blocks=blocks, size=size: starve(blocks, size))
"""
LEFT = [(0, 32), (100, 32), (1000, 32), (100, 256), (1000, 256), (10, 4096)]


@pytest.mark.parametrize(("start", "left"), [("fork", LEFT), ("fresh", LEFT[1:3])])
def test_a_process_without_memory_is_told_as_that_and_given_up(suite, start, left):
    suite.write(STARVED.replace("LEFT:", f"{left}:"))
    result = suite.run(f"--tf-threads-start={start}", "--tf-threads-timeout=30")
    cases = 1 + len(left)
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"]) == (2 * cases, cases)
    told = flat(result)
    assert "INTERNALERROR" not in told
    # It is not "crashed:" either, unless Python itself does not survive.
    for other in ("internal-error:", "exited:", "garbled:", "timed-out:"):
        assert other not in told
    # Each failure has the test's own error, or where not even that could be told, ours.
    assert len(re.findall("^(E +MemoryError|out-of-memory: )", str(result.stdout), re.M)) >= cases
    # The processes that starve may warn too, as they would without the plugin.
    warned = re.findall(r"OwnWarning: (after \w+)", str(result.stdout))
    assert len(warned) == cases


LACKING = """
def lacks(*_):
    raise MemoryError

def loses_words(*_):
    raise SystemError("error return without exception set")

@pytest.mark.parametrize("words", [lacks, loses_words])
@pytest.mark.tf_threads(intra=1, inter=1)
def test_lacks(request, words):
    import traceback
    traceback.format_exc = words  # the words of a failure need memory, too
    request.config.add_cleanup(lacks)

@pytest.mark.tf_threads(intra=1, inter=1)
def test_after():
    pass
"""


@pytest.mark.parametrize("start", ["fork", "fresh"])
def test_a_process_that_cannot_even_report_for_want_of_memory(suite, start):
    suite.write(LACKING)
    result = suite.run(f"--tf-threads-start={start}")
    result.assert_outcomes(failed=2, passed=1)
    told = "out-of-memory: The measuring process got no more memory, not even to report its test"
    assert flat(result).count(told) >= 2
    assert "closed file descriptors" not in flat(result)


@pytest.mark.parametrize("start", ["fork", "fresh"])
def test_errors_that_are_their_own_context_do_not_keep_a_process_from_ending(suite, start):
    # So it may be with the few errors that Python keeps for a lack of memory.
    suite.write(
        """
        import os
        pytestmark = pytest.mark.tf_threads(intra=1, inter=1)
        CALLED = os.path.abspath("called")

        def note(name):
            with open(CALLED, "a") as file:
                file.write(name)

        def fail():
            note("failing ")
            one, other = MemoryError("one"), MemoryError("other")
            one.__context__, other.__context__ = other, one
            raise one

        def test_it(request):
            request.config.add_cleanup(lambda: note("first "))
            request.config.add_cleanup(fail)
            request.config.add_cleanup(fail)
            request.config.add_cleanup(lambda: note("last "))

        def test_after():
            pass
        """
    )
    result = suite.run(f"--tf-threads-start={start}", "--tf-threads-timeout=30")
    result.assert_outcomes(failed=1, passed=1)
    told = flat(result)
    assert "MemoryError: one" in told
    assert "timed-out:" not in told
    # Before 8.4 pytest gives up its clean-ups where the second has failed.
    at_last = "first " if pytest.version_tuple >= (8, 4) else ""
    assert (suite.path / "called").read_text() == f"last failing failing {at_last}"


def test_pytest_that_breaks_down_for_want_of_memory_is_not_called_an_internal_error(suite):
    suite.write(
        """
        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_it():
            pass
        """,
        conftest="""
        import os

        def pytest_runtest_logfinish():
            if "PYTEST_TFTHREADS_PROCESS" not in os.environ:
                return
            try:
                raise MemoryError("of a plugin")
            except MemoryError as error:
                raise SystemError("error return without exception set")
        """,
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    told = flat(result)
    assert "out-of-memory: SystemError: error return without exception set" in told
    assert "The measuring process got no more memory, and pytest or a plugin broke down" in told
    assert "MemoryError: of a plugin" in str(result.stdout)


def test_a_shared_process_without_memory_to_look_at_it_takes_no_further_test(suite):
    suite.write(
        """
        pytestmark = pytest.mark.tf_threads(intra=1, inter=1)

        def lacks():
            raise MemoryError

        def test_lacks():
            from pytest_tfthreads.measuring import shared_session
            shared_session._limits = lacks

        def test_after():
            from pytest_tfthreads.measuring import shared_session
            assert shared_session._limits is not lacks
        """
    )
    suite.run().assert_outcomes(passed=2, warnings=0)


@pytest.mark.parametrize("where", ["setup", "call", "teardown"])
def test_a_shared_process_in_which_memory_was_lacking_takes_no_further_test(suite, where):
    suite.write(
        f"""
        import os
        pytestmark = pytest.mark.tf_threads(intra=1, inter=1)
        PIDS = []

        @pytest.fixture
        def lacking():
            lacks_at("setup")
            yield
            lacks_at("teardown")

        def lacks_at(where):
            if where == {where!r}:
                raise MemoryError

        def test_lacks(lacking):
            PIDS.append(os.getpid())
            lacks_at("call")

        def test_after():
            assert not PIDS
            PIDS.append(os.getpid())

        def test_at_last():
            assert PIDS == [os.getpid()]
        """
    )
    outcomes = suite.run().parseoutcomes()
    assert outcomes.get("failed", outcomes.get("errors")) == 1
    assert outcomes["passed"] == (3 if where == "teardown" else 2)
