"""Turns among fake members of exact durations."""

import pytest

from pytest_tfthreads.core.layout import Layout, Ready
from pytest_tfthreads.engine.interleaving import ROUNDS_A_SET, Ring, run_interleaved


class World:
    """A clock, and who ran when."""

    def __init__(self):
        self.now_s = 0.0
        self.log = []  # (member, begin, end, CPUs)

    def members(self):
        return [name for name, *_ in self.log]


class FakeMember:
    def __init__(
        self, world, name, call_s=0.005, cpus=1, rounds=None, rounds_a_turn=2, dies=None, warm=True
    ):
        self.world = world
        self.name = name
        self.call_s = call_s
        self.cpu_count = cpus
        self.rounds = rounds
        self.rounds_a_turn = rounds_a_turn
        self.dies = dies  # "setting up", or the number of the turn
        self.warm = warm
        self.turns = 0
        self.done = 0
        self.layout = None
        self.abandoned = 0
        self.gone = False

    def _run(self, seconds, cpus):
        began_s = self.world.now_s
        self.world.now_s += seconds
        self.world.log.append((self.name, began_s, self.world.now_s, cpus))

    def set_up(self, sets):
        self._run(1.0, *sets(1, self.cpu_count))
        if self.dies == "setting up":
            self.gone = True
            return None
        return Ready(iterations=1, call_s=self.call_s, budget_s=1.0) if self.warm else None

    def take_turn(self, sets, layout):
        (cpus,) = sets(1, self.cpu_count)
        if self.gone:
            return False
        self.layout = layout
        self.turns += 1
        if isinstance(self.dies, BaseException):
            raise self.dies
        left = (self.rounds or layout.rounds) - self.done
        rounds = min(self.rounds_a_turn, left)
        self._run(rounds * self.call_s, cpus)
        self.done += rounds
        self.gone = rounds == left or self.turns == self.dies
        return not self.gone

    def abandon(self):
        self.abandoned += 1


@pytest.fixture
def world():
    return World()


def team_sets(instances, size, place):
    assert instances == 1
    return (tuple(sorted((place + nth) % 4 for nth in range(size))),)


def run(members, rounds_a_turn=2, first_set=0):
    run_interleaved(members, Ring(rounds_a_turn, first_set), team_sets)


def test_set_up_in_order_then_turns_in_order(world):
    members = [FakeMember(world, name) for name in "bca"]
    run(members)
    names = world.members()
    assert names[:3] == ["b", "c", "a"]
    turns = names[3:]
    assert turns == ["b", "c", "a"] * (len(turns) // 3)
    assert {member.done for member in members} == {200}


def test_only_one_runs_at_a_time(world):
    run([FakeMember(world, name, call_s) for name, call_s in (("a", 0.005), ("b", 0.02))])
    ends = [end for _, _, end, _ in world.log]
    begins = [begin for _, begin, _, _ in world.log]
    assert all(begin >= end for end, begin in zip(ends, begins[1:], strict=False))


def test_group_agrees_once_and_keeps_its_budget(world):
    slow, fast = FakeMember(world, "slow", 0.015), FakeMember(world, "fast", 0.005)
    run([slow, fast])
    assert slow.layout == fast.layout == Layout(iterations=1, rounds=100)
    measured_s = sum(end - begin for _, begin, end, _ in world.log[2:])
    assert measured_s == pytest.approx(2.0)


def test_alone_is_a_group_of_one(world):
    member = FakeMember(world, "a", rounds_a_turn=8)
    run([member], rounds_a_turn=8)
    assert (member.done, member.turns) == (200, 25)
    assert member.layout == Layout(iterations=1, rounds=200)


@pytest.mark.parametrize("rounds_a_turn", [1, 2, 8, 16])
def test_cpu_sets_move_on_together(world, rounds_a_turn):
    run(
        [
            FakeMember(world, name, cpus=cpus, rounds_a_turn=rounds_a_turn)
            for name, cpus in (("one", 1), ("two", 2), ("all", 4))
        ],
        rounds_a_turn,
        first_set=3,
    )
    by_member = {
        name: [cpus for who, _, _, cpus in world.log if who == name] for name in ("one", "two")
    }
    assert by_member["one"][0] == (3,)
    assert by_member["two"][0] == (0, 3)
    turns = by_member["one"][1:]
    rounds_on = {cpu: turns.count((cpu,)) * rounds_a_turn for cpu in range(4)}
    # 133 rounds in all, nobody keeps a CPU.
    assert max(rounds_on.values()) - min(rounds_on.values()) <= max(ROUNDS_A_SET, rounds_a_turn)
    # One at a place: the smaller set lies within the larger.
    assert all(
        set(one) <= set(two) for one, two in zip(by_member["one"], by_member["two"], strict=True)
    )
    assert {cpus for who, _, _, cpus in world.log if who == "all"} == {(0, 1, 2, 3)}


def test_one_that_crashes_leaves_the_ring_and_the_others_go_on(world):
    crashing = FakeMember(world, "crashing", dies=3)
    others = [FakeMember(world, name) for name in "ab"]
    run([others[0], crashing, others[1]])
    assert crashing.turns == 3
    assert [other.done for other in others] == [200, 200]


def test_one_that_never_comes_up_is_not_reckoned_with(world):
    broken = FakeMember(world, "broken", call_s=1.0, dies="setting up")
    other = FakeMember(world, "other")
    run([broken, other])
    assert broken.turns == 0
    assert other.layout == Layout(iterations=1, rounds=200)


def test_one_that_finishes_early_leaves_the_ring(world):
    early = FakeMember(world, "early", rounds=3)
    late = FakeMember(world, "late")
    run([early, late])
    assert world.members()[2:6] == ["early", "late", "early", "late"]
    assert set(world.members()[6:]) == {"late"}
    assert late.done == 200


def test_members_with_rounds_of_their_own_take_turns_all_the_same(world):
    members = [FakeMember(world, name, rounds=6, warm=False) for name in "ab"]
    run(members)
    assert world.members() == ["a", "b", "a", "b", "a", "b", "a", "b"]
    assert members[0].layout is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_nobody_is_left_whatever_happens(world, error):
    members = [FakeMember(world, "a"), FakeMember(world, "b", dies=error), FakeMember(world, "c")]
    with pytest.raises(type(error)):
        run(members)
    assert [member.abandoned for member in members] == [1, 1, 1]


def test_everybody_is_abandoned_at_the_end_too(world):
    members = [FakeMember(world, name) for name in "ab"]
    run(members)
    assert [member.abandoned for member in members] == [1, 1]
