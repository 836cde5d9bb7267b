"""A KeyboardInterrupt of a test, raised again in the pytest process as if it came from the test.

pytest names the line that the last entry of a traceback points at, and with `--full-trace` shows
all of its entries. So the entries of the measuring process are made again here, from frames that do
nothing but raise.
"""

from __future__ import annotations

import os
import types
from collections.abc import Sequence

import pytest

from pytest_tfthreads.engine.reply import CodePlace


def places_of(
    excinfo: pytest.ExceptionInfo[BaseException], path: os.PathLike[str] | None
) -> tuple[CodePlace, ...]:
    """Where it was raised, outermost first: from the first line of the test's file on.

    `path`: of this file. All places where none of them is in it, or where it is not known.
    """
    return tuple(
        CodePlace(str(entry.path), entry.lineno + 1, entry.name, entry.frame.code.firstlineno + 1)
        for entry in excinfo.traceback.cut(path=path)
    )


def interrupt(message: str, places: Sequence[CodePlace]) -> KeyboardInterrupt:
    """A KeyboardInterrupt with this text, whose traceback has these places."""
    traceback = None
    for place in reversed(places):
        traceback = types.TracebackType(traceback, _frame_at(place), -1, max(1, place.lineno))
    return KeyboardInterrupt(*[message] * bool(message)).with_traceback(traceback)


class _ReachedError(Exception):
    """The frame is there."""


def _frame_at(place: CodePlace) -> types.FrameType:
    code = compile("raise reached", place.filename, "exec").replace(
        co_name=place.name, co_firstlineno=max(1, place.function_lineno)
    )
    try:
        types.FunctionType(code, {"reached": _ReachedError})()
    except _ReachedError as error:
        traceback = error.__traceback__
    assert traceback is not None
    assert traceback.tb_next is not None
    return traceback.tb_next.tb_frame
