"""A test at several variants of the code, as a command asks about them: all that was measured."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_tfthreads.core.abreast import AtPlace
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.threads import Configuration


@dataclass(frozen=True)
class AtVariant:
    """A test at one variant: its measurement, or the `problem` that it has there.

    `name` is what the user calls the variant, `commit` the full id that was checked out (None: the
    current tree's code), and `python` the version of the interpreter. `notes` are for the reader.
    """

    name: str
    title: str
    commit: str | None
    python: str
    measurement: Measurement | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, at: AtPlace) -> AtVariant:
        """What came of a place; of one with a problem nothing counts."""
        return cls(
            name=name,
            title=at.title,
            commit=at.commit,
            python=at.python,
            measurement=None if at.problem else at.measurement,
            problem=at.problem,
            notes=tuple(filter(None, [at.same_code, *at.notes])),
        )


@dataclass(frozen=True)
class MeasuredAt:
    """One configuration of one test at all variants, in the order in which they follow each other.

    Samples of different variants with the same `ring` took turns with each other.
    """

    nodeid: str
    group: str  # of all configurations of its test
    configuration: Configuration  # its own among them
    variants: tuple[AtVariant, ...]
