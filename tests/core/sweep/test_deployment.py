"""What is deployed of a recommendation, and how the machine may differ."""

from dataclasses import replace

import pytest

from pytest_tfthreads.core.hosts import Host
from pytest_tfthreads.core.measurement import Pools
from pytest_tfthreads.core.sweep.deployment import Deployment, deployment_of, differences
from pytest_tfthreads.core.sweep.recommendation import recommend

HOST = Host("h", "Model X", 4, 8, None, "3.12", "2.21")
ONE = Deployment("test", "intra2-inter1", Pools(2, 1), ((2, 0),), "", HOST)
MACHINE = {"host": "h", "cpu": "Model X", "physical": 4, "logical": 8, "quota": None,
           "python": "3.12", "tensorflow": "2.21"}  # fmt: skip


@pytest.mark.parametrize("instances", [(), ((),), ((0,), ())])
def test_each_instance_needs_a_cpu(instances):
    with pytest.raises(ValueError, match=r"^each instance needs a CPU$"):
        replace(ONE, instances=instances)


def test_only_a_pool_whose_size_was_chosen_is_set():
    intra, inter = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
    for pools, environment, unset in (
        (Pools(2, 1), {intra: 2, inter: 1}, ()),
        (Pools(0, 3), {inter: 3}, (intra,)),
        (Pools(0, 0), {}, (intra, inter)),
    ):
        one = replace(ONE, pools=pools)
        assert (one.environment, one.unset) == (environment, unset)
        neither = replace(one, sets_pools=False)
        assert (neither.environment, neither.unset) == ({}, ())


def test_instances_have_as_many_cpus_as_the_largest():
    assert ONE.cpus_an_instance == 2
    assert replace(ONE, instances=((0,), (1, 2, 3), (4, 5))).cpus_an_instance == 3


def test_a_deployment_is_written():
    one = replace(ONE, instances=((2, 0), (1,)), pools=Pools(0, 3), terms="X=1")
    data = {
        "schema": 1,
        "test": "test",
        "configuration": "intra2-inter1",
        "intra": 0,
        "inter": 3,
        "environment": {"TF_NUM_INTEROP_THREADS": "3"},
        "unset": ["TF_NUM_INTRAOP_THREADS"],
        "instances": [{"cpus": [2, 0]}, {"cpus": [1]}],
        "terms": "X=1",
    }
    assert one.to_json() == data
    for size, line in ((0, "# tf.data: no private pool was set"), (2, "options = tf.data.Opti")):
        pipeline = replace(one, data_threads=size)
        assert pipeline.to_json() == {**data, "data_threads": size, "code": [*pipeline.code]}
        assert pipeline.code[0].startswith(line)


def test_the_best_is_deployed_where_it_was_measured(candidate):
    def deployed(*candidates):
        return deployment_of(recommend("test", candidates))

    one = candidate(1, speed=0.5)
    best = candidate("physical", "auto", machine=MACHINE, cpus=(3, 1), terms="-X=1")
    assert deployed(one, best) == Deployment(
        test="test",
        id="intraphysical-interauto-X=1",
        pools=Pools(4, 0),
        instances=((3, 1),),
        terms="X=1",
        host=HOST,
    )
    team = candidate(2, instances=2, cpus=(3, 1))
    assert deployed(one, team).instances == ((0,), (1,))
    pipelines = [candidate(n, speed=n, data_threads=n) for n in (1, 2)]
    swept = deployed(*pipelines)
    assert (swept.data_threads, swept.sets_pools) == (2, False)
    same = deployed(*(candidate(n, speed=n, data_threads=3) for n in (1, 2)))
    assert (same.data_threads, same.sets_pools) == (3, True)


@pytest.mark.parametrize(
    ("fact", "value", "words"),
    [
        ("cpu", "Model Y", "CPU model Model Y here, Model X there"),
        ("cpu", None, "CPU model none here, Model X there"),
        ("physical", 2, "number of cores 2 here, 4 there"),
        ("logical", 4, "number of CPUs 4 here, 8 there"),
        ("quota", 1.5, "CPU quota 1.5 here, none there"),
    ],
)
def test_each_fact_that_differs_is_told(fact, value, words):
    assert differences(ONE, MACHINE, (0, 1, 2)) == []
    assert differences(ONE, {**MACHINE, fact: value}, (0, 1, 2)) == [
        f"this machine differs from the one that was measured: {words}; measure again on this "
        "machine"
    ]


def test_cpus_that_may_not_be_used_are_told_in_their_order():
    team = replace(ONE, instances=((9, 2), (10, 0)))
    assert differences(team, MACHINE, (0, 2, 9, 10)) == []
    assert differences(team, MACHINE, (0, 1)) == [
        "a process may not use CPU 2,9,10 here; pin to others"
    ]
    quota = differences(team, {**MACHINE, "quota": 2.0}, (0, 1, 2, 9))
    assert [one.split()[-1] for one in quota] == ["machine", "others"]
