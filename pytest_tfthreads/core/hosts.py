"""Where a measurement was made: the host and its environment, as results name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_tfthreads.core.format import printable
from pytest_tfthreads.core.measurement import Measurement

_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Host:
    """A host as a process may use it, and the environment on it.

    `quota` is in CPUs; `None` there and elsewhere: there is none, or nothing is known.
    """

    name: str | None
    cpu: str | None
    physical: int | None
    logical: int | None
    quota: float | None
    python: str | None
    tensorflow: str | None

    @classmethod
    def of(cls, measurement: Measurement) -> Host:
        machine = measurement.machine
        return cls(
            name=machine.get("host"),
            cpu=machine.get("cpu"),
            physical=machine.get("physical"),
            logical=machine.get("logical"),
            quota=machine.get("quota"),
            python=machine.get("python"),
            tensorflow=machine.get("tensorflow"),
        )

    @property
    def title(self) -> str:
        """One line for people. Facts of other hosts are in it: nothing acts on a terminal."""
        quota = "" if self.quota is None else f", quota {self.quota:g}"
        text = (
            f"{self.name or 'a host'}: {self.cpu}, {_counted(self.logical, 'CPU')} of "
            f"{_counted(self.physical, 'core')}{quota}, Python {self.python}, TensorFlow "
            f"{self.tensorflow}"
        )
        return printable(text)


def by_host(
    things: Iterable[_Thing], measurement_of: Callable[[_Thing], Measurement]
) -> dict[Host, list[_Thing]]:
    """Things that have a measurement by where it was made, all in their order."""
    groups: dict[Host, list[_Thing]] = {}
    for thing in things:
        groups.setdefault(Host.of(measurement_of(thing)), []).append(thing)
    return groups


def _counted(number: Any, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
