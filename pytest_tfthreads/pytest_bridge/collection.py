"""From markers to items: which cases a test has, and which one an item is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import pytest

from pytest_tfthreads.core.threads import Case, ConfigError, ThreadConfig, parse_marker, select
from pytest_tfthreads.names import CASE_FIXTURE, MARKER

_CASE = pytest.StashKey[Case]()
_MISTAKE = pytest.StashKey[str]()
_NODEID = pytest.StashKey[str]()
_READ = pytest.StashKey[dict[int, tuple[pytest.Mark, tuple[Case, ...]]]]()
_MARKED_IDS = pytest.StashKey[set[str]]()


def parametrize(metafunc: pytest.Metafunc, override: Sequence[ThreadConfig]) -> None:
    """One test for each configuration; a collection error where a marker cannot be used."""
    cases: tuple[Case, ...] = ()
    mistake = ""
    try:
        cases = cases_of(metafunc.definition, override)
    except ConfigError as error:
        mistake = _blame(metafunc.definition, error)
    if mistake:  # not while the error is handled: pytest would show that one first
        pytest.fail(mistake, pytrace=False)
    if cases:
        parametrize_with(metafunc, cases)


def parametrize_with(metafunc: pytest.Metafunc, cases: Sequence[Case]) -> None:
    metafunc.fixturenames.append(CASE_FIXTURE)
    # Scope "function", or pytest would reorder the tests to group them by configuration.
    metafunc.parametrize(
        CASE_FIXTURE, cases, ids=[case.id for case in cases], indirect=True, scope="function"
    )


def assign_case(item: pytest.Item, override: Sequence[ThreadConfig]) -> None:
    """Note a marked item's case, or what forbids that it has one.

    It may be a doctest, or another item that cannot be parametrised.
    """
    item.stash.setdefault(_NODEID, item.nodeid)
    try:
        case = _case(item, override)
    except ConfigError as error:
        item.stash[_MISTAKE] = f"{item.nodeid}: @pytest.mark.{MARKER}: {error}"
    else:
        if case is not None:
            item.stash[_CASE] = case
            item.config.stash.setdefault(_MARKED_IDS, set()).add(nodeid_of(item))


def cases_of(node: pytest.Item, override: Sequence[ThreadConfig]) -> tuple[Case, ...]:
    """All that a test's markers and the override ask for. Raises `ConfigError`."""
    return select(_levels(node), override)


def is_assigned(item: pytest.Item) -> bool:
    """Whether `assign_case` was there."""
    return _CASE in item.stash or _MISTAKE in item.stash


def marked_ids(config: pytest.Config) -> Collection[str]:
    """The ids of all marked items that were collected, deselected ones too."""
    return config.stash.get(_MARKED_IDS, set())


def mistake_of(item: pytest.Item) -> str | None:
    """Why this marked item cannot be run."""
    return item.stash.get(_MISTAKE, None)


def is_marked(item: pytest.Item) -> bool:
    return next(_marks(item), None) is not None


def _marks(node: pytest.Item) -> Iterator[tuple[Any, pytest.Mark]]:
    """The markers that hold for an item, closest first, with the nodes that bear them.

    The mark of a module or a class is meant for its test functions; what else is collected there
    (a doctest, items of other plugins) has to bear one itself.
    """
    for at, mark in node.iter_markers_with_node(MARKER):
        if at is node or isinstance(node, pytest.Function):
            yield at, mark


def case_of(item: pytest.Item) -> Case | None:
    """The case that this item is to run under; None if it is not marked."""
    return item.stash.get(_CASE, None)


def nodeid_of(item: pytest.Item) -> str:
    """The item's id as it was collected; pytest-xdist adds the name of an `xdist_group` to it."""
    return item.stash.get(_NODEID, item.nodeid)


def own_part_of(item: pytest.Item) -> str:
    """By which pytest is asked for an item in its file: its id's part from the first `::`.

    It is without parameters, and empty (for all of the file) where pytest would misread it.
    """
    if not isinstance(item, pytest.Function):  # named as its plugin likes
        return ""
    chain = item.listchain()
    file = next(node for node in chain if isinstance(node, pytest.File))
    names = [node.name for node in chain[chain.index(file) + 1 : -1]]
    names.append(item.originalname)
    if any("[" in name or "::" in name for name in names):
        return ""
    return "".join(f"::{name}" for name in names)


def group_of(item: pytest.Item) -> str:
    """What all configurations of one test have in common: its node id without the case's own."""
    callspec = getattr(item, "callspec", None)
    case = case_of(item)
    if callspec is None or case is None or CASE_FIXTURE not in callspec.params:
        return nodeid_of(item)
    # By its place, for another parameter may look like it.
    own, others = case.id, callspec.id
    if others == own:
        others = ""
    elif others.endswith(f"-{own}"):
        others = others.removesuffix(f"-{own}")
    elif others.startswith(f"{own}-"):
        others = others.removeprefix(f"{own}-")
    else:
        others = others.replace(f"-{own}-", "-", 1)
    return nodeid_of(item).removesuffix(f"[{callspec.id}]") + (f"[{others}]" if others else "")


class Groups:
    """The items of a session by test: all configurations of a test are one group."""

    def __init__(self, items: Iterable[pytest.Item]) -> None:
        self._members: dict[str, list[pytest.Item]] = {}
        for item in items:
            if case_of(item) is not None:
                self._members.setdefault(group_of(item), []).append(item)

    def from_here(self, item: pytest.Item) -> list[pytest.Item]:
        """The item and those of its group that come after it."""
        members = self._members.get(group_of(item), [])
        return members[members.index(item) :] if item in members else [item]


def parameters_of(item: pytest.Item) -> dict[str, object]:
    """The item's own parameters, without our fixture among them."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return {}
    return {name: value for name, value in callspec.params.items() if name != CASE_FIXTURE}


def _case(item: pytest.Item, override: Sequence[ThreadConfig]) -> Case | None:
    callspec = getattr(item, "callspec", None)
    if callspec is not None and any(mark.name == MARKER for mark in callspec.marks):
        raise ConfigError(
            "pytest.param(..., marks=...)",
            "comes too late to make configurations; put the marker on the function, with "
            "configs=[...]",
        )
    if callspec is not None and CASE_FIXTURE in callspec.params:
        case: Case = callspec.params[CASE_FIXTURE]
        return case
    if not is_marked(item):
        return None
    cases = cases_of(item, override)
    if len(cases) > 1:
        ids = ", ".join(case.id for case in cases)
        if isinstance(item, pytest.Function):
            raise ConfigError(
                "configurations",
                f"this test was marked (item.add_marker) after pytest had made its parameters, and "
                f"it asks for several ({ids}); give it one, or mark it in its file, or its class "
                "or module (pytestmark)",
            )
        raise ConfigError(
            "configurations",
            f"pytest cannot parametrise this kind of test (a doctest, a test of another plugin), "
            f"and it asks for several ({ids}); give it one, or write it as a function",
        )
    return cases[0]


def _levels(node: pytest.Item) -> Iterator[list[Case]]:
    """The cases of each level's markers, closest level (function, class, module) first."""
    levels: dict[str, list[Case]] = {}
    for at, mark in _marks(node):
        levels.setdefault(at.nodeid, []).extend(_cases_of(mark, node.config))
    yield from levels.values()


def _cases_of(mark: pytest.Mark, config: pytest.Config) -> tuple[Case, ...]:
    """What a marker asks for; it is read once, for a generator can be read only once."""
    read = config.stash.setdefault(_READ, {})
    if id(mark) not in read:  # a mark that holds a list has no hash
        read[id(mark)] = (mark, parse_marker(mark.args, mark.kwargs))
    return read[id(mark)][1]


def _blame(node: pytest.Item, error: ConfigError) -> str:
    return f"{node.nodeid}: @pytest.mark.{MARKER}: {error}"
