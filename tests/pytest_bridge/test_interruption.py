"""Where a test raised KeyboardInterrupt, told to another process."""

import json
import traceback

import pytest

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.engine.reply import CodePlace
from pytest_tfthreads.pytest_bridge.interruption import interrupt, places_of


def deeper():
    raise KeyboardInterrupt


def places(path):
    with pytest.raises(KeyboardInterrupt) as excinfo:
        json.loads("1", object_hook=None, parse_int=lambda _: deeper())
    told = json.loads(json.dumps([encode(one) for one in places_of(excinfo, path)]))
    return tuple(decode(CodePlace, one) for one in told)


def test_places_from_the_file_on():
    path = places_of.__globals__["__file__"]  # no place is in this file
    assert places(__file__)[0].name == "places"
    assert [one.name for one in places(json.decoder.__file__)][-2:] == ["<lambda>", "deeper"]
    assert places(path) == places(None) == places(__file__)


def test_traceback_has_the_places():
    first, *_, last = told = places(__file__)
    error = interrupt("", told)
    assert error.args == ()
    shown = traceback.extract_tb(error.__traceback__)
    assert [(one.filename, one.lineno, one.name) for one in shown] == [
        (one.filename, one.lineno, one.name) for one in told
    ]
    assert last.name == "deeper"
    assert last.lineno == last.function_lineno + 1
    assert first.filename == __file__


def test_no_places_and_a_line_that_is_none():
    error = interrupt("enough", ())
    assert (error.args, error.__traceback__) == (("enough",), None)
    odd = interrupt("enough", [CodePlace("<string>", 0, "", 0)])
    assert traceback.extract_tb(odd.__traceback__)[0].lineno == 1
