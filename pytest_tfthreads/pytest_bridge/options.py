"""Command line and ini file → frozen settings.

Every run of pytest declares these options, and few of them read them. So what reading needs is
imported where it is needed, and the declaration imports nothing.
"""

from __future__ import annotations

import argparse
import os
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_tfthreads.names import MARKER
from pytest_tfthreads.platforms import can_measure
from pytest_tfthreads.pytest_bridge import ini_values

if TYPE_CHECKING:
    from pytest_tfthreads.core.gate.verdict import Policy
    from pytest_tfthreads.core.threads import ThreadConfig

MARKER_HELP = (
    "tf_threads(intra=None, inter=None, *, instances=None, configs=None, cpus=None, env=None, "
    "processes=None, timeout=None, tolerance=None): run the test in processes of its own, one "
    "configuration of TensorFlow's intra-op and inter-op thread pools at a time. intra, inter: a "
    'number, "auto", "logical", "physical", a multiple such as "2*physical", or a list (a grid); '
    "instances: how many processes run at once, each on CPUs of its own: a number, a symbol, "
    '"fill" (as many as find CPUs of their own), or a list; configs: pairs (intra, inter), or '
    "triples with instances, instead; cpus: CPUs that each process is pinned to, or "
    '"all"; env: variables set before TensorFlow is imported; processes: measuring '
    "processes of each configuration; timeout: seconds for one process; tolerance: the loss of "
    'speed that is tolerated, "5%" or a dict by metric.'
)
BASELINES_COMMIT = "baseline"
AUTO, OFF = "auto", "off"
REGRESSED = "regressed"
SHARES = (AUTO, OFF)
STARTS = ("auto", "fork", "fresh")
RUN = "run"
SKIP = "skip"
ABREAST = "--tf-threads-abreast"
_ABREAST = "measured_abreast"
_MOST_SEEDS = 1_000_000
_SEED = pytest.StashKey[int]()


@dataclass(frozen=True)
class ReportWish:
    """The HTML page that is to be written, and the option or ini key that asked for it."""

    path: Path
    option: str = "--tf-threads-report"


@dataclass(frozen=True)
class ProfileWish:
    """Where traces are to be stored, and of what: all that is measured, or what has regressed.

    `option` is the option or ini key that asked for them, for messages.
    """

    directory: Path
    only_regressed: bool = False
    option: str = "--tf-threads-profile"

    @classmethod
    def parse(cls, text: str, name: str, start: Path) -> ProfileWish:
        """From DIR or DIR:regressed, DIR being seen from `start`.

        Raises `ConfigError`, which blames `name`.
        """
        from pytest_tfthreads.core.threads import ConfigError

        directory, colon, what = text.rpartition(":")
        is_plain = not colon or os.sep in what
        if is_plain:
            directory = text
        if not directory or not (is_plain or what == REGRESSED):
            raise ConfigError(
                name,
                f"{text!r} names no directory; use DIR, or DIR:{REGRESSED} for traces of tests "
                "that regressed only",
            )
        try:
            path = start / Path(directory).expanduser()
        except RuntimeError as error:
            user = directory.partition(os.sep)[0]
            raise ConfigError(
                name,
                f"there is no home directory of {user}: write the path of {directory!r} in full",
            ) from error
        if os.path.exists(path) and not os.path.isdir(path):
            raise ConfigError(name, f"{path} is no directory; name one, or one that can be made")
        return cls(path, only_regressed=not is_plain, option=name)

    def holds_for(self, has_regressed: bool) -> bool:
        """Whether a trace of such a test is wanted."""
        return has_regressed or not self.only_regressed


@dataclass(frozen=True)
class PreloadWish:
    """Which of the project's modules interpreters import ahead of their forks.

    `is_auto`: those that marked tests use; `names`: these, too.
    """

    is_auto: bool = True
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, name: str) -> PreloadWish:
        """From `auto`, `off`, or names of modules, with `auto` among them or without.

        Raises `ConfigError`, which blames `name`.
        """
        from pytest_tfthreads.core.threads import ConfigError

        words = text.replace(",", " ").split()
        if words == [OFF]:
            return cls(is_auto=False)
        modules = tuple(word for word in words if word != AUTO)
        for word in modules:
            is_dotted = all(part.isidentifier() for part in word.split("."))
            if not is_dotted or word == OFF:
                raise ConfigError(
                    name,
                    f"{word!r} is no name of a module; use {AUTO}, {OFF}, or names such as "
                    "my.module",
                )
        return cls(AUTO in words or not words, modules)


def _stock_policy() -> Policy:
    from pytest_tfthreads.core.gate.verdict import Policy

    return Policy()


def _any_seed() -> int:
    """One that no test's own seed decides."""
    return random.SystemRandom().randrange(_MOST_SEEDS)


@dataclass(frozen=True)
class Settings:
    """What holds for the whole run; a marker may say otherwise for its test."""

    configs: tuple[ThreadConfig, ...] = ()  # instead of the markers', where given
    processes: int = 3
    max_processes: int | None = None
    start: str = "auto"
    timeout_s: float = 300.0
    lease_timeout_s: float = 1800.0
    pack: bool = False
    group: int = 8
    rounds_a_turn: int = 2
    seed: int = field(default_factory=_any_seed)
    search: bool = False
    policy: Policy = field(default_factory=_stock_policy)
    duet: str | None = None  # asked for by name: BASELINES_COMMIT, a revision, or python=PATH
    duet_if_open: bool = True  # what saved runs leave open is measured side by side
    budget_s: float | None = None  # that the gate may measure
    report: ReportWish | None = None
    profile: ProfileWish | None = None
    preload: PreloadWish = PreloadWish()
    share: bool = True  # tests that measure nothing share processes
    abreast: int | None = None  # a socket's descriptor: a command asks over it what is measured
    elsewhere: str = RUN  # what becomes of marked tests on platforms that cannot measure

    @property
    def looks(self) -> list[int]:
        """After how many pairs of processes a duet is judged."""
        from pytest_tfthreads.core.gate.duet import LOOKS

        most = min(self.max_processes or LOOKS[-1], LOOKS[-1])
        return [*(look for look in LOOKS if look < most), most]

    def most(self, processes: int) -> int:
        """Up to how many processes are measured where the first look, at so many, is suspicious."""
        return max(processes, self.max_processes or 2 * processes)


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("tfthreads", "TensorFlow thread configurations (pytest-tfthreads)")
    defaults = Settings  # those of its fields that are the same in every run
    for name, metavar, text in (
        (
            "tf-threads",
            "SPEC",
            "measure these configurations instead of the markers': INTRAxINTER pairs such as "
            "8x4,4x8, INTRAxINTERxINSTANCES such as 1x1x4, or a grid such as "
            "'intra=1,2,4;inter=1,2;instances=1,fill'",
        ),
        (
            "tf-threads-processes",
            "N",
            f"measuring processes of each configuration (default: {defaults.processes})",
        ),
        (
            "tf-threads-max-processes",
            "N",
            "with --benchmark-compare: before a test fails by saved runs alone, measure more "
            "processes, up to this number (default: twice --tf-threads-processes); in a duet: the "
            "most pairs of processes (default: 12, which is also the limit)",
        ),
        (
            "tf-threads-start",
            "|".join(STARTS),
            "fork a preloaded interpreter, or start a new one; auto forks where a check says that "
            f"it is safe (default: {defaults.start})",
        ),
        (
            "tf-threads-preload",
            f"{AUTO}|{OFF}|NAMES",
            "modules that are imported once, ahead of the forks, where a trial says that this is "
            f"safe: those that marked tests use, none, or these; {AUTO},NAMES for both (default: "
            f"{AUTO})",
        ),
        (
            "tf-threads-share",
            "|".join(SHARES),
            "tests that measure nothing share a process with those before and after them that have "
            f"the same configuration, or ({OFF}) have one each (default: {AUTO})",
        ),
        (
            "tf-threads-timeout",
            "S",
            f"seconds for one process, its own turns only (default: {defaults.timeout_s:g})",
        ),
        (
            "tf-threads-lease-timeout",
            "S",
            "seconds for which a test waits for others that measure on this machine (default: "
            f"{defaults.lease_timeout_s:g})",
        ),
        (
            "tf-threads-group",
            "N",
            "at most so many configurations of a test are alive at once and take turns (a ring); "
            "more of them are divided into several rings that share one. 1: measure them one after "
            f"the other (default: {defaults.group})",
        ),
        (
            "tf-threads-turn",
            "ROUNDS",
            "rounds that a process measures in one turn, before the next process has its turn "
            f"(default: {defaults.rounds_a_turn})",
        ),
        (
            "tf-threads-seed",
            "N",
            "seed of the order in which the configurations of a test are set up (default: random)",
        ),
        (
            "tf-threads-tolerance",
            "P",
            "with --benchmark-compare or --tf-threads-duet: the loss of speed that is tolerated, "
            "5%, or by metric, 'throughput=5%,cpu_efficiency=10%' (default: 5%)",
        ),
        (
            "tf-threads-fail-on",
            "LIST",
            "with --benchmark-compare or --tf-threads-duet: which verdicts fail a test, of "
            "regression, inconclusive, no-baseline, not-comparable; or none, to report only "
            "(default: regression)",
        ),
        (
            "tf-threads-budget",
            "T",
            "with --benchmark-compare or --tf-threads-duet: seconds or minutes (600, 10m) that the "
            "gate may measure; every test gets its first measurement, and what is left goes where "
            "a verdict is open (default: no limit)",
        ),
        (
            "tf-threads-report",
            "PATH",
            "write the results as one HTML page, which needs no network; an ini key's path is "
            "relative to rootdir",
        ),
        (
            "tf-threads-profile",
            "DIR",
            "store a TensorBoard trace of each configuration, taken in a process of its own after "
            "measuring; DIR:regressed, of those only whose verdict is a regression; an ini key's "
            "path is relative to rootdir",
        ),
        (
            "tf-threads-elsewhere",
            f"{RUN}|{SKIP}",
            "where tests cannot be measured (Windows, macOS): run marked tests as all others, "
            f"unmeasured, or skip them (default: {defaults.elsewhere})",
        ),
    ):
        # argparse takes a percent sign for the beginning of a format; an ini key's help is plain.
        group.addoption(f"--{name}", metavar=metavar, default=None, help=text.replace("%", "%%"))
        parser.addini(name.replace("-", "_"), text, default=None)
    text = (
        "auto (the default): with --benchmark-compare, what saved runs leave open or would fail is "
        "measured side by side with the commit of the saved run; off: saved runs alone judge; no "
        "value: every test is measured side by side with that commit; REV, python=PATH: with "
        "another revision, with another environment"
    )
    group.addoption(
        "--tf-threads-duet", nargs="?", const=BASELINES_COMMIT, metavar="WHAT", help=text
    )
    parser.addini("tf_threads_duet", text, default=None)
    for name, text in (
        (
            "tf-threads-pack",
            "under pytest-xdist, measure tests at the same time if they need fewer CPUs than the "
            "machine has, each on CPUs of its own: sooner done, and less exact",
        ),
        (
            "tf-threads-search",
            "find a good configuration of each test without measuring all; the choice is among the "
            "configurations of --tf-threads, or, without that option, among numbers of threads "
            "from the machine's cores, halved and doubled; --tf-threads=instances=1,fill adds "
            "instances to these",
        ),
    ):
        group.addoption(f"--{name}", action="store_true", help=text)
        parser.addini(name.replace("-", "_"), text, type="bool")
    # No promise to anybody: commands give it to the runs that they start. Its name in the settings
    # differs from those of all other options, which have an ini key each.
    group.addoption(ABREAST, dest=_ABREAST, type=int, metavar="FD", help=argparse.SUPPRESS)


def is_for_command(config: pytest.Config) -> bool:
    """Whether a command has started this run of pytest, and asks what is measured."""
    return config.getoption(_ABREAST, None) is not None


def is_interactive(config: pytest.Config) -> bool:
    """Whether tests have the terminal to themselves, for a debugger."""
    return bool(config.getoption("usepdb", False) or config.getoption("trace", False))


def read_settings(config: pytest.Config) -> Settings:
    """Raises `pytest.UsageError` naming the option or ini key to mend."""
    from pytest_tfthreads.core.threads import (
        ConfigError,
        parse_processes,
        parse_spec,
        parse_timeout,
    )

    defaults = Settings()
    try:
        spec, name = _value(config, "tf_threads")
        configs = () if spec is None else parse_spec(spec, name)
        count, name = _value(config, "tf_threads_processes")
        processes = (
            defaults.processes if count is None else parse_processes(_number(count, int), name)
        )
        start, name = _value(config, "tf_threads_start")
        start = _one_of(STARTS, start, name)
        seconds, name = _value(config, "tf_threads_timeout")
        timeout_s = parse_timeout(None if seconds is None else _number(seconds, float), name)
        max_processes = _count(config, "tf_threads_max_processes", 1)
        seconds, name = _value(config, "tf_threads_lease_timeout")
        lease_timeout_s = parse_timeout(None if seconds is None else _number(seconds, float), name)
        group = _count(config, "tf_threads_group", 1)
        rounds_a_turn = _count(config, "tf_threads_turn", 1)
        policy = _policy(config)
        budget_s = _budget(config)
        profile = _profile(config)
        report = _report(config)
        preload, name = _value(config, "tf_threads_preload")
        preload_wish = PreloadWish() if preload is None else PreloadWish.parse(preload, name)
        share, name = _value(config, "tf_threads_share")
        share = _one_of(SHARES, share, name)
        elsewhere, name = _value(config, "tf_threads_elsewhere")
        elsewhere = _one_of((RUN, SKIP), elsewhere, name)
        duet, name = _value(config, "tf_threads_duet")
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error
    # A command asks for the markers' configurations.
    search = not is_for_command(config) and bool(
        config.getoption("tf_threads_search") or config.getini("tf_threads_search")
    )
    if search and group == 1:
        raise pytest.UsageError(
            "--tf-threads-search compares configurations in turns, and --tf-threads-group=1 "
            "measures them one by one: leave one of the two out"
        )
    if duet == "":
        duet = BASELINES_COMMIT
    duet_if_open = duet in (None, AUTO)
    if duet in (AUTO, OFF):
        duet = None
    if search and duet:
        raise pytest.UsageError(
            f"--tf-threads-search compares configurations, and {name} revisions: leave one of the "
            "two out"
        )
    if search and can_measure():
        from pytest_tfthreads.core.sweep.search import asked_for
        from pytest_tfthreads.system.machine import Machine

        configs = asked_for(configs, Machine.read().counts)
    settings = Settings(
        configs=configs,
        processes=processes,
        max_processes=max_processes,
        start=start or defaults.start,
        timeout_s=timeout_s or defaults.timeout_s,
        lease_timeout_s=lease_timeout_s or defaults.lease_timeout_s,
        pack=bool(config.getoption("tf_threads_pack") or config.getini("tf_threads_pack")),
        group=defaults.group if group is None else group,
        rounds_a_turn=defaults.rounds_a_turn if rounds_a_turn is None else rounds_a_turn,
        seed=seed_of(config),
        search=search,
        policy=policy,
        duet=duet,
        duet_if_open=duet_if_open,
        budget_s=budget_s,
        report=report,
        profile=profile,
        preload=preload_wish,
        share=share != OFF,
        abreast=_abreast(config),
        elsewhere=elsewhere or defaults.elsewhere,
    )
    if settings.abreast is None:
        return settings
    # A command asks what is measured: nothing is judged or written here.
    return replace(
        settings, duet=None, duet_if_open=False, budget_s=None, report=None, profile=None
    )


def seed_of(config: pytest.Config) -> int:
    """The seed that the user gave, or one by chance that stays; read without all the rest.

    Raises `pytest.UsageError`.
    """
    if _SEED not in config.stash:
        given, _ = _value(config, "tf_threads_seed")
        config.stash[_SEED] = _any_seed() if given is None else _given_seed(config)
    return config.stash[_SEED]


def _given_seed(config: pytest.Config) -> int:
    from pytest_tfthreads.core.threads import ConfigError

    try:
        seed = _count(config, "tf_threads_seed", 0)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error
    assert seed is not None
    return seed


def is_any_given(config: pytest.Config) -> bool:
    """Whether an option or ini key of ours says anything, which then is to be checked."""
    names = [name for name in vars(config.option) if name.startswith(MARKER)]
    return any(
        config.getoption(name) not in (None, False) or ini_values.is_given(config, name)
        for name in names
    )


def _policy(config: pytest.Config) -> Policy:
    from pytest_tfthreads.core.gate.failing import parse_failing
    from pytest_tfthreads.core.gate.verdict import FAILING
    from pytest_tfthreads.core.threads import ConfigError
    from pytest_tfthreads.core.tolerance import OPTION_SYNTAX, parse_tolerance

    policy = _stock_policy()
    tolerance, name = _value(config, "tf_threads_tolerance")
    if tolerance is not None:
        try:
            policy = policy.with_tolerance(parse_tolerance(tolerance, OPTION_SYNTAX))
        except ValueError as error:
            raise ConfigError(name, str(error)) from error
    verdicts, name = _value(config, "tf_threads_fail_on")
    if verdicts is not None:
        try:
            policy = replace(policy, fail_on=parse_failing(verdicts, FAILING))
        except ValueError as error:
            raise ConfigError(name, str(error)) from error
    return policy


def _budget(config: pytest.Config) -> float | None:
    from pytest_tfthreads.core.gate.budget import parse_budget
    from pytest_tfthreads.core.threads import ConfigError

    text, name = _value(config, "tf_threads_budget")
    if text is None:
        return None
    try:
        return parse_budget(text)
    except ValueError as error:
        raise ConfigError(name, str(error)) from error


def _report(config: pytest.Config) -> ReportWish | None:
    path, name = _value(config, "tf_threads_report")
    if path is None:
        return None
    if not path:
        raise pytest.UsageError(
            f"{name}: the file name is empty; write {name}=report.html, for example"
        )
    is_option = config.getoption("tf_threads_report") is not None
    start = config.invocation_params.dir if is_option else config.rootpath
    return ReportWish(start / path, name)


def _profile(config: pytest.Config) -> ProfileWish | None:
    text, name = _value(config, "tf_threads_profile")
    if text is None:
        return None
    is_option = config.getoption("tf_threads_profile") is not None
    start = config.invocation_params.dir if is_option else config.rootpath
    return ProfileWish.parse(text, name, start)


def _abreast(config: pytest.Config) -> int | None:
    descriptor: int | None = config.getoption(_ABREAST, None)
    if descriptor is not None and is_interactive(config):
        raise pytest.UsageError(
            "a command measures here, and a debugger (--pdb, --trace) would stop it: leave that out"
        )
    return descriptor


def _value(config: pytest.Config, name: str) -> tuple[str | None, str]:
    """What was said, and where, so that an error can name it."""
    option: str | None = config.getoption(name)
    if option is not None:
        return option, "--" + name.replace("_", "-")
    return ini_values.text_of(config, name), f"ini key {name}"


def _count(config: pytest.Config, name: str, least: int) -> int | None:
    from pytest_tfthreads.core.threads import ConfigError

    text, source = _value(config, name)
    if text is None:
        return None
    count = _number(text, int)
    if not isinstance(count, int) or count < least:
        raise ConfigError(source, f"{text!r} is no integer >= {least}")
    return count


def _one_of(known: tuple[str, ...], value: str | None, name: str) -> str | None:
    from pytest_tfthreads.core.threads import ConfigError

    if value is not None and value not in known:
        raise ConfigError(name, f"{value!r} is none of {', '.join(known)}")
    return value


def _number(text: str, kind: type[int] | type[float]) -> object:
    try:
        return kind(text)
    except ValueError:
        return text
