"""Configurations: what a marker or `--tf-threads` asks for, and what it means here.

A configuration has three axes: threads of TensorFlow's two pools, and instances, which are
processes that run the configuration at the same time.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TypeGuard, TypeVar

from pytest_tfthreads.core.format import quoted
from pytest_tfthreads.core.tolerance import parse_tolerance

# TensorFlow 2.21 starts 5,000 threads a pool, aborts at 40,000 and crashes at 2**31 - 1;
# no CPU has more hardware threads than this bound.
MAX_THREADS = 4096
MAX_CONFIGS = 1000  # far more than anybody waits for; a list may have no end
MAX_PROCESSES = 10_000  # the same
MAX_INSTANCES = MAX_THREADS  # each has a thread at least

_Count = TypeVar("_Count")
_MOST_DIGITS = 9
_SYMBOL = re.compile(
    r"(?:(?P<times>[1-9]\d{0,8})\*)?(?P<name>logical|physical)(?:/(?P<over>[1-9]\d{0,8}))?"
)
_MULTIPLES_HELP = '"logical", "physical" or a multiple such as "2*physical" or "physical/2"'
_SYMBOL_HELP = f'"auto", {_MULTIPLES_HELP}'
_INSTANCES_HELP = f'"fill", {_MULTIPLES_HELP}'
_ID_UNSAFE = re.compile(r"[^\w.=+-]+")
_ID_COUNT = r"(?:auto|\d+|(?:\d+\*)?(?:logical|physical)(?:/\d+)?)"
# What follows, the instances among it, is left out with the configuration's terms.
_ID_OF_CASE = re.compile(rf"(?:^|(?<=-))intra{_ID_COUNT}-inter{_ID_COUNT}(?=-|$)")


class ConfigError(ValueError):
    """A value that cannot be used.

    `argument` is the marker argument (or option) to blame; the message says what was found and
    what was expected.
    """

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(f"{argument}: {message}")
        self.argument = argument


@dataclass(frozen=True)
class CpuCounts:
    """CPUs that this process may really use: affinity and cgroup quota counted."""

    physical: int
    logical: int


@dataclass(frozen=True)
class ThreadCount:
    """Threads of one pool as requested: a number, "auto", or a symbol of the machine."""

    text: str

    @classmethod
    def parse(cls, value: object, argument: str) -> ThreadCount:
        """Accept what interface and command line allow.

        Raises `ConfigError` on anything else, before TensorFlow sees it: it aborts on some values.
        """
        if isinstance(value, ThreadCount):
            return value
        if value is None:
            return AUTO
        if _is_integer(value):
            value = int(value)
            if value < 0:
                raise ConfigError(
                    argument, f"{quoted(value)} is negative; 0 leaves it to TensorFlow"
                )
            if value > MAX_THREADS:
                raise ConfigError(argument, f"{quoted(value)} threads are more than {MAX_THREADS}")
            return cls(str(value)) if value else AUTO
        if isinstance(value, str):
            if value == "auto" or _SYMBOL.fullmatch(value):
                return cls(value)
            if value.isdecimal():
                number = _whole_number(value, argument)
                raise ConfigError(argument, f"{value!r} is text; write the number {number}")
            what = f"unknown symbol {quoted(value)}" if value else "a number or symbol is missing"
            raise ConfigError(argument, f"{what}; known are {_SYMBOL_HELP}")
        raise ConfigError(
            argument, f"{quoted(value)} is no thread count; use an integer >= 0 or {_SYMBOL_HELP}"
        )

    @classmethod
    def named(cls, text: str, argument: str) -> ThreadCount:
        """The count whose `text` this is, as typed or stored; raises `ConfigError`."""
        return cls.parse(_whole_number(text, argument) if text.isdecimal() else text, argument)

    def resolve(self, machine: CpuCounts) -> int:
        """Threads on this machine; 0 leaves the choice to TensorFlow. Halves round down, to 1."""
        return 0 if self.text == "auto" else _of_machine(self.text, machine)


AUTO = ThreadCount("auto")


@dataclass(frozen=True)
class InstanceCount:
    """Processes of one configuration that run at once: a number, "fill", or a symbol."""

    text: str

    @classmethod
    def parse(cls, value: object, argument: str) -> InstanceCount:
        """Raises `ConfigError` on what is no number of instances."""
        if isinstance(value, InstanceCount):
            return value
        if _is_integer(value):
            value = int(value)
            if value < 1:
                raise ConfigError(
                    argument, f"{quoted(value)} is no number of instances; use an integer >= 1"
                )
            if value > MAX_INSTANCES:
                raise ConfigError(
                    argument, f"{quoted(value)} instances are more than {MAX_INSTANCES}"
                )
            return cls(str(value))
        if isinstance(value, str):
            if value == "fill" or _SYMBOL.fullmatch(value):
                return cls(value)
            if value.isdecimal():
                number = _whole_number(value, argument, "instances")
                raise ConfigError(argument, f"{value!r} is text; write the number {number}")
            raise ConfigError(
                argument,
                f"{quoted(value)} is no symbol for instances; known are {_INSTANCES_HELP}",
            )
        raise ConfigError(
            argument,
            f"{quoted(value)} is no number of instances; use an integer >= 1 or {_INSTANCES_HELP}",
        )

    @classmethod
    def named(cls, text: str, argument: str) -> InstanceCount:
        """The count whose `text` this is, as typed or stored; raises `ConfigError`."""
        number = _whole_number(text, argument, "instances") if text.isdecimal() else text
        return cls.parse(number, argument)

    def resolve(self, machine: CpuCounts, cpus_of_one: int) -> int:
        """Instances on this machine, 1 at least; "fill": as many as find CPUs of their own.

        `cpus_of_one`: how many CPUs one instance is granted.
        """
        if self.text == "fill":
            return max(1, machine.logical // cpus_of_one)
        return _of_machine(self.text, machine)


@dataclass(frozen=True)
class ThreadConfig:
    """Threads of TensorFlow's intra-op and inter-op pools and instances, as requested."""

    intra: ThreadCount = AUTO
    inter: ThreadCount = AUTO
    instances: InstanceCount | None = None  # None: nobody gave a number; there is one

    @property
    def id(self) -> str:
        """Keeps symbols, so that a stored baseline keeps its key from machine to machine.

        Instances are in it only where they are given, so that earlier ids keep their meaning.
        """
        pools = f"intra{self.intra.text}-inter{self.inter.text}"
        return pools if self.instances is None else f"{pools}-x{self.instances.text}"


@dataclass(frozen=True)
class Configuration:
    """A configuration as it is stored: its id among those of its test, and the counts as asked for.

    Raises `ConfigError` where a count is none.
    """

    id: str
    intra: str
    inter: str
    instances: str | None = None  # None: not asked for, or stored by an earlier version
    terms: str | None = None  # as in `Case`; None: those that the id says

    def __post_init__(self) -> None:
        _ = self.threads

    @classmethod
    def named(cls, id: str, threads: ThreadConfig, terms: str | None = None) -> Configuration:
        instances = None if threads.instances is None else threads.instances.text
        own = None if terms == id.removeprefix(threads.id) else terms
        return cls(id, threads.intra.text, threads.inter.text, instances, own)

    @property
    def threads(self) -> ThreadConfig:
        return ThreadConfig(
            ThreadCount.named(self.intra, "intra"),
            ThreadCount.named(self.inter, "inter"),
            None if self.instances is None else InstanceCount.named(self.instances, "instances"),
        )


@dataclass(frozen=True)
class ThreadsInForce:
    """The configuration under which a test runs: what the fixture `tf_threads` gives it."""

    intra: int  # threads of TensorFlow's intra-op pool, counted where they could be
    inter: int  # the same of the inter-op pool; 0 and 0 where nothing is measured
    cpus: tuple[int, ...]  # numbers of the CPUs granted


@dataclass(frozen=True)
class Case:
    """One configuration of one test, with the terms on which it is measured.

    `None` means that the marker says nothing, and the option or the default holds.
    """

    threads: ThreadConfig
    cpus: int | str | None = None  # a number, "all", or None: as many as it can keep busy
    env: tuple[tuple[str, str], ...] = ()
    processes: int | None = None
    timeout_s: float | None = None
    tolerance: tuple[tuple[str, float], ...] = ()  # by metric; of those left out the default holds
    suffix: str = ""
    terms: str = ""
    """What sets `env` and `cpus` apart from those of the test's other cases, for people to read.

    Values of variables, which may be secret, are told only where ids have to tell them.
    """

    @property
    def id(self) -> str:
        return self.threads.id + self.suffix

    def granted_cpus(self, intra: int, inter: int, available: int) -> int:
        """How many CPUs one measuring process is pinned to.

        By default as many as the configuration can keep busy. That is max(intra, inter), not
        their product: kernels run inside the inter-op threads only where intra is 1, else all of
        them share the intra-op pool.
        """
        if self.cpus == "all":
            return available
        if isinstance(self.cpus, int):
            return min(self.cpus, available)
        if intra == 0 or inter == 0:
            return available
        return min(max(intra, inter), available)

    def team_size(self, intra: int, inter: int, counts: CpuCounts) -> int:
        """How many instances run at once, of so many threads each; 1 where nobody asked.

        `counts` are the machine's. There may be more instances than CPUs.
        """
        if self.threads.instances is None:
            return 1
        cpus_of_one = self.granted_cpus(intra, inter, counts.logical)
        return self.threads.instances.resolve(counts, cpus_of_one)


def is_oversubscribed(threads: int, granted: int, instances: int, available: int) -> bool:
    """Whether more threads are kept busy than there are CPUs for them.

    `threads`: those that one instance can keep busy (its larger pool; 0: unknown, then one for each
    CPU granted), `granted`: its CPUs, `available`: all CPUs that may be used.
    """
    return threads > granted or instances * (threads or granted) > available


def parse_marker(args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[Case, ...]:
    """The cases that one `tf_threads(...)` marker asks for.

    Raises `ConfigError` naming the argument.
    """
    named = _bind(args, kwargs)
    terms = Case(
        threads=ThreadConfig(),
        cpus=_cpus(named.get("cpus")),
        env=_env(named.get("env")),
        processes=_processes(named.get("processes"), "processes"),
        timeout_s=parse_timeout(named.get("timeout"), "timeout"),
        tolerance=_tolerance(named.get("tolerance")),
    )
    return tuple(replace(terms, threads=threads) for threads in _configs(named))


def parse_spec(spec: str, argument: str = "--tf-threads") -> tuple[ThreadConfig, ...]:
    """Configurations from the command line.

    `8x4,4x8`, with instances `8x4x2`, or a grid `intra=1,2,4;inter=1,2;instances=1,fill`. Raises
    `ConfigError` naming the option.
    """
    if "=" not in spec:
        return _distinct(_typed_config(text, argument) for text in spec.split(","))
    axes: dict[str, list[str]] = {}
    for part in spec.split(";"):
        name, _, values = part.partition("=")
        name = name.strip()
        if name not in _AXES:
            raise ConfigError(
                argument,
                f"{quoted(name)} is none of {', '.join(_AXES)} in {quoted(spec)}",
            )
        if name in axes:
            raise ConfigError(argument, f"{name} is given twice in {quoted(spec)}")
        axes[name] = values.split(",")
    return _grid(
        [_typed_count(text, argument) for text in axes.get("intra", [AUTO.text])],
        [_typed_count(text, argument) for text in axes.get("inter", [AUTO.text])],
        [_typed_instances(text, argument) for text in axes["instances"]]
        if "instances" in axes
        else [None],
    )


def to_spec(configs: Iterable[ThreadConfig]) -> str:
    """The text that `parse_spec` reads these configurations from."""
    return ",".join(
        "x".join(
            count.text
            for count in (config.intra, config.inter, config.instances)
            if count is not None
        )
        for config in configs
    )


def select(levels: Iterable[Sequence[Case]], override: Sequence[ThreadConfig]) -> tuple[Case, ...]:
    """The cases of one test.

    `levels` are its markers' cases, all of one level together (function, class, module), closest
    level first: the closest wins. `override` (from `--tf-threads`) replaces the configurations
    and keeps the markers' terms (CPUs, environment, …), each with each.
    """
    cases: Sequence[Case] = next((level for level in levels if level), ())
    if override:
        terms = dict.fromkeys(replace(case, threads=ThreadConfig()) for case in cases)
        cases = [replace(term, threads=threads) for term in terms for threads in override]
    return _with_distinct_ids(tuple(dict.fromkeys(cases)))


def without_case(nodeid: str) -> str:
    """The same for all configurations of one test; the id itself where it names none.

    For those who know tests by their ids only. Parameters that follow the configuration are left
    out, as nothing tells them from its terms.
    """
    path, colons, rest = nodeid.partition("::")
    name, opening, rest = rest.partition("[")
    parameters, closing, rest = rest.rpartition("]")
    found = _ID_OF_CASE.search(parameters)
    if found is None:
        return nodeid
    return "".join((path, colons, name, opening, parameters[: found.start()], closing, rest))


def parse_processes(value: object, argument: str) -> int:
    """A number of processes; raises `ConfigError`."""
    processes = _processes(value, argument)
    if processes is None:
        raise ConfigError(argument, "a number of processes is missing; use an integer >= 1")
    return processes


def parse_timeout(value: object, argument: str) -> float | None:
    """Seconds for one process, `None` if nothing was said; raises `ConfigError`."""
    if value is None:
        return None
    try:
        seconds = (
            math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
        )
    except OverflowError:
        seconds = math.inf
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(argument, f"{quoted(value)} is no time-out; use seconds, more than 0")
    return seconds


_PARAMETERS = ("intra", "inter")
_AXES = (*_PARAMETERS, "instances")
_KEYWORDS = ("instances", "configs", "cpus", "env", "processes", "timeout", "tolerance")


def _bind(args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
    if len(args) > len(_PARAMETERS):
        raise ConfigError(
            "positional arguments",
            f"{len(args)} given, only intra and inter go without a name",
        )
    named = dict(zip(_PARAMETERS, args, strict=False))
    for name, value in kwargs.items():
        if name not in (*_PARAMETERS, *_KEYWORDS):
            known = ", ".join((*_PARAMETERS, *_KEYWORDS))
            raise ConfigError(name, f"unknown argument; known are {known}")
        if name in named:
            raise ConfigError(name, "given twice, with and without its name")
        named[name] = value
    return named


def _configs(named: Mapping[str, object]) -> tuple[ThreadConfig, ...]:
    listed = named.get("configs")
    if listed is None:
        instances = named.get("instances")
        return _grid(
            _axis(named.get("intra"), "intra", ThreadCount.parse),
            _axis(named.get("inter"), "inter", ThreadCount.parse),
            [None] if instances is None else _axis(instances, "instances", InstanceCount.parse),
        )
    if any(named.get(axis) is not None for axis in _AXES):
        raise ConfigError(
            "configs", f"give either configs, or one or more of {', '.join(_AXES)}, not both"
        )
    expected = (
        "a list of pairs such as configs=[(8, 4), (4, 8)], or, with instances, of triples such as "
        "[(8, 4, 2)]"
    )
    if not _is_axis(listed):
        raise ConfigError("configs", f"{quoted(listed)} is not {expected}")
    configs = []
    for one in _values(listed, "configs", f"use {expected}"):
        values = _values(one, "configs", expected) if _is_axis(one) else []
        if len(values) not in (len(_PARAMETERS), len(_AXES)) or isinstance(one, Set):
            raise ConfigError(
                "configs",
                f"{quoted(one)} is neither a pair (intra, inter) nor a triple with instances; use "
                f"{expected}",
            )
        intra, inter, *others = values
        configs.append(
            ThreadConfig(
                ThreadCount.parse(intra, "configs"),
                ThreadCount.parse(inter, "configs"),
                *(InstanceCount.parse(other, "configs") for other in others),
            )
        )
    return _distinct(configs)


def _grid(
    intra: Iterable[ThreadCount],
    inter: Iterable[ThreadCount],
    instances: Iterable[InstanceCount | None],
) -> tuple[ThreadConfig, ...]:
    """Each with each."""
    return _distinct(ThreadConfig(*one) for one in itertools.product(intra, inter, instances))


def _axis(value: object, argument: str, parse: Callable[[object, str], _Count]) -> list[_Count]:
    if _is_axis(value):
        values = _values(value, argument, "leave the argument out for the default")
        return [parse(one, argument) for one in values]
    return [parse(value, argument)]


def _is_axis(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _values(axis: Iterable[object], argument: str, mend: str) -> list[object]:
    """All values of a list, a range, an array, a generator, or, in a fixed order, a set."""
    try:
        values = list(itertools.islice(axis, MAX_CONFIGS + 1))
    except TypeError as error:  # NumPy's array of one value without a dimension
        raise ConfigError(argument, f"{quoted(axis)} is no list ({error})") from error
    if not values:
        used_up = (
            ", or already used up (it can be read only once)" if isinstance(axis, Iterator) else ""
        )
        raise ConfigError(argument, f"the list is empty{used_up}; {mend}")
    if len(values) > MAX_CONFIGS:
        raise ConfigError(argument, f"there are more than {MAX_CONFIGS} values")
    if isinstance(axis, Set):  # or the tests would come in another order in each process
        values.sort(key=lambda one: (0, int(one), "") if _is_integer(one) else (1, 0, repr(one)))
    return values


def _is_integer(value: object) -> TypeGuard[Integral]:
    """Whether it is an integer, NumPy's too; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _cpus(value: object) -> int | str | None:
    if value is None:
        return None
    if isinstance(value, str) and value == "all":
        return "all"
    if not _is_integer(value) or int(value) < 1:
        raise ConfigError(
            "cpus", f'{quoted(value)} is no number of CPUs; use an integer >= 1 or "all"'
        )
    if int(value) > MAX_THREADS:
        raise ConfigError("cpus", f"{quoted(value)} CPUs are more than {MAX_THREADS}")
    return int(value)


def _env(value: object) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise ConfigError(
            "env", f'{quoted(value)} is no dict such as {{"TF_ENABLE_ONEDNN_OPTS": "0"}}'
        )
    for name, text in value.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ConfigError(
                "env", f"{quoted(name)} cannot be the name of an environment variable"
            )
        if not isinstance(text, str) or "\0" in text:
            raise ConfigError("env", f"{name} must be text, not {quoted(text)}")
        try:
            os.fsencode(name + text)
        except UnicodeEncodeError as error:
            raise ConfigError("env", f"{name} cannot be encoded: {error}") from error
    return tuple(sorted(value.items()))


def _tolerance(value: object) -> tuple[tuple[str, float], ...]:
    if value is None:
        return ()
    try:
        return tuple(sorted(parse_tolerance(value).items()))
    except ValueError as error:
        raise ConfigError("tolerance", str(error)) from error


def _processes(value: object, argument: str) -> int | None:
    if value is None:
        return None
    if not _is_integer(value) or int(value) < 1:
        raise ConfigError(
            argument, f"{quoted(value)} is no number of processes; use an integer >= 1"
        )
    if int(value) > MAX_PROCESSES:
        raise ConfigError(argument, f"{quoted(value)} processes are more than {MAX_PROCESSES}")
    return int(value)


def _typed_count(text: str, argument: str) -> ThreadCount:
    return ThreadCount.named(text.strip(), argument)


def _typed_instances(text: str, argument: str) -> InstanceCount:
    return InstanceCount.named(text.strip(), argument)


def _whole_number(digits: str, argument: str, what: str = "threads") -> int:
    digits = digits.lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS:  # of more than 4,300 digits Python makes no number
        raise ConfigError(argument, f"{quoted(digits)} {what} are more than {MAX_THREADS}")
    return int(digits)


def _of_machine(text: str, machine: CpuCounts) -> int:
    """What a number or a symbol comes to, 1 to `MAX_THREADS`."""
    symbol = _SYMBOL.fullmatch(text)
    if symbol is None:
        return int(text)
    of_machine = machine.physical if symbol["name"] == "physical" else machine.logical
    number = of_machine * int(symbol["times"] or 1) // int(symbol["over"] or 1)
    return min(max(number, 1), MAX_THREADS)


def _typed_config(text: str, argument: str) -> ThreadConfig:
    intra, *others = text.split("x")
    if len(others) not in (1, 2):
        raise ConfigError(
            argument,
            f"{quoted(text)} is no configuration; use INTRAxINTER pairs such as 8x4,4x8, with "
            "instances 8x4x2, or a grid such as 'intra=1,2;inter=1,2;instances=1,fill'",
        )
    inter, *instances = others
    return ThreadConfig(
        _typed_count(intra, argument),
        _typed_count(inter, argument),
        *(_typed_instances(one, argument) for one in instances),
    )


def _distinct(configs: Iterable[ThreadConfig]) -> tuple[ThreadConfig, ...]:
    return tuple(dict.fromkeys(configs))


def _with_distinct_ids(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """Cases that differ only in their terms say so in their ids; all others keep the short id.

    Where terms differ in what an id cannot hold, a number follows.
    """
    times = Counter(case.id for case in cases)
    taken = {id for id, count in times.items() if count == 1}
    distinct = []
    for case in cases:
        if times[case.id] > 1:
            suffix = _terms_suffix(case)
            suffixes = (suffix, *(f"{suffix}-{number}" for number in range(2, len(cases) + 2)))
            case = next(
                one for found in suffixes if (one := replace(case, suffix=found)).id not in taken
            )
            taken.add(case.id)
        distinct.append(case)
    return _with_terms(distinct)


def _with_terms(cases: Sequence[Case]) -> tuple[Case, ...]:
    terms: dict[object, str] = {}
    for case in cases:
        kind = case.env, case.cpus
        if kind not in terms:
            in_ids = any(one.suffix for one in cases if (one.env, one.cpus) == kind)
            text = _suffix(_surroundings(case, with_values=in_ids))
            texts = (text, *(f"{text}-{number}" for number in range(2, len(cases) + 2)))
            terms[kind] = next(one for one in texts if one not in terms.values())
    return tuple(replace(case, terms=terms[case.env, case.cpus]) for case in cases)


def _surroundings(case: Case, with_values: bool) -> list[str]:
    parts = [f"{name}={value}" if with_values else name for name, value in case.env]
    return parts if case.cpus is None else [*parts, f"cpus={case.cpus}"]


def _terms_suffix(case: Case) -> str:
    parts = _surroundings(case, with_values=True)
    if case.processes is not None:
        parts.append(f"processes={case.processes}")
    if case.timeout_s is not None:
        parts.append(f"timeout={case.timeout_s:g}")
    parts += [f"{metric}={share:g}" for metric, share in case.tolerance]
    return _suffix(parts)


def _suffix(parts: Iterable[str]) -> str:
    return "".join("-" + _ID_UNSAFE.sub("_", part) for part in parts)
