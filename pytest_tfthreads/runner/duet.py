"""A test side by side with its baseline's code: pairs of processes, until enough is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_tfthreads.core.gate.duet import INTERPRETERS
from pytest_tfthreads.core.gate.pairs import Duet, pair_of
from pytest_tfthreads.core.schedule import plan_rings
from pytest_tfthreads.runner.item_run import ItemRun
from pytest_tfthreads.runner.measurements import Results
from pytest_tfthreads.runner.own_code import why_unfit
from pytest_tfthreads.runner.rings import Rings

_ENDED_HERE = "the current side could not be measured again"


class Duets:
    """Runs tests side by side with their baseline."""

    def __init__(self, rings: Rings, results: Results) -> None:
        self._rings = rings
        self._results = results

    def run(
        self,
        now: ItemRun,
        then: ItemRun,
        looks: Sequence[int],
        seed: str,
        has_enough: Callable[[Duet], bool],
        goes_on_alone: bool = True,
    ) -> Duet:
        """Run both, a process of each in turns, until there are enough or the looks are over.

        `looks` are the numbers of pairs after which `has_enough` is asked. What fails on the
        baseline's side fails no test: the pairs until then tell what they can, if there was a look;
        else the current side is measured alone, in as many processes as ever; or, where it has been
        before (not `goes_on_alone`), no more.
        """
        duet = Duet(then.variant.title)
        most = max(looks[-1], now.processes if goes_on_alone else 1)
        for number, ring in enumerate(plan_rings([most] * 2, limit=2, shared=0, seed=seed)):
            both = [(now, then)[place] for place in ring]
            upcoming = next((look for look in looks if look > number), most)
            self._rings.expect((upcoming - number) * sum(one.goes_on for one in both), upcoming)
            going = [one for one in both if one.goes_on]
            # Alone, there is no other side that an interpreter's luck could be mistaken for; and a
            # fresh process has its own luck.
            deal = number % INTERPRETERS if len(going) > 1 else 0
            deals = [
                0 if one.runs and one.runs[-1].sent.start == "fresh" else deal for one in going
            ]
            self._rings.run(number, going, deals=deals)
            if not now.goes_on:
                return duet if duet.pairs or duet.problem else replace(duet, problem=_ENDED_HERE)
            if not duet.problem:
                before, duet = duet, self._so_far(now, then)
                if duet.problem and len(before.pairs) >= looks[0]:
                    return replace(before, ended=f"no more pairs could be had: {duet.problem}")
                then.goes_on = not duet.problem
            done = number + 1
            if duet.problem:
                is_over = not goes_on_alone or done >= now.processes
            else:
                is_over = done == looks[-1] or (done in looks and has_enough(duet))
            if is_over:
                break
        return duet

    def _so_far(self, now: ItemRun, then: ItemRun) -> Duet:
        title = then.variant.title
        here = now.runs[-1].reply.modules if now.runs else {}
        unfit = why_unfit(then, here)
        if unfit is not None:
            return Duet(title, problem=unfit.problem, is_mistake=unfit.is_mistake)
        last = then.runs[-1]
        sameness = then.variant.sameness(last.reply.modules)
        if sameness:
            return Duet(title, problem=sameness)
        try:
            pairs = [
                pair_of(mine, theirs)
                for mine, theirs in zip(now.samples, then.samples, strict=True)
            ]
        except ValueError as error:
            return Duet(title, problem=str(error))
        versions = [run.reply.runtime.get("tensorflow") for run in (now.runs[-1], last)]
        if versions[0] != versions[1]:
            title += f", TensorFlow {versions[1]} (here {versions[0]})"
        return Duet(title, tuple(pairs), self._results.measurement(then))
