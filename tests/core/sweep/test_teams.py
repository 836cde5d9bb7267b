"""Which configuration for which aim, and the lines that start several instances."""

import subprocess
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from properties import tried
from pytest_tfthreads.core.measurement import Latency
from pytest_tfthreads.core.sweep.recommendation import recommend, settings
from pytest_tfthreads.core.sweep.result import Sweep
from pytest_tfthreads.core.sweep.teams import Figures, Placement, launch_lines, pareto_front
from pytest_tfthreads.report.sweep import render

FIGURES = st.lists(
    st.builds(Figures, st.just(""), st.floats(0.1, 100), st.floats(0.1, 100)), max_size=12
)


def beats(one, other):
    at_least = one.throughput >= other.throughput and one.call_s <= other.call_s
    return at_least and (one.throughput, one.call_s) != (other.throughput, other.call_s)


@tried(300)
@given(FIGURES)
def test_the_front_has_those_that_none_beats_in_both_figures(figures):
    front = pareto_front(figures)
    assert all(not beats(other, one) for one in front for other in figures)
    assert all(
        one in front or any(beats(other, one) or other == one for other in front) for one in figures
    )
    assert [one.throughput for one in front] == sorted({one.throughput for one in front})[::-1]
    if figures:
        assert front[0].throughput == max(one.throughput for one in figures)
        assert front[-1].call_s == min(one.call_s for one in figures)


def test_a_shell_starts_each_instance_on_its_cpus_and_waits():
    placements = [Placement((0, 4)), Placement((1, 5))]
    lines = launch_lines(placements, ["A=1"], "python serve.py")
    assert lines == ('for cpus in 0,4 1,5; do A=1 taskset -c "$cpus" python serve.py & done; wait',)
    checked = subprocess.run(["sh", "-n"], input="\n".join(lines), text=True, check=False)
    assert checked.returncode == 0


def test_instances_on_several_nodes_get_the_memory_of_their_node():
    placements = [Placement((0, 1), 0), Placement((2, 3), 1)]
    assert launch_lines(placements, [], "run") == (
        "numactl --physcpubind=0,1 --membind=0 run &",
        "numactl --physcpubind=2,3 --membind=1 run &",
        "wait",
    )
    assert launch_lines([Placement((1, 2)), Placement((3,), 1)], [], "run")[0] == (
        "numactl --physcpubind=1,2 run &"
    )


def team(one):
    """Its calls are answered beside each other: each takes as long as all of them together."""
    call_s = one.call_s * one.instances
    return replace(
        one, measurement=replace(one.measurement, latency=Latency(call_s, 2 * call_s, 1))
    )


def text_of(candidates):
    return " ".join(" ".join(render(Sweep("test", recommend("test", candidates)))).split())


def test_with_instances_there_are_three_answers(candidate):
    """Four instances of one thread bring most in all, one of four threads is the quickest."""
    one = candidate(1, instances=1, speed=1.0)
    both = team(candidate(2, instances=2, speed=2.6))
    four = team(candidate(1, instances=4, speed=3.6))
    quick = candidate(4, instances=1, speed=2.0)
    beaten = candidate(2, instances=1, speed=1.2)
    advice = recommend("test", [one, both, four, quick, beaten])
    assert advice.best.id == four.id
    assert [found.id for found in advice.front] == [four.id, both.id, quick.id]
    assert advice.shortest_call.id == quick.id
    text = text_of([one, both, four, quick, beaten])
    assert "test: 1×1 × 4 instances is recommended: 3.60 [" in text
    assert "most throughput of all instances together: 1×1 × 4 instances" in text
    assert "shortest time of a call: 4×1 × 1 instance" in text
    assert "between them: 2×1 × 2 instances" in text
    assert "@pytest.mark.tf_threads(intra=1, inter=1, instances=4)" in text
    assert "cores used: 3.60 of 4" in text


def test_a_figure_that_is_a_little_larger_is_no_other_answer(candidate):
    """The smallest of those tied has the most throughput, as far as anybody can tell."""
    few, many = candidate(2, instances=2, speed=3.0), candidate(2, instances=3, speed=3.001)
    text = text_of([candidate(1), few, many])
    assert "together: 2×1 × 2 instances (" in text
    assert "of 2; tied with 2×1 × 3 instances (" in text
    assert "between them" not in text


def test_lines_to_paste_start_the_team_where_it_was_measured(candidate):
    lines = settings(candidate(1, instances=2))
    assert lines[-1] == (
        "for cpus in 0 1; do TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 "
        'taskset -c "$cpus" COMMAND & done; wait'
    )
    on_nodes = candidate(1, instances=2, instance_nodes=(0, None))
    assert settings(on_nodes)[-3:] == (
        "TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 "
        "numactl --physcpubind=0 --membind=0 COMMAND &",
        "TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 numactl --physcpubind=1 COMMAND &",
        "wait",
    )
    assert "taskset" not in " ".join(settings(candidate(1, instances=1)))


def test_without_instances_nothing_is_said_of_them(candidate):
    advice = recommend("test", [candidate(1), candidate(2, speed=1.5)])
    assert advice.front == ()
    assert "instance" not in text_of([candidate(1), candidate(2, speed=1.5)])


def test_of_tied_teams_the_one_with_the_fewest_threads_in_all(candidate):
    small, large = candidate(2, instances=2), candidate(1, instances=8)
    four = candidate(4, instances=1)
    assert recommend("test", [large, small]).best.id == small.id
    assert recommend("test", [large, four]).best.id == four.id


def test_more_threads_may_not_help_while_more_instances_do(candidate):
    text = text_of(
        [candidate(1, speed=1.0), candidate(2, speed=1.0), candidate(1, instances=4, speed=3.0)]
    )
    assert "more threads do not help one instance: no configuration of one instance is" in text


def test_one_by_one_is_that_of_one_instance(candidate):
    four, one = candidate(1, instances=4, speed=3.0), candidate(1, speed=1.0)
    advice = recommend("test", [four, one])
    found = {each.id: each for each in advice.configurations}
    assert found[four.id].throughput_to_single.estimate.value > 2.9
    assert round(found[four.id].parallel_efficiency.value, 2) == 0.75
