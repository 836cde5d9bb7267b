"""Sets of CPUs for processes that run at once, on machines of any shape."""

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from properties import tried
from pytest_tfthreads.system.machine import Machine


@st.composite
def machines(draw, always_uniform=False):
    """Up to 3 nodes of up to 5 cores of up to 4 CPUs; where uniform, all nodes and cores alike."""
    if always_uniform or draw(st.booleans()):
        nodes, cores, siblings = (draw(st.integers(1, most)) for most in (3, 5, 3))
        shape = [[siblings] * cores] * nodes
    else:
        shape = draw(
            st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5), min_size=1, max_size=3)
        )
    numbers = draw(st.permutations(range(sum(map(sum, shape)))))
    cpus = iter(numbers)
    core_of, numa = {}, {}
    for node, cores in enumerate(shape):
        for core, siblings in enumerate(cores):
            for cpu in itertools.islice(cpus, siblings):
                core_of[cpu], numa[cpu] = f"{node}.{core}", node
    return Machine("test", tuple(sorted(core_of.items())), None, numa)


UNIFORM = machines(always_uniform=True)
INSTANCES, SIZES, PLACES = st.integers(1, 20), st.integers(1, 20), st.integers(0, 100)


@tried(300)
@given(machines(), INSTANCES, SIZES, PLACES)
def test_each_instance_has_a_set_and_no_two_share_a_cpu_while_there_are_enough(
    machine, instances, size, place
):
    sets = machine.team_sets(instances, size, place)
    cpus = len(machine.core_of)
    assert len(sets) == instances
    assert all(one == tuple(sorted(set(one))) for one in sets)
    assert {len(one) for one in sets} == {min(size, cpus)}
    uses = Counter(itertools.chain(*sets))
    most = -(-instances * min(size, cpus) // cpus)
    assert max(uses.values()) <= most, "CPUs are used again only when each has been used"
    assert uses.keys() <= dict(machine.core_of).keys()


@tried(100)
@given(machines(), SIZES, PLACES)
def test_one_instance_has_the_set_of_a_process_that_is_alone(machine, size, place):
    assert machine.team_sets(1, size, place) == (machine.cpu_set(size, place),)


@tried(300)
@given(machines(), INSTANCES, SIZES, PLACES)
def test_threads_have_cores_of_their_own_while_there_are_cores_for_all(
    machine, instances, size, place
):
    core_of = dict(machine.core_of)
    used = [core_of[cpu] for cpus in machine.team_sets(instances, size, place) for cpu in cpus]
    if instances * size <= len(set(core_of.values())):
        assert len(set(used)) == len(used)


@tried(300)
@given(machines(), INSTANCES, SIZES, PLACES)
def test_an_instance_stays_in_a_node_while_the_nodes_have_cores_for_it(
    machine, instances, size, place
):
    cores = Counter(
        node for node, _ in {(machine.node_of(cpu), core) for cpu, core in machine.core_of}
    )
    room = sum(count // size for count in cores.values())
    sets = machine.team_sets(instances, size, place)
    spread = [len({machine.node_of(cpu) for cpu in cpus}) > 1 for cpus in sets]
    if instances * size <= sum(cores.values()) and instances > 1:
        assert sum(spread) <= max(0, instances - room)


@tried(300)
@given(UNIFORM, INSTANCES, SIZES, PLACES)
def test_siblings_are_in_one_instance_while_each_instance_can_have_whole_cores(
    machine, instances, size, place
):
    core_of = dict(machine.core_of)
    cores, siblings = len(set(core_of.values())), max(Counter(core_of.values()).values())
    users = Counter(
        core
        for cpus in machine.team_sets(instances, size, place)
        for core in {core_of[cpu] for cpu in cpus}
    )
    if instances * -(-size // siblings) <= cores:
        assert set(users.values()) == {1}


@tried(300)
@given(UNIFORM, st.integers(2, 20), SIZES)
def test_every_cpu_has_its_turn(machine, instances, size):
    places = range(len(machine.core_of))
    uses = Counter(
        cpu
        for place in places
        for cpu in itertools.chain(*machine.team_sets(instances, size, place))
    )
    assert uses.keys() == dict(machine.core_of).keys()


@tried(100)
@given(machines(), st.integers(2, 20), SIZES, PLACES)
def test_the_places_go_round(machine, instances, size, place):
    once_around = place + len(machine.core_of)
    assert machine.team_sets(instances, size, once_around) == machine.team_sets(
        instances, size, place
    )


def test_hyperthreads_of_a_core_are_in_one_instance():
    """Four cores of two CPUs: CPUs n and n + 4 share a core."""
    machine = Machine("test", tuple((cpu, str(cpu % 4)) for cpu in range(8)), None)
    assert machine.team_sets(4, 2, 0) == ((0, 4), (1, 5), (2, 6), (3, 7))
    assert machine.team_sets(3, 2, 0) == ((0, 4), (1, 5), (2, 6))
    assert machine.team_sets(2, 2, 0) == ((0, 1), (2, 3))
    assert machine.team_sets(2, 3, 0) == ((0, 1, 4), (2, 3, 6))
    assert machine.team_sets(6, 1, 0) == ((0,), (1,), (2,), (3,), (4,), (5,))
    assert machine.team_sets(2, 2, 1) == ((1, 2), (0, 3))
    assert machine.team_sets(5, 2, 0) == ((0, 4), (1, 5), (2, 6), (3, 7), (0, 4))
