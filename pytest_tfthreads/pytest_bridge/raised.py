"""What a test raised in a measuring process, sent as data and raised again in the pytest process.

Plugins that run failed tests again look at the exception: its class, its text, its attributes and
its causes. Nothing is pickled, and no module is imported for it: a class that this process does not
have is stood for by its nearest base class that this process has, under the same name.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pytest_tfthreads.engine.reply import RaisedError

_MOST_CAUSES = 20
# pytest's own are not where they say.
_OF_PYTEST: dict[tuple[str, str], type[BaseException]] = {
    (one.__module__, one.__qualname__): one
    for one in (pytest.fail.Exception, pytest.skip.Exception, pytest.xfail.Exception)
}

Described = Sequence[RaisedError]
"""An exception and its causes, outermost first, in plain data."""


def describe(error: BaseException) -> tuple[RaisedError, ...]:
    """The exception and what caused it."""
    return tuple(
        RaisedError(
            classes=tuple((str(one.__module__), one.__qualname__) for one in type(causing).__mro__),
            text=_text(causing),
            args=None if _plain(list(causing.args)) is None else causing.args,
            attributes={name: value for name, value in vars(causing).items() if _is_plain(value)},
        )
        for causing in _with_causes(error)
    )


def rebuilt(described: Described) -> BaseException:
    """An exception that looks like the described one: class, text, attributes, causes."""
    error = _rebuilt_alone(described[0])
    if len(described) > 1:
        object.__setattr__(error, "__cause__", rebuilt(described[1:]))
    return error


def for_report(report: pytest.TestReport) -> BaseException | None:
    """What stands for a phase that did not pass although the test itself raised nothing there."""
    if report.failed:
        return pytest.fail.Exception(report.longreprtext, pytrace=False)
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        return pytest.skip.Exception(reason.removeprefix("Skipped: "))
    return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    causing: BaseException | None = error
    while causing is not None and id(causing) not in seen and len(seen) < _MOST_CAUSES:
        seen.add(id(causing))
        yield causing
        if causing.__cause__ is None and not causing.__suppress_context__:
            causing = causing.__context__
        else:
            causing = causing.__cause__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as mistake:  # the class is the user's, and may raise anything
        return f"<its text could not be made: {type(mistake).__name__}>"


def _rebuilt_alone(told: RaisedError) -> BaseException:
    text = told.text
    args = (text,) if told.args is None else told.args
    module, qualname = told.classes[0]
    for base in _classes_here(told.classes):
        own = {"__module__": module, "__qualname__": qualname, "__str__": lambda self: text}
        try:
            stand_in = type(qualname.rpartition(".")[2], (base,), own)
            error: object = stand_in.__new__(stand_in, *args)
        # The class is the user's: it may want other arguments, or let nobody derive from it. A base
        # class may not.
        except Exception:
            error = None
        if isinstance(error, BaseException):
            object.__setattr__(error, "args", args)  # its own may refuse, as frozen classes do
            error.__dict__.update(told.attributes)
            return error
    return Exception(text)


def _classes_here(names: Sequence[Sequence[str]]) -> Iterator[type[BaseException]]:
    """Of the class and its bases, nearest first, those that are imported here."""
    for module, qualname in names:
        if (module, qualname) in _OF_PYTEST:
            yield _OF_PYTEST[module, qualname]
            continue
        found: object = sys.modules.get(module)
        for part in qualname.split("."):
            found = getattr(found, "__dict__", {}).get(part)
        if isinstance(found, type) and issubclass(found, BaseException):
            yield found


def _is_plain(value: object) -> bool:
    return value is None or _plain(value) is not None


def _plain(value: Any) -> Any:
    """The same value if JSON keeps it as it is, else None."""
    try:
        return value if json.loads(json.dumps(value)) == value else None
    except (TypeError, ValueError, RecursionError):
        return None
