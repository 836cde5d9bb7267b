"""Exceptions as data, and raised again where their classes may be missing."""

import builtins
import json
import subprocess
import sys

import pytest

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.engine.reply import RaisedError
from pytest_tfthreads.pytest_bridge.raised import describe, for_report, rebuilt


class OfTheUser(Exception):
    def __init__(self, code, *, reason):
        super().__init__(f"code {code}")
        self.code = code
        self.reason = reason
        self.unplain = object()


class WithOwnText(OSError):
    def __str__(self):
        return "it has words of its own"


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no")


class Frozen(LookupError):
    def __setattr__(self, name, value):
        raise AttributeError("it is frozen")


class Numbered(LookupError):
    def __init_subclass__(cls, *, code):
        cls.code = code


class NotFound(Numbered, code=404):
    pass


class Choosy(LookupError):
    def __new__(cls, *args):
        if cls is not Choosy:
            raise ValueError("nobody derives from it")
        return super().__new__(cls, *args)


def decoded(text):
    return [decode(RaisedError, one) for one in json.loads(text)]


def through_json(error):
    return rebuilt(decoded(json.dumps([encode(one) for one in describe(error)])))


def test_class_text_and_attributes_are_kept():
    error = through_json(OfTheUser(7, reason="rare"))
    assert isinstance(error, OfTheUser)
    assert type(error).__name__ == "OfTheUser"
    assert (str(error), error.code, error.reason) == ("code 7", 7, "rare")
    assert not hasattr(error, "unplain")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        OSError(5, "x"),
        WithOwnText(5, "x"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        AssertionError(),
        SystemExit(3),
        pytest.fail.Exception("x", pytrace=False),
        pytest.skip.Exception("x"),
        subprocess.CalledProcessError(1, ["x"]),
        ValueError(object),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_look_the_same(error):
    again = through_json(error)
    assert isinstance(again, type(error))
    assert type(again).__name__ == type(error).__name__
    assert str(again) == str(error)


def test_of_a_frozen_class_all_is_kept():
    error = Frozen("x")
    error.__dict__["code"] = 7
    error.__dict__["__notes__"] = ["a note"]
    try:
        raise error from KeyError("cause")
    except Frozen as raised_error:
        again = through_json(raised_error)
    assert isinstance(again, Frozen)
    assert (again.args, again.code, str(again)) == (("x",), 7, "x")
    assert isinstance(again.__cause__, KeyError)


@pytest.mark.parametrize("error", [NotFound("x"), Choosy("x")], ids=lambda one: type(one).__name__)
def test_a_class_from_which_nobody_derives_is_stood_for_by_its_base(error):
    again = through_json(error)
    assert isinstance(again, LookupError)
    assert (type(again).__name__, str(again)) == (type(error).__name__, "x")


def test_errno_is_kept():
    assert through_json(FileNotFoundError(2, "x")).errno == 2


def test_group_of_exceptions_becomes_an_exception_of_its_name():
    group = vars(builtins).get("ExceptionGroup")
    if group is None:
        pytest.skip("this Python has no exception groups")
    again = through_json(group("several", [ValueError("x")]))
    assert isinstance(again, Exception)
    assert (type(again).__name__, str(again)) == ("ExceptionGroup", "several (1 sub-exception)")


def test_unknown_class_is_stood_for_by_its_nearest_base():
    code = (
        "import json; from pytest_tfthreads.core.decode import encode\n"
        "from pytest_tfthreads.pytest_bridge.raised import describe\n"
        "class Elsewhere(LookupError): pass\n"
        "print(json.dumps([encode(one) for one in describe(Elsewhere('x'))]))"
    )
    error = rebuilt(decoded(subprocess.check_output([sys.executable, "-c", code])))
    assert isinstance(error, LookupError)
    assert (type(error).__name__, str(error)) == ("Elsewhere", "x")


def test_text_that_cannot_be_made_is_told():
    assert str(through_json(Unprintable())) == "<its text could not be made: RuntimeError>"


def raised(cause, *, suppressed=False):
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            if suppressed:
                raise ValueError("second") from None
            if cause:
                raise ValueError("second") from first
            raise ValueError("second")  # noqa: B904 - its context is what is looked at
    except ValueError as error:
        return error


@pytest.mark.parametrize("cause", [True, False])
def test_causes_are_kept(cause):
    error = through_json(raised(cause))
    assert isinstance(error.__cause__, KeyError)
    assert through_json(raised(cause, suppressed=True)).__cause__ is None


def test_causes_that_go_in_a_circle_end():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert str(through_json(one).__cause__) == "other"


def test_what_stands_for_a_report():
    def report(outcome, longrepr):
        return pytest.TestReport("x", ("x", 0, "x"), {}, outcome, longrepr, "call")

    failed = for_report(report("failed", "crashed: signal 11"))
    assert isinstance(failed, pytest.fail.Exception)
    assert str(failed) == "crashed: signal 11"
    skipped = for_report(report("skipped", ("x.py", 1, "Skipped: not today")))
    assert isinstance(skipped, pytest.skip.Exception)
    assert str(skipped) == "not today"
    assert for_report(report("passed", None)) is None
