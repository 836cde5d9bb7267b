"""What is deployed of a recommendation: threads, and the CPUs of each instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_tfthreads.core.hosts import Host
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.sweep.pipelines import pool_lines
from pytest_tfthreads.core.sweep.recommendation import Recommendation

SCHEMA = 1


@dataclass(frozen=True)
class Deployment:
    """One configuration as it is launched.

    `pools` are the sizes to set (0: none is set, the number is TensorFlow's choice); without
    `sets_pools` they are those of the measurement, and neither is to be set. `instances` has the
    CPUs of each process. `terms` is what the id says beside the threads. `data_threads` is the size
    of a tf.data pipeline's private pool, as in a measurement.
    """

    test: str
    id: str
    pools: Pools
    instances: tuple[tuple[int, ...], ...]
    terms: str
    host: Host
    data_threads: int | None = None
    sets_pools: bool = True

    def __post_init__(self) -> None:
        if not self.instances or not all(self.instances):
            raise ValueError("each instance needs a CPU")

    @property
    def environment(self) -> dict[str, int]:
        """Variables that TensorFlow reads when a process starts."""
        return {name: size for name, size in self._sizes() if size}

    @property
    def unset(self) -> tuple[str, ...]:
        """The same variables where none may be set, for TensorFlow chose when it was measured."""
        return tuple(name for name, size in self._sizes() if not size)

    @property
    def code(self) -> tuple[str, ...]:
        """Lines of Python for what no variable sets: the pool of a tf.data pipeline."""
        return pool_lines(self.data_threads)

    @property
    def cpus_an_instance(self) -> int:
        """The most CPUs that one of the instances has."""
        return max(map(len, self.instances))

    def _sizes(self) -> list[tuple[str, int]]:
        if not self.sets_pools:
            return []
        return [
            ("TF_NUM_INTRAOP_THREADS", self.pools.intra),
            ("TF_NUM_INTEROP_THREADS", self.pools.inter),
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "test": self.test,
            "configuration": self.id,
            "intra": self.pools.intra,
            "inter": self.pools.inter,
            **(
                {}
                if self.data_threads is None
                else {"data_threads": self.data_threads, "code": list(self.code)}
            ),
            "environment": {name: str(size) for name, size in self.environment.items()},
            "unset": list(self.unset),
            "instances": [{"cpus": list(cpus)} for cpus in self.instances],
            "terms": self.terms,
        }


def deployment_of(recommendation: Recommendation) -> Deployment:
    """The recommended configuration, on the CPUs that were granted when it was measured."""
    candidate = recommendation.best.candidate
    measurement = candidate.measurement
    return Deployment(
        test=recommendation.test,
        id=candidate.id,
        pools=measurement.requested,
        instances=measurement.instance_cpus or (measurement.cpus,),
        terms=candidate.terms.lstrip("-"),
        host=Host.of(measurement),
        data_threads=measurement.data_threads,
        sets_pools=not recommendation.is_pool_swept,
    )


def differences(
    deployment: Deployment, machine: Mapping[str, Any], allowed: tuple[int, ...]
) -> list[str]:
    """Sentences on how this machine differs from the one that the configuration was found on.

    `machine` holds the facts of this one under the names that measurements have them;
    `allowed` are the CPUs that a process may use here.
    """
    host = deployment.host
    facts = (
        ("CPU model", host.cpu, machine.get("cpu")),
        ("number of cores", host.physical, machine.get("physical")),
        ("number of CPUs", host.logical, machine.get("logical")),
        ("CPU quota", host.quota, machine.get("quota")),
    )
    sentences = [
        f"this machine differs from the one that was measured: {what} {_shown(here)} here, "
        f"{_shown(there)} there; measure again on this machine"
        for what, there, here in facts
        if there != here
    ]
    granted = {cpu for cpus in deployment.instances for cpu in cpus}
    if missing := sorted(granted - {*allowed}):
        numbers = ",".join(map(str, missing))
        sentences.append(f"a process may not use CPU {numbers} here; pin to others")
    return sentences


def _shown(fact: object) -> str:
    return "none" if fact is None else str(fact)
