"""Writes a configuration as what a deployment reads.

Texts of a saved run, which anybody may have written, stand in comments only, each in one line.
What a shell, systemd or Kubernetes acts on is made of numbers and of names of our own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from pytest_tfthreads.core.format import one_line
from pytest_tfthreads.core.sweep.deployment import Deployment

Lines = list[str]


def render(deployment: Deployment, advice: Sequence[str], warnings: Sequence[str], as_: str) -> str:
    """The text of a file; `as_` is one of `FORMATS`. `advice` says why this configuration."""
    if as_ == "json":
        found = {**deployment.to_json(), "measured_on": deployment.host.title}
        found |= {"advice": [*advice], "warnings": [*warnings]}
        return json.dumps(found, indent=2, allow_nan=False)
    remarks = [
        f"{deployment.id}, recommended for {deployment.test}",
        *advice,
        f"measured on {deployment.host.title}",
        *(f"WARNING: {one}" for one in warnings),
    ]
    if deployment.terms:
        remarks.append(
            f"measured with {deployment.terms}: set these yourself, they are not set here"
        )
    if as_ == "env" and (count := len(deployment.instances)) > 1:
        cpus = " and ".join(_cpus(one, ",") for one in deployment.instances)
        remarks.append(
            f"measured as {count} processes at once, each with these settings, on CPUs {cpus}: "
            "start as many (the format shell does)"
        )
    if deployment.unset:
        remarks.append(f"not set, because TensorFlow chooses the number: {_all(deployment.unset)}")
    if deployment.data_threads:
        remarks.append("no variable sets the pool of a tf.data pipeline; write into its code:")
    remarks += [line.removeprefix("# ") for line in deployment.code]
    if not deployment.sets_pools:
        remarks.append("TensorFlow's pools are left alone: they do not reach a tf.data pipeline")
    elif deployment.data_threads is not None and deployment.environment:
        remarks.append(
            f"{_all(deployment.environment)}: as the pipeline was measured; a model in the same "
            "process needs numbers of its own"
        )
    top = ["#!/bin/sh"] if as_ == "shell" else []
    return "\n".join([*top, *map(_comment, remarks), *_WRITERS[as_](deployment)])


def _shell(deployment: Deployment) -> Lines:
    lines = [
        "# usage: sh THIS-FILE COMMAND [ARGUMENT ...]",
        '[ "$#" -gt 0 ] || { echo "usage: sh $0 COMMAND [ARGUMENT ...]" >&2; exit 2; }',
        *(f"unset {name}" for name in deployment.unset),
        *(f"export {line}" for line in _env(deployment)),
    ]
    if len(deployment.instances) == 1:
        return [*lines, f'exec taskset -c {_cpus(deployment.instances[0], ",")} "$@"']
    return [
        *lines,
        "pids=",
        "# A shell lets what runs in the background ignore Ctrl-C, so it is handed on.",
        "trap 'kill $pids 2>/dev/null' INT TERM",
        *(f'taskset -c {_cpus(cpus, ",")} "$@" & pids="$pids $!"' for cpus in deployment.instances),
        "status=0",
        "for pid in $pids; do",
        "    # A signal ends the waiting, and not yet the process.",
        '    while wait "$pid"; code=$?; kill -0 "$pid" 2>/dev/null; do :; done',
        '    [ "$code" -eq 0 ] || status=$code',
        "done",
        'exit "$status"',
    ]


def _env(deployment: Deployment) -> Lines:
    return [f"{name}={size}" for name, size in deployment.environment.items()]


def _systemd(deployment: Deployment) -> Lines:
    lines = []
    for number, cpus in enumerate(deployment.instances, start=1):
        if len(deployment.instances) > 1:
            lines.append(f"# a file of its own: SERVICE@{number}.service.d/tf-threads.conf")
        lines += [
            "[Service]",
            *(f"UnsetEnvironment={name}" for name in deployment.unset),
            *(f"Environment={line}" for line in _env(deployment)),
            "# An empty value takes back what the unit has.",
            "CPUAffinity=",
            f"CPUAffinity={_cpus(cpus, ' ')}",
        ]
    return lines


def _kubernetes(deployment: Deployment) -> Lines:
    cpus = deployment.cpus_an_instance
    lines = [
        "# A patch of a Deployment; write the name of your container for tensorflow.",
        "# For CPUs that nobody else uses, give memory equal requests and limits too, on a node",
        "# whose kubelet has --cpu-manager-policy=static.",
        "spec:",
    ]
    if len(deployment.instances) > 1:
        lines.append(f"  replicas: {len(deployment.instances)}")
    lines += ["  template:", "    spec:", "      containers:", "      - name: tensorflow"]
    if deployment.environment:
        lines.append("        env:")
    for name, size in deployment.environment.items():
        lines += [f"        - name: {name}", f'          value: "{size}"']
    return [
        *lines,
        "        resources:",
        "          requests:",
        f'            cpu: "{cpus}"',
        "          limits:",
        f'            cpu: "{cpus}"',
    ]


_WRITERS: dict[str, Callable[[Deployment], Lines]] = {
    "shell": _shell,
    "env": _env,
    "systemd": _systemd,
    "kubernetes": _kubernetes,
}
FORMATS = (*_WRITERS, "json")


def _comment(text: str) -> str:
    """A backslash at the end would make the next line a part of the comment in some readers."""
    line = f"# {one_line(text)}"
    return f"{line} ." if line.endswith("\\") else line


def _cpus(cpus: Iterable[int], between: str) -> str:
    return between.join(map(str, cpus))


def _all(names: Iterable[str]) -> str:
    return ", ".join(names)
