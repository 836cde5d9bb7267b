"""Methods of unittest.TestCase: an item for each configuration, which pytest itself cannot make.

pytest parametrises functions and methods of plain classes. For those of `unittest.TestCase` (and so
of `tf.test.TestCase` and of absl's parameterized tests) it asks no plugin, so we take the items
that it has collected and put one for each configuration in their place. They are named, found,
selected and reported as parametrised functions are.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from _pytest.python import Metafunc
from _pytest.unittest import TestCaseFunction

from pytest_tfthreads.core.threads import Case, ConfigError, ThreadConfig
from pytest_tfthreads.names import MARKER
from pytest_tfthreads.pytest_bridge import collection

_MAKES_INSTANCES = hasattr(TestCaseFunction, "_getinstance")  # since pytest 8.2


class ConfiguredMethod(TestCaseFunction):
    """A method under one configuration; to the TestCase it has the name that its author gave it."""

    parent: Any

    def _getinstance(self) -> Any:
        return self.parent.obj(self.originalname)

    def setup(self) -> None:
        if _MAKES_INSTANCES:
            super().setup()
            return
        self._explicit_tearDown = None
        self._testcase: Any = self.parent.obj(self.originalname)
        self._obj = getattr(self._testcase, self.originalname)
        pytest.Function.setup(self)

    def runtest(self) -> None:
        # pytest replaces the method of this name by the one that it runs (--trace wraps it).
        with self._named_as_the_method():
            super().runtest()

    @contextlib.contextmanager
    def _named_as_the_method(self) -> Iterator[None]:
        own, self.name = self.name, self.originalname
        try:
            yield
        finally:
            self.name = own


def configured(
    items: Sequence[Any], override: Sequence[ThreadConfig]
) -> Iterator[pytest.Item | pytest.Collector]:
    """What a class has collected, with one item for each configuration of a marked method.

    Items with a mistake in their markers are left alone: `collection.assign_case` tells of it.
    """
    for item in items:
        cases: tuple[Case, ...] = ()
        if type(item) is TestCaseFunction:  # others run in ways that we do not know
            with contextlib.suppress(ConfigError):
                cases = collection.cases_of(item, override)
        if cases:
            yield from _items(item, cases)
        else:
            yield item


def lost_marker(items: Sequence[Any]) -> str:
    """What to say of a marker that is above a method and does not mark it; empty: there is none.

    A marker takes an object that is no function for one more argument: the method then is the
    marker, which can be called, and passes. Or the marker marks an object that its class replaces
    by methods, as absl's `@parameterized.parameters` does: then only the source tells of it.
    """
    for item in items:
        name = getattr(item, "originalname", None)
        found = getattr(getattr(item.parent, "obj", None), name, None) if name else None
        if _is_marker(found) or _bears_fewer_than_written(item, found):
            return (
                f"{item.nodeid}: @pytest.mark.{MARKER} stands above a decorator that does not keep "
                "markers, such as absl's @parameterized.parameters or @tf.function, so the test "
                "would run without it, or not at all. Put the marker directly above the def of the "
                "method, below that decorator, or above the class"
            )
    return ""


def _is_marker(found: object) -> bool:
    """Whether it is our marker, or another one above it."""
    if not isinstance(found, pytest.MarkDecorator):
        return False
    return found.name == MARKER or any(map(_is_marker, found.args))


def _bears_fewer_than_written(item: pytest.Item, method: object) -> bool:
    """Whether there are more of our markers in the source of a decorated method than on it."""
    if not hasattr(method, "__wrapped__"):
        return False
    function = inspect.unwrap(method)  # type: ignore[arg-type]
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # made by a program, or changed since
        return False
    decorators = getattr(tree.body[0], "decorator_list", []) if tree.body else []
    written = sum(_names_marker(decorator, function) for decorator in decorators)
    return written > sum(mark.name == MARKER for mark in item.own_markers)


def _names_marker(decorator: ast.expr, function: object) -> bool:
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(named, ast.Name):
        return _is_marker(getattr(function, "__globals__", {}).get(named.id))
    return isinstance(named, ast.Attribute) and named.attr == MARKER


def _items(item: TestCaseFunction, cases: Sequence[Case]) -> Iterator[pytest.Item]:
    fixtures = item._fixtureinfo
    module = item.getparent(pytest.Module)
    metafunc = Metafunc(
        item,  # type: ignore[arg-type]  # it takes a definition, of which it wants no more
        fixtures,
        item.config,
        cls=item.cls,
        module=None if module is None else module.obj,
        _ispytest=True,
    )
    collection.parametrize_with(metafunc, cases)
    for callspec in metafunc._calls:
        yield ConfiguredMethod.from_parent(
            item.parent,
            name=f"{item.name}[{callspec.id}]",
            callspec=callspec,
            fixtureinfo=fixtures,
            keywords={callspec.id: True},
            originalname=item.name,
        )
