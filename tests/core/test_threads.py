"""What markers and --tf-threads ask for."""

import itertools

import numpy
import pytest

from pytest_tfthreads.core.decode import decode, encode
from pytest_tfthreads.core.threads import (
    AUTO,
    Case,
    ConfigError,
    Configuration,
    CpuCounts,
    InstanceCount,
    ThreadConfig,
    ThreadCount,
    is_oversubscribed,
    parse_marker,
    parse_spec,
    select,
    without_case,
)

MACHINE = CpuCounts(physical=4, logical=8)


def ids(args=(), **kwargs):
    return [case.id for case in parse_marker(args, kwargs)]


@pytest.mark.parametrize(
    ("value", "threads"),
    [
        (None, 0),
        (0, 0),
        ("auto", 0),
        (3, 3),
        (4096, 4096),
        ("logical", 8),
        ("physical", 4),
        ("2*physical", 8),
        ("physical/2", 2),
        ("3*logical/2", 12),
        ("physical/16", 1),
        ("100000*logical", 4096),
    ],
)
def test_thread_counts(value, threads):
    assert ThreadCount.parse(value, "intra").resolve(MACHINE) == threads


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "intra: -1 is negative; 0 leaves it to TensorFlow"),
        (4097, "more than 4096"),
        (2**31 - 1, "more than 4096"),
        (True, "True is no thread count"),
        (1.5, "1.5 is no thread count"),
        ("8", "'8' is text; write the number 8"),
        ("physcal", "unknown symbol 'physcal'; known are"),
        ("", "a number or symbol is missing; known are"),
        ("0*physical", "unknown symbol"),
        ("physical/0", "unknown symbol"),
        ({}, "no thread count"),
    ],
)
def test_bad_thread_counts_name_argument_and_mend(value, message):
    with pytest.raises(ConfigError) as error:
        ThreadCount.parse(value, "intra")
    assert message in str(error.value)
    assert str(error.value).startswith("intra: ")


@pytest.mark.parametrize(
    ("value", "cpus_of_one", "instances"),
    [
        (1, 1, 1),
        (4096, 1, 4096),
        ("physical", 1, 4),
        ("physical/2", 1, 2),
        ("physical/16", 1, 1),
        ("100000*logical", 1, 4096),
        ("fill", 1, 8),
        ("fill", 3, 2),
        ("fill", 8, 1),
        ("fill", 9, 1),
    ],
)
def test_instance_counts(value, cpus_of_one, instances):
    assert InstanceCount.parse(value, "instances").resolve(MACHINE, cpus_of_one) == instances


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "instances: 0 is no number of instances; use an integer >= 1"),
        (-1, "-1 is no number of instances"),
        (4097, "4097 instances are more than 4096"),
        (True, "True is no number of instances"),
        (None, "None is no number of instances"),
        (1.5, "1.5 is no number of instances"),
        ("8", "'8' is text; write the number 8"),
        ("auto", "'auto' is no symbol for instances; known are \"fill\""),
        ("fill/2", "'fill/2' is no symbol for instances"),
        ("9" * 10, "are more than 4096"),
    ],
)
def test_bad_instance_counts_name_argument_and_mend(value, message):
    with pytest.raises(ConfigError) as error:
        InstanceCount.parse(value, "instances")
    assert message in str(error.value)
    assert str(error.value).startswith("instances: ")


def test_instances_are_the_third_axis_of_a_grid():
    assert ids((1, 1), instances=4) == ["intra1-inter1-x4"]
    assert ids((1, 1), instances=1) == ["intra1-inter1-x1"]
    assert ids(([1, 2], 1), instances=[1, "fill"]) == [
        "intra1-inter1-x1",
        "intra1-inter1-xfill",
        "intra2-inter1-x1",
        "intra2-inter1-xfill",
    ]
    assert ids(configs=[(1, 1), (1, 2, "physical/2"), (2, 1, numpy.int64(3))]) == [
        "intra1-inter1",
        "intra1-inter2-xphysical/2",
        "intra2-inter1-x3",
    ]


@pytest.mark.parametrize(
    ("marker", "intra", "inter", "instances"),
    [
        ({}, 2, 1, 1),
        ({"instances": "fill"}, 2, 1, 4),
        ({"instances": "fill"}, 0, 1, 1),
        ({"instances": "fill", "cpus": 1}, 0, 1, 8),
        ({"instances": "fill", "cpus": "all"}, 1, 1, 1),
        ({"instances": "physical"}, 8, 8, 4),
        ({"instances": 99}, 1, 1, 99),
    ],
)
def test_the_instances_of_a_case_are_counted_after_its_threads(marker, intra, inter, instances):
    (case,) = parse_marker((), marker)
    assert case.team_size(intra, inter, MACHINE) == instances


@pytest.mark.parametrize(
    ("threads", "granted", "instances", "expected"),
    [
        (8, 8, 1, False),
        (2, 1, 1, True),
        (2, 2, 4, False),
        (2, 2, 5, True),
        (1, 1, 9, True),
        (1, 2, 8, False),
        (0, 8, 1, False),
        (0, 8, 2, True),
        (0, 2, 4, False),
    ],
)
def test_more_threads_in_all_than_cpus_are_too_many(threads, granted, instances, expected):
    assert is_oversubscribed(threads, granted, instances, MACHINE.logical) == expected


def test_grids_pairs_and_ids():
    assert ids((8, 4)) == ["intra8-inter4"]
    assert ids() == ["intraauto-interauto"]
    assert ids(intra=0) == ids(intra="auto") == ids(intra=None)
    assert ids(intra=[1, "physical"], inter=[1, 2]) == [
        "intra1-inter1",
        "intra1-inter2",
        "intraphysical-inter1",
        "intraphysical-inter2",
    ]
    assert ids(intra=range(1, 3)) == ["intra1-interauto", "intra2-interauto"]
    assert ids(configs=[(8, 4), ("2*physical", 0)]) == [
        "intra8-inter4",
        "intra2*physical-interauto",
    ]
    assert ids(intra=[1, 1, 1]) == ["intra1-interauto"]


@pytest.mark.parametrize(
    ("args", "kwargs", "argument", "message"),
    [
        ((1, 2, 3), {}, "positional arguments", "3 given"),
        ((1,), {"intra": 2}, "intra", "given twice"),
        ((), {"inta": 2}, "inta", "unknown argument; known are intra, inter, instances"),
        ((), {"intra": []}, "intra", "the list is empty"),
        ((), {"intra": [1, -2]}, "intra", "negative"),
        ((), {"configs": []}, "configs", "the list is empty"),
        ((), {"configs": 8}, "configs", "8 is not a list of pairs such as configs=[(8, 4)"),
        ((), {"configs": [8]}, "configs", "8 is neither a pair"),
        ((), {"configs": [(1, 2, 3, 4)]}, "configs", "(1, 2, 3, 4) is neither a pair"),
        ((), {"configs": [(1, 2, 0)]}, "configs", "0 is no number of instances"),
        ((), {"configs": [(1, 2, None)]}, "configs", "None is no number of instances"),
        ((), {"configs": [(1, 2)], "instances": 3}, "configs", "not both"),
        ((), {"instances": 0}, "instances", "0 is no number of instances"),
        ((), {"instances": [1, "auto"]}, "instances", "'auto' is no symbol for instances"),
        ((), {"instances": []}, "instances", "the list is empty"),
        ((), {"configs": [(1, -2)]}, "configs", "negative"),
        ((), {"configs": [(1, 2)], "inter": 3}, "configs", "not both"),
        ((), {"cpus": 0}, "cpus", 'use an integer >= 1 or "all"'),
        ((), {"cpus": "some"}, "cpus", '"all"'),
        ((), {"cpus": True}, "cpus", '"all"'),
        ((), {"env": ["A=1"]}, "env", "no dict"),
        ((), {"env": {"A": 1}}, "env", "A must be text, not 1"),
        ((), {"env": {"A=B": "1"}}, "env", "name of an environment variable"),
        ((), {"env": {"A": "a\0b"}}, "env", "A must be text"),
        ((), {"processes": 0}, "processes", "integer >= 1"),
        ((), {"processes": 2.0}, "processes", "integer >= 1"),
        ((), {"timeout": 0}, "timeout", "more than 0"),
        ((), {"timeout": float("nan")}, "timeout", "more than 0"),
        ((), {"timeout": float("inf")}, "timeout", "more than 0"),
        ((), {"timeout": "5"}, "timeout", "more than 0"),
        ((), {"tolerance": 5}, "tolerance", "5 is no share above 0% and below 100%"),
        ((), {"tolerance": "0%"}, "tolerance", "'0%' is no share"),
        ((), {"tolerance": "120%"}, "tolerance", "'120%' is no share"),
        ((), {"tolerance": {}}, "tolerance", "is empty"),
        ((), {"tolerance": {"speed": "5%"}}, "tolerance", "'speed' is neither"),
        ((), {"tolerance": {"throughput": 0.05}}, "tolerance", "0.05 is no share"),
    ],
)
def test_bad_markers_name_the_argument(args, kwargs, argument, message):
    with pytest.raises(ConfigError) as error:
        parse_marker(args, kwargs)
    assert error.value.argument == argument
    assert message in str(error.value)


def test_terms_of_a_marker():
    (case,) = parse_marker(
        (1,), {"cpus": 2, "env": {"B": "2", "A": "1"}, "processes": 5, "timeout": 7}
    )
    assert (case.cpus, case.env, case.processes, case.timeout_s) == (
        2,
        (("A", "1"), ("B", "2")),
        5,
        7.0,
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("8x4", ["intra8-inter4"]),
        ("8x4, 4x8,8x4", ["intra8-inter4", "intra4-inter8"]),
        ("0x0", ["intraauto-interauto"]),
        ("2*physicalxlogical/2", ["intra2*physical-interlogical/2"]),
        ("intra=1,2;inter=1", ["intra1-inter1", "intra2-inter1"]),
        ("inter=physical", ["intraauto-interphysical"]),
        ("1x1x4", ["intra1-inter1-x4"]),
        (
            "1x1xfill, 1x1,2xphysicalxphysical/2",
            [
                "intra1-inter1-xfill",
                "intra1-inter1",
                "intra2-interphysical-xphysical/2",
            ],
        ),
        ("intra=1;instances=1,fill", ["intra1-interauto-x1", "intra1-interauto-xfill"]),
        ("instances=2", ["intraauto-interauto-x2"]),
    ],
)
def test_spec(spec, expected):
    assert [config.id for config in parse_spec(spec)] == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("8", "'8' is no configuration; use INTRAxINTER pairs"),
        ("", "no configuration"),
        ("8x", "a number or symbol is missing"),
        ("8x-4", "unknown symbol '-4'"),
        ("8x4x2x1", "'8x4x2x1' is no configuration"),
        ("8x4x", "'' is no symbol for instances"),
        ("8x4x0", "0 is no number of instances"),
        ("8x4xauto", "'auto' is no symbol for instances"),
        ("8x4x99999", "99999 instances are more than 4096"),
        ("instances=1;instances=2", "instances is given twice"),
        ("threads=4", "'threads' is none of intra, inter, instances"),
        ("intra=1;intra=2", "intra is given twice"),
        ("intra=", "a number or symbol is missing"),
        ("99999x1", "more than 4096"),
    ],
)
def test_bad_specs_name_the_option(spec, message):
    with pytest.raises(ConfigError, match=r"^--tf-threads: ") as error:
        parse_spec(spec)
    assert message in str(error.value)


def test_closest_level_wins_and_one_level_adds_up():
    function, module = parse_marker((1,), {}), parse_marker((2,), {"processes": 9})
    again = parse_marker(([1, 3],), {})
    assert select([function, module], ()) == function
    assert [case.id for case in select([[*function, *again], module], ())] == [
        "intra1-interauto",
        "intra3-interauto",
    ]
    assert select([(), module], ()) == module
    assert select([], ()) == ()


def test_override_keeps_the_terms_of_the_closest_markers():
    (case,) = select([parse_marker((1,), {"processes": 9})], [ThreadConfig(ThreadCount("5"))])
    assert (case.id, case.processes) == ("intra5-interauto", 9)
    assert select([], [ThreadConfig()]) == ()
    level = [*parse_marker(([1, 2],), {"cpus": 1}), *parse_marker(([1, 2],), {"cpus": 2})]
    assert [case.id for case in select([level], parse_spec("5x1,6x1"))] == [
        "intra5-inter1-cpus=1",
        "intra6-inter1-cpus=1",
        "intra5-inter1-cpus=2",
        "intra6-inter1-cpus=2",
    ]


def test_cases_that_differ_in_their_terms_only_have_ids_of_their_own():
    level = [
        *parse_marker((1,), {"env": {"TF_ENABLE_ONEDNN_OPTS": "0"}}),
        *parse_marker((1,), {"env": {"TF_ENABLE_ONEDNN_OPTS": "1", "X": "a b/c::d"}, "cpus": 2}),
        *parse_marker((1,), {}),
        *parse_marker((2,), {"cpus": 2}),
    ]
    assert [case.id for case in select([level], ())] == [
        "intra1-interauto-TF_ENABLE_ONEDNN_OPTS=0",
        "intra1-interauto-TF_ENABLE_ONEDNN_OPTS=1-X=a_b_c_d-cpus=2",
        "intra1-interauto",
        "intra2-interauto",
    ]


def terms_of(*markers):
    cases = select([[case for args, terms in markers for case in parse_marker(args, terms)]], ())
    return [(case.id, case.terms) for case in cases]


def test_terms_are_told_apart_and_values_of_variables_only_where_ids_tell_them():
    assert terms_of(
        ((1,), {}),
        (([2, 4],), {"env": {"TOKEN": "secret"}}),
        ((8,), {"env": {"TOKEN": "other"}, "cpus": 2, "processes": 5}),
        ((16,), {"env": {"TOKEN": "third"}}),
    ) == [
        ("intra1-interauto", ""),
        ("intra2-interauto", "-TOKEN"),
        ("intra4-interauto", "-TOKEN"),
        ("intra8-interauto", "-TOKEN-cpus=2"),
        ("intra16-interauto", "-TOKEN-2"),
    ]
    assert terms_of((([1, 2],), {"env": {"X": "0"}}), (([2, 4],), {"env": {"X": "1"}})) == [
        ("intra1-interauto", "-X=0"),
        ("intra2-interauto-X=0", "-X=0"),
        ("intra2-interauto-X=1", "-X=1"),
        ("intra4-interauto", "-X=1"),
    ]
    # How it is measured is none of what it is measured under.
    twins = terms_of(((1,), {"processes": 3}), ((1,), {"processes": 5}))
    assert twins == [("intra1-interauto-processes=3", ""), ("intra1-interauto-processes=5", "")]


def test_terms_are_stored_only_where_the_id_does_not_say_them():
    threads = ThreadConfig()
    said = Configuration.named(f"{threads.id}-X=1", threads, "-X=1")
    assert said.terms is None
    unsaid = Configuration.named(threads.id, threads, "-X")
    assert unsaid.terms == "-X"
    assert [decode(Configuration, encode(one)) for one in (said, unsaid)] == [said, unsaid]


@pytest.mark.parametrize(
    ("cpus", "intra", "inter", "granted"),
    [
        (None, 1, 1, 1),
        (None, 2, 3, 3),
        (None, 16, 1, 8),
        (None, 0, 1, 8),
        (None, 1, 0, 8),
        ("all", 1, 1, 8),
        (2, 1, 1, 2),
        (16, 1, 1, 8),
    ],
)
def test_granted_cpus(cpus, intra, inter, granted):
    assert Case(ThreadConfig(AUTO, AUTO), cpus=cpus).granted_cpus(intra, inter, 8) == granted


@pytest.mark.parametrize(
    ("nodeid", "shared"),
    [
        ("t.py::test_it[intra1-inter2]", "t.py::test_it[]"),
        ("t.py::test_it[intraauto-interauto]", "t.py::test_it[]"),
        ("t.py::test_it[3-intra1-inter2-x4]", "t.py::test_it[3-]"),
        ("t.py::test_it[intra1-inter2-xphysical/2-cpus=1]", "t.py::test_it[]"),
        ("t.py::test_it[intra1-inter2-xfill]", "t.py::test_it[]"),
        ("t.py::T::test_it[32-intra2*physical/3-interlogical]", "t.py::T::test_it[32-]"),
        ("t.py::test_it[a-b-intra1-inter2-A=b-c-cpus=2]", "t.py::test_it[a-b-]"),
        ("t.py::test_it[32-intra1-inter2]@shared", "t.py::test_it[32-]@shared"),
        ("t.py::test_it[[x]-intra1-inter2]", "t.py::test_it[[x]-]"),
        ("intra1-inter1[x]/t.py::test_it[32-intra1-inter2]", "intra1-inter1[x]/t.py::test_it[32-]"),
    ],
)
def test_ids_of_all_configurations_have_in_common(nodeid, shared):
    assert without_case(nodeid) == shared


@pytest.mark.parametrize(
    "nodeid",
    [
        "t.py",
        "t.py::test_it",
        "t.py::test_it[32]",
        "t.py::test_intra1-inter2",
        "t.py::test_it[xintra1-inter2]",
        "t.py::test_it[intra1-inter2x]",
        "t[intra1-inter2].py::test_it[3]",
    ],
)
def test_ids_that_name_no_configuration_are_left(nodeid):
    assert without_case(nodeid) == nodeid


def test_every_id_of_a_case_is_recognised():
    markers = [((counts, "physical/2"), {}) for counts in (1, "auto", "2*logical")]
    markers += [
        ((1, 1), {"cpus": 1}),
        ((1, 1), {"env": {"A-]B": "]-[="}}),
        ((1, 1), {"timeout": 3}),
        ((1, 1), {"instances": ["fill", "physical/2"]}),
    ]
    cases = select([[case for args, terms in markers for case in parse_marker(args, terms)]], ())
    assert len({case.id for case in cases}) == 8
    assert {without_case(f"t.py::test_it[x-{case.id}]") for case in cases} == {"t.py::test_it[x-]"}


@pytest.mark.parametrize(
    "axis",
    [
        (2, 10),
        range(2, 11, 8),
        iter([2, 10]),
        {10, 2},
        frozenset([10, 2]),
        {2: "", 10: ""}.keys(),
        numpy.array([2, 10]),
        [numpy.int16(2), numpy.uint8(10)],
    ],
)
def test_any_iterable_of_any_integers(axis):
    cases = parse_marker((axis,), {"inter": numpy.int64(1)})
    assert [case.id for case in cases] == ["intra2-inter1", "intra10-inter1"]
    assert all(type(case.threads.intra.text) is str for case in cases)


def test_a_set_with_symbols_has_an_order_too():
    cases = parse_marker(({"physical", 3, "auto", 1},), {})
    assert [case.threads.intra.text for case in cases] == ["1", "3", "auto", "physical"]


def test_pairs_and_terms_of_any_kind():
    (case,) = parse_marker(
        (), {"configs": numpy.array([[8, 4]]), "cpus": numpy.int8(3), "processes": numpy.int64(2)}
    )
    assert (case.id, case.cpus, case.processes) == ("intra8-inter4", 3, 2)
    assert (type(case.cpus), type(case.processes)) == (int, int)
    (case,) = parse_marker((), {"timeout": numpy.float32(0.5)})
    assert case.timeout_s == 0.5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"intra": iter([])}, "intra: the list is empty, or already used up"),
        ({"intra": itertools.count()}, "intra: there are more than 1000 values"),
        ({"intra": {1: 2}}, "intra: {1: 2} is no thread count"),
        ({"intra": numpy.array(3)}, "intra: .* is no list"),
        ({"intra": numpy.array([1.0])}, "intra: .* is no thread count"),
        ({"intra": [numpy.True_]}, "intra: .* is no thread count"),
        ({"configs": [{1, 2}]}, "configs: {1, 2} is neither"),
        ({"configs": {1: 2}}, "configs: {1: 2} is not a list of pairs"),
        ({"configs": ["12"]}, "configs: '12' is neither"),
    ],
)
def test_what_is_no_list_of_thread_counts(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        parse_marker((), kwargs)
