"""syrupy's snapshots of marked tests: used and written there, counted and kept here.

syrupy writes a run's snapshots at its end, and deletes or complains about those that nobody used.
Measuring processes therefore write and delete nothing (several of them would write one file at
once): what they asserted and would have written comes to the session that collected the test.
Touches private parts of syrupy, in this file only.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

_STATE = "syrupy"


class SentSnapshots:
    """The hooks in a measuring process."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        snapshots = _session_of(session.config)
        snapshots.flush_snapshot_write_queue = lambda: None
        snapshots._flush_snapshot_write_queue_key = lambda key: None
        snapshots.remove_unused_snapshots = lambda *args, **kwargs: None
        session.config.option.disable_unused_snapshots = True

    def pytest_tfthreads_send_state(self, config: pytest.Config) -> Mapping[str, Any]:
        snapshots = _session_of(config)
        sent = {
            _STATE: {
                "assertions": [_told(assertion) for assertion in snapshots._assertions],
                "writes": [
                    {"extension": _names(extension), "index": index, **_encoded(data)}
                    for (extension, _), writes in snapshots._queued_snapshot_writes.items()
                    for (_, index), data in writes.items()
                ],
            }
        }
        snapshots._assertions.clear()  # each test sends its own, where several share the process
        snapshots._queued_snapshot_writes.clear()
        return sent


class ReceivedSnapshots:
    """The hooks in the process that collected the test."""

    def pytest_tfthreads_receive_state(
        self, config: pytest.Config, item: pytest.Item, state: Mapping[str, Any]
    ) -> None:
        if _STATE not in state:
            return
        from syrupy.location import PyTestLocation

        snapshots = _session_of(config)
        location = PyTestLocation(item)
        for one in state[_STATE]["assertions"]:
            results = [
                SimpleNamespace(**result, final_data=None, test_location=location)
                for result in one["results"]
            ]
            snapshots.register_request(
                SimpleNamespace(  # all that syrupy's report asks of an assertion
                    session=snapshots,
                    extension=_class_of(one["extension"])(),
                    test_location=location,
                    executions=dict(enumerate(results)),
                )
            )
        for one in state[_STATE]["writes"]:
            snapshots.queue_snapshot_write(
                extension=_class_of(one["extension"])(),
                test_location=location,
                data=_decoded(one),
                index=one["index"],
            )


def _session_of(config: pytest.Config) -> Any:
    return config._syrupy  # type: ignore[attr-defined]


def _told(assertion: Any) -> dict[str, Any]:
    return {
        "extension": _names(type(assertion.extension)),
        "results": [
            {
                "snapshot_location": execution.snapshot_location,
                "snapshot_name": execution.snapshot_name,
                "created": execution.created,
                "updated": execution.updated,
                "success": execution.success,
            }
            for execution in assertion.executions.values()
        ],
    }


def _encoded(data: str | bytes) -> dict[str, Any]:
    if isinstance(data, str):
        return {"data": data, "is_text": True}
    return {"data": base64.b64encode(data).decode("ascii"), "is_text": False}


def _decoded(told: Mapping[str, Any]) -> str | bytes:
    data: str = told["data"]
    return data if told["is_text"] else base64.b64decode(data)


def _names(extension: type) -> list[list[str]]:
    return [[one.__module__, one.__qualname__] for one in extension.__mro__]


def _class_of(names: Sequence[Sequence[str]]) -> Any:
    """The extension, or, where this process does not have it, its nearest base that is here."""
    from syrupy.extensions import DEFAULT_EXTENSION

    return next(_classes_here(names), DEFAULT_EXTENSION)


def _classes_here(names: Sequence[Sequence[str]]) -> Iterator[type]:
    for module, qualname in names:
        if module.startswith("syrupy."):
            __import__(module)
        found: object = sys.modules.get(module)
        for part in qualname.split("."):
            found = getattr(found, "__dict__", {}).get(part)
        if isinstance(found, type) and not getattr(found, "__abstractmethods__", ()):
            yield found
