"""Whether processes of a variant have measured its own code, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_tfthreads.runner.item_run import ItemRun


@dataclass(frozen=True)
class Unfit:
    """Why what was run at a variant is no measurement of it.

    `is_mistake`: the problem is how the project is set up, and would be every test's.
    """

    problem: str
    is_mistake: bool = False


def why_unfit(there: ItemRun, here: Mapping[str, str]) -> Unfit | None:
    """What is wrong with the processes of a variant so far; None where nothing is.

    `here` are the files of the modules that the test imports in the current tree, by name; empty
    where it is not run there, and then less can be told.
    """
    variant = there.variant
    if there.problem:
        wrong_path = variant.wrong_path(there.problem, here)
        if wrong_path:
            return Unfit(wrong_path, is_mistake=True)
        more = variant.missing_file(there.problem)
        return Unfit(f"the test does not run at {variant.title}: {there.problem}{more}")
    reply = there.runs[-1].reply
    if reply.sample is None:
        return Unfit(f"the test measures nothing at {variant.title}")
    mistake = variant.mistake(reply.modules, here)
    return Unfit(mistake, is_mistake=True) if mistake else None
