"""Configurations: what is written is what is read, and ids tell each from all others."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from properties import tried, value_or_error
from pytest_tfthreads.core.threads import (
    MAX_INSTANCES,
    MAX_THREADS,
    ConfigError,
    Configuration,
    CpuCounts,
    InstanceCount,
    ThreadConfig,
    ThreadCount,
    parse_marker,
    parse_spec,
    parse_timeout,
    select,
    to_spec,
    without_case,
)
from pytest_tfthreads.core.tolerance import parse_tolerance

LARGE = 10**5000  # Python refuses to print integers of more than 4,300 digits
SYMBOLS = st.builds(
    lambda times, name, over: f"{times and f'{times}*'}{name}{over and f'/{over}'}",
    st.just("") | st.integers(1, 10**6),
    st.sampled_from(["logical", "physical"]),
    st.just("") | st.integers(1, 10**6),
)
COUNTS = st.integers(0, MAX_THREADS) | st.just("auto") | SYMBOLS
INSTANCES = st.integers(1, MAX_INSTANCES) | st.just("fill") | SYMBOLS
CONFIGS = st.builds(
    lambda intra, inter, instances: ThreadConfig(
        ThreadCount.parse(intra, "intra"), ThreadCount.parse(inter, "inter"), instances
    ),
    COUNTS,
    COUNTS,
    st.none() | st.builds(lambda value: InstanceCount.parse(value, "instances"), INSTANCES),
)
MACHINES = st.builds(CpuCounts, st.integers(1, 1024), st.integers(1, 1024))
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(["1" * 5000, "٣", "²", "1_0", " 8", "8x4\0", "physical/0"]),
    st.floats(),
    st.booleans().map(lambda is_positive: LARGE if is_positive else -LARGE),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.complex_numbers(),
)
ANYTHING = st.recursive(
    ODD | COUNTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.frozensets(ODD, max_size=3)
        | st.lists(inner, max_size=3).map(iter)
    ),
    max_leaves=6,
)
ARGUMENTS = (
    "intra",
    "inter",
    "instances",
    "configs",
    "cpus",
    "env",
    "processes",
    "timeout",
    "tolerance",
)


@tried(200)
@given(st.lists(CONFIGS, min_size=1, max_size=6))
def test_a_spec_is_read_as_printed(configs):
    assert parse_spec(to_spec(configs)) == tuple(dict.fromkeys(configs))


@tried(100)
@given(
    st.lists(COUNTS, min_size=1, max_size=4),
    st.lists(COUNTS, min_size=1, max_size=4),
    st.lists(INSTANCES, max_size=3),
)
def test_a_grid_on_the_command_line_is_that_of_a_marker(intra, inter, instances):
    axes = {"intra": intra, "inter": inter} | ({"instances": instances} if instances else {})
    spec = ";".join(f"{name}={','.join(map(str, values))}" for name, values in axes.items())
    marked = parse_marker((), axes)
    assert parse_spec(spec) == tuple(case.threads for case in marked)


@tried(100)
@given(
    st.lists(
        st.tuples(COUNTS, COUNTS) | st.tuples(COUNTS, COUNTS, INSTANCES), min_size=1, max_size=6
    )
)
def test_a_marker_means_the_same_by_its_pairs_and_by_its_printed_spec(pairs):
    marked = tuple(case.threads for case in parse_marker((), {"configs": pairs}))
    assert parse_spec(to_spec(marked)) == marked


@tried(100)
@given(CONFIGS)
def test_a_configuration_is_stored_and_read(threads):
    assert Configuration.named(threads.id, threads).threads == threads


@tried(200)
@given(COUNTS, MACHINES)
def test_threads_on_any_machine_are_within_bounds(count, machine):
    threads = ThreadCount.parse(count, "intra").resolve(machine)
    assert (threads == 0) == (count in (0, "auto"))
    assert 0 <= threads <= MAX_THREADS


@tried(200)
@given(CONFIGS, MACHINES)
def test_instances_that_fill_a_machine_find_cpus_of_their_own_and_leave_none_for_one_more(
    threads, machine
):
    (case,) = parse_marker((), {"configs": [(threads.intra, threads.inter, "fill")]})
    pools = threads.intra.resolve(machine), threads.inter.resolve(machine)
    cpus_of_one = case.granted_cpus(*pools, machine.logical)
    instances = case.team_size(*pools, machine)
    assert instances * cpus_of_one <= machine.logical < (instances + 1) * cpus_of_one


TERMS = st.fixed_dictionaries(
    {},
    optional={
        "env": st.dictionaries(
            st.sampled_from(["A", "B"]), st.text("ab/_ -=", max_size=3), min_size=1, max_size=2
        ),
        "cpus": st.integers(1, 4) | st.just("all"),
        "processes": st.integers(1, 4),
        "timeout": st.floats(0.001, 1e6),
        "tolerance": st.sampled_from(["5%", "12.5%", {"throughput": "5%"}]),
    },
)


@tried(200)
@given(st.lists(st.tuples(CONFIGS, TERMS), min_size=1, max_size=4))
@example([(ThreadConfig(), {"env": {"A": "/"}}), (ThreadConfig(), {"env": {"A": "_"}})])
@example([(ThreadConfig(), {"timeout": 1.0}), (ThreadConfig(), {"timeout": 1.0000001})])
def test_different_cases_of_a_test_have_different_ids(markers):
    level = [
        case
        for threads, terms in markers
        for case in parse_marker((), {"configs": [configuration(threads)], **terms})
    ]
    cases = select([level], ())
    assert len({case.id for case in cases}) == len(cases)


def configuration(threads):
    """As an entry of the marker's `configs`."""
    instances = () if threads.instances is None else (threads.instances,)
    return (threads.intra, threads.inter, *instances)


@tried(150)
@given(CONFIGS, CONFIGS, st.text("abc01._", max_size=5), st.text("abc01._", max_size=5))
def test_all_configurations_of_a_test_have_one_id_without_them(one, other, before, after):
    names = [
        f"test_x.py::test_y[{'-'.join(filter(None, (before, config.id, after)))}]"
        for config in (one, other)
    ]
    assert without_case(names[0]) == without_case(names[1])
    assert one.id not in without_case(names[0]).split("[")[1]


@tried(400)
@given(st.lists(ANYTHING, max_size=3), st.dictionaries(st.sampled_from(ARGUMENTS), ANYTHING))
@example([LARGE], {})
@example([-LARGE], {})
@example(["1" * 5000], {})
@example(["1" * 5000 + "*physical"], {})
@example([], {"processes": -LARGE})
@example([], {"cpus": -LARGE})
@example([], {"timeout": -LARGE})
@example([], {"timeout": LARGE})
@example([], {"configs": [LARGE]})
@example([], {"tolerance": LARGE})
@example([], {"intra": {"x": LARGE}})
def test_whatever_a_marker_is_given(args, kwargs):
    cases, error = value_or_error(ConfigError, parse_marker, args, kwargs)
    if error is not None:
        assert error.argument in (*ARGUMENTS, "positional arguments")
        assert str(error).startswith(f"{error.argument}: ")
        return
    assert cases
    assert all(case.threads.id for case in cases)


@tried(400)
@given(st.text("0123456789x,;=*/intraphyslogcu ٣²", max_size=20) | st.text(max_size=12))
@example("1" * 5000 + "x1")
@example("1" * 5000 + "*physicalx1")
def test_whatever_the_command_line_is_given(spec):
    configs, error = value_or_error(ConfigError, parse_spec, spec)
    if error is not None:
        assert error.argument == "--tf-threads"
        return
    assert parse_spec(to_spec(configs)) == configs


@tried(200)
@given(ANYTHING)
@example("1" * 5000 + "%")
@example("0." + "0" * 400 + "1%")
def test_whatever_is_tolerated(value):
    shares, error = value_or_error(ValueError, parse_tolerance, value)
    if error is not None:
        assert "use" in str(error) or "neither" in str(error)
        return
    assert all(0 < share < 1 for share in shares.values())


@tried(100)
@given(ANYTHING)
def test_whatever_a_timeout_is(value):
    assume(value is not None)
    seconds, error = value_or_error(ConfigError, parse_timeout, value, "timeout")
    assert seconds > 0 if error is None else error.argument == "timeout"


@pytest.mark.parametrize("text", ["1" * 5000, "1" * 5000 + "*physical", "physical/" + "1" * 5000])
def test_stored_counts_beyond_all_bounds(text):
    with pytest.raises(ConfigError, match="intra"):
        Configuration("x", text, "1")
