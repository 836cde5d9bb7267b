"""From configurations to advice, and its text."""

import itertools
import json
import random
import re
from dataclasses import replace

import pytest

from pytest_tfthreads.core.measurement import Latency
from pytest_tfthreads.core.stats.scaling import speedup
from pytest_tfthreads.core.sweep.comparison import compare
from pytest_tfthreads.core.sweep.deployment import deployment_of
from pytest_tfthreads.core.sweep.recommendation import recommend, settings
from pytest_tfthreads.core.sweep.result import Sweep
from pytest_tfthreads.report.sweep import label, overview, render


def test_among_those_tied_in_throughput_measurably_fewer_cpu_seconds_win(candidate):
    slow = candidate(1, speed=0.5, cost=0.9)
    fastest, thrifty = candidate(8, speed=1.005, cost=2.0), candidate(4, speed=1.0, cost=1.2)
    advice = recommend("test", [slow, fastest, thrifty])
    assert advice.best.id == thrifty.id
    assert {one.id for one in advice.configurations if one.tied} == {fastest.id, thrifty.id}
    assert advice.equals == (thrifty.id,)
    assert advice.most_efficient.id == slow.id


def test_among_those_tied_in_both_the_fewest_threads_win(candidate):
    tied = [candidate(2, 4, speed=1.02), candidate(2, 1, speed=1.01), candidate(1), candidate(4)]
    advice = recommend("test", tied)
    assert advice.best.id == advice.most_efficient.id == advice.knee.id == "intra1-inter1"
    assert set(advice.equals) == {one.id for one in tied}
    without_single = recommend("test", tied[:2])
    assert without_single.best.id == "intra2-inter1"
    text = " ".join(" ".join(render(Sweep("test", advice))).split())
    assert "tied (2×4, 2×1, 4×1); the smallest of them" in text
    assert "best for CPU efficiency: the same" in text


def test_an_oversubscribed_one_is_recommended_only_for_a_gain_that_was_seen(candidate):
    flags = ("oversubscribed",)
    small, crowded = candidate(4), candidate(2, flags=flags)
    advice = recommend("test", [crowded, small])
    assert advice.best.id == small.id
    assert "not measurably slower either: 2×1" in " ".join(render(Sweep("test", advice)))
    faster = candidate(2, 1, speed=1.5, flags=flags)
    assert recommend("test", [small, faster]).best.id == faster.id
    alone = recommend("test", [crowded, candidate(8, 1, flags=flags)])
    assert alone.best.id == crowded.id


def test_cpu_efficiency_ties_go_to_the_faster(candidate):
    single, faster = candidate(1, cost=1.0), candidate(2, speed=1.8, cost=1.003)
    advice = recommend("test", [single, faster])
    assert advice.most_efficient.id == faster.id
    assert advice.knee.id == faster.id


def test_the_knee_is_between_the_extremes(candidate):
    single = candidate(1, speed=1.0, cost=1.0)
    middle = candidate(2, speed=1.9, cost=1.1)
    fastest = candidate(4, speed=2.2, cost=2.0)
    advice = recommend("test", [single, middle, fastest])
    ids = (advice.most_efficient.id, advice.knee.id, advice.best.id)
    assert ids == (single.id, middle.id, fastest.id)


def test_parallel_efficiency_is_speedup_by_threads_kept_busy(candidate):
    advice = recommend("test", [candidate(1), candidate(2, 4, speed=3.0)])
    efficiency = advice.configurations[1].parallel_efficiency
    assert efficiency.value == pytest.approx(3 / 4)
    assert efficiency.low < efficiency.value < efficiency.high
    assert advice.configurations[0].parallel_efficiency.value == 1


def test_without_one_by_one(candidate):
    advice = recommend("test", [candidate(2), candidate(4, speed=1.5)])
    assert advice.configurations[0].throughput_to_single is None
    assert advice.configurations[0].parallel_efficiency is None
    assert advice.limits == ()
    assert render(Sweep("test_train", advice))


def test_terms_that_no_id_says_are_terms_all_the_same(candidate):
    default = replace(candidate("auto", "auto"), own_terms="")
    named = [replace(candidate(count, speed=2.0), own_terms="-X") for count in (1, 2)]
    assert named[0].suffix == ""
    advice = recommend("test", [default, *named])
    assert advice.best.id == "intra1-inter1"
    assert [one.throughput_to_default is None for one in advice.configurations] == [
        False,
        True,
        True,
    ]
    assert advice.settings[-1] == "# measured under the terms X"
    assert deployment_of(advice).terms == "X"


def test_terms_have_a_one_by_one_of_their_own(candidate):
    plain = [candidate(1), candidate(4, speed=2.0)]
    other = [candidate(1, speed=0.5, terms="-X=1"), candidate(4, speed=2.0, terms="-X=1")]
    advice = recommend("test", [*plain, *other])
    values = [one.throughput_to_single.estimate.value for one in advice.configurations]
    assert values == pytest.approx([1, 2, 1, 4])
    assert label(other[1]) == "4×1 X=1"
    assert settings(other[1])[-1] == "# measured under the terms X=1"


@pytest.mark.parametrize("others", [0, 1])
def test_nothing_to_compare(candidate, others):
    candidates = [candidate(1), candidate(2, rings=(None,))]
    assert recommend("test", candidates[: 1 + others]) is None


def test_against_tensorflows_default(candidate):
    default = candidate("auto", "auto", speed=1.2, cost=2.0)
    sweep = [candidate(1), candidate(4, 1, speed=3.6), default]
    advice = recommend("test", sweep)
    values = [one.throughput_to_default.estimate.value for one in advice.configurations]
    assert values == pytest.approx([1 / 1.2, 3, 1])
    assert advice.gain.over == "default"
    assert advice.to_json()["configurations"][1]["throughput_to_default"]["distinct"] is True
    lines = render(Sweep("test", advice))
    assert max(map(len, lines)) <= 110
    assert lines[0].startswith("test: 4×1 is recommended: 3.00 [2.9")
    assert lines[0].endswith("times TensorFlow's default")
    assert not advice.undecided
    assert "× default" in lines[1]
    # Under other terms, it is another default.
    other = recommend("test", [candidate(4, 1, terms="-X=1"), *sweep[:2], default])
    assert other.configurations[0].throughput_to_default is None
    itself = recommend("test", [candidate(1, speed=0.2), default])
    assert render(Sweep("test", itself))[0] == (
        "test: auto×auto (4×4) is recommended: TensorFlow's default"
    )
    tied = recommend("test", [candidate(1, speed=1.2, cost=2.0), default])
    assert render(Sweep("test", tied))[0].endswith("times TensorFlow's default (tied)")


def test_a_pool_of_tf_data_that_the_cpus_limit_is_told_with_the_mend(candidate):
    sweep = [candidate(1, flags=("crowded-pool",)), candidate(4, flags=("unsettled",))]
    text = " ".join(" ".join(render(Sweep("test", recommend("test", sweep)))).split())
    assert "so that they limit the pipeline: 1×1; give the marker cpus= as many" in text
    assert "pipeline" not in " ".join(
        render(Sweep("test", recommend("test", [*map(candidate, (1, 2))])))
    )


def pipelines(candidate, pools):
    law = {1: 1.0, 2: 1.6, 4: 2.1}
    return [candidate(n, speed=law[n], data_threads=pool) for n, pool in pools.items()]


def test_a_sweep_over_the_pool_of_a_pipeline_recommends_its_size(candidate):
    advice = recommend("test", pipelines(candidate, {1: 1, 2: 2, 4: 4}))
    assert advice.settings == (
        "@pytest.mark.tf_threads(intra=4, inter=1)",
        "options = tf.data.Options()",
        "options.threading.private_threadpool_size = 4",
        "dataset = dataset.with_options(options)",
        "# in the pipeline, as measured: map(..., num_parallel_calls=...) and prefetch(...)",
        "# (fewer than 4 parallel calls can leave threads of the pool idle)",
    )
    lines = render(Sweep("test", advice))
    assert lines[0].startswith("test: 4×1 with a tf.data pool of 4 is recommended: 2.10 [2.0")
    assert max(map(len, lines)) <= 110
    assert " ".join(overview([advice, advice])[2].split()).startswith(
        "test 4×1 with a tf.data pool of 4 2.1"
    )
    assert [one["data_threads"] for one in advice.to_json()["configurations"]] == [1, 2, 4]


def test_a_pool_that_is_the_same_throughout_is_set_beside_tensorflows(candidate):
    advice = recommend("test", pipelines(candidate, {1: 2, 4: 2}))
    assert "options.threading.private_threadpool_size = 2" in advice.settings
    assert "tf.config.threading.set_intra_op_parallelism_threads(4)" in advice.settings
    assert "TF_NUM_INTRAOP_THREADS=4 TF_NUM_INTEROP_THREADS=1" in advice.settings


def test_a_pipeline_without_a_pool_is_told_how_to_measure_one(candidate):
    advice = recommend("test", pipelines(candidate, {1: 0, 4: 0}))
    assert any('threads="intra"' in line for line in advice.settings)
    assert not any("private_threadpool_size" in line for line in advice.settings)
    assert render(Sweep("test", advice))[0].startswith("test: 4×1 is recommended")


def test_instances_of_a_pipeline_have_their_pool_and_their_launch_lines(candidate):
    sweep = [candidate(1, instances=n, speed=n, data_threads=pool) for n, pool in ((1, 1), (2, 2))]
    lines = recommend("test", sweep).settings
    assert "options.threading.private_threadpool_size = 2" in lines
    (launch,) = [line for line in lines if "taskset" in line]
    assert "TF_NUM" not in launch


def test_an_overview_has_a_line_for_each_test_and_each_setting_once(candidate):
    serial = recommend(
        "test_it.py::test_serial", [candidate(1, noise=0.002), candidate(4, noise=0.002)]
    )
    law = {n: speedup(n, 0.3, 0.0) for n in (1, 2, 4)}
    gaining = [
        recommend(name, [candidate(n, speed=speed) for n, speed in law.items()])
        for name in ("test_it.py::test_a", "test_it.py::test_b")
    ]
    default = recommend("test_default", [candidate(1, speed=0.2), candidate("auto", "auto")])
    lines = overview([*gaining, serial, default])
    tied = recommend("tied", [candidate(1, noise=0.002), candidate("auto", "auto", noise=0.002)])
    assert "] × default, tied" in overview([tied])[2]
    assert max(map(len, lines)) <= 105
    rows = {line.split()[0]: " ".join(line.split()) for line in lines if line}
    assert rows["test_a"].startswith("test_a 4×1 2.11 [2.0")
    assert "] × 1×1 2.11 of 1 " in rows["test_a"]
    assert rows["test_a"].endswith("% serial")
    assert rows["test_serial"] == "test_serial 1×1 is 1×1 1.00 of 1 more threads do not help"
    assert "auto×auto (4×4) is the default" in rows["test_default"]
    assert lines[6:] == ["", "For test_a, test_b:", *(f"    {one}" for one in gaining[0].settings)]


def test_a_single_pass(candidate):
    advice = recommend("test", [candidate(1, rings=(0,)), candidate(2, speed=1.5, rings=(0,))])
    assert advice.best.id == "intra2-inter1"
    assert advice.configurations[1].throughput_to_single.distinct


def test_more_threads_do_not_help(candidate):
    flat = [candidate(n, speed=speed, noise=0.003) for n, speed in ((1, 1.0), (2, 1.0), (4, 0.8))]
    assert any("more threads do not help" in one for one in recommend("test", flat).limits)
    steep = [candidate(1), candidate(2, speed=1.5), candidate(4, speed=0.5)]
    assert not any("more threads do not help" in one for one in recommend("test", steep).limits)


def test_the_law_is_fitted_along_the_longest_slice(candidate):
    def speed(intra, inter):
        return speedup(intra, 0.3, 0.0) * (1.0 if inter == 1 else 1.01)

    grid = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2)]
    candidates = [candidate(*one, speed=speed(*one), noise=0.002) for one in grid]
    crowded = candidate(8, 2, speed=0.1, flags=("oversubscribed",))
    intra, inter = recommend("test", [*candidates, crowded]).scalings
    assert (intra.fixed, intra.counts) == (2, (1, 2, 4))
    assert intra.law.contention.value == pytest.approx(0.3, abs=0.03)
    assert inter.law is None
    assert "it takes 3" in inter.refusal


def test_the_smallest_fixed_number_is_preferred(candidate):
    grid = [(intra, inter) for inter in (2, 1) for intra in (1, 2, 4)]
    candidates = [candidate(*one, speed=speedup(one[0], 0.2, 0.0)) for one in grid]
    assert recommend("test", candidates).scalings[0].fixed == 1


def test_rings_that_share_a_member_are_fitted_together(candidate):
    counts = {1: (0, 1, 2, 3), 2: (0, 2), 4: (0, 2), 8: (1, 3)}
    candidates = [
        candidate(n, speed=speedup(n, 0.1, 0.0), rings=rings) for n, rings in counts.items()
    ]
    [scaling] = recommend("test", candidates).scalings
    assert scaling.counts == (1, 2, 4, 8)
    assert scaling.law.contention.value == pytest.approx(0.1, abs=0.005)


def test_lines_to_paste(candidate):
    assert settings(candidate(4, 1)) == (
        "@pytest.mark.tf_threads(intra=4, inter=1)",
        "tf.config.threading.set_intra_op_parallelism_threads(4)",
        "tf.config.threading.set_inter_op_parallelism_threads(1)",
        "TF_NUM_INTRAOP_THREADS=4 TF_NUM_INTEROP_THREADS=1",
    )
    assert settings(candidate("physical", "auto")) == (
        '@pytest.mark.tf_threads(intra="physical", inter="auto")',
        "tf.config.threading.set_intra_op_parallelism_threads(4)",
        "TF_NUM_INTRAOP_THREADS=4",
        "# inter: nothing to set, the number is TensorFlow's choice",
    )
    assert settings(candidate("auto", "auto"))[1:] == (
        "# intra and inter: nothing to set, the number is TensorFlow's choice",
    )


def sweep(candidate):
    law = {1: 1.0, 2: 1.6, 4: 2.1}
    grid = [candidate(n, m, speed=law[n], cost=1 + 0.05 * n) for n in law for m in (1, 2)]
    return [*grid, candidate("physical", "auto", speed=2.1, cost=1.4), candidate(8, rings=(None,))]


def test_json_is_plain(candidate):
    data = recommend("test_train", sweep(candidate)).to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["schema"] == 1
    assert data["best"] == "intra4-inter1"
    assert data["not_compared"] == ["intra8-inter1"]
    assert "intra4-inter2" in data["tied"]
    single = next(one for one in data["configurations"] if one["id"] == "intra1-inter1")
    assert single["throughput_to_best"]["value"] == pytest.approx(1 / 2.1)
    assert single["throughput_to_best"]["distinct"] is True


def test_text(candidate):
    lines = render(Sweep.of("test_train", sweep(candidate), None))
    assert max(map(len, lines)) <= 110
    assert lines[0].startswith("test_train: 4×1 is recommended: 2.10 [2.0")
    assert lines[0].endswith("] times 1×1")
    rows = {line.split()[0]: line for line in lines[2:9]}
    assert rows["4×1"].endswith("recommended")
    assert rows["4×2"].endswith("tied")
    assert rows["physical×auto"].endswith("tied")
    assert rows["1×1"].endswith("slower")
    assert "0.48 [0.4" in rows["1×1"]
    text = "\n".join(lines)
    assert "best for CPU efficiency: 1×1 (" in text
    assert "not compared, because they took no turns with the others: intra8-inter1" in text
    assert "    @pytest.mark.tf_threads(intra=4, inter=1)" in lines


def test_what_a_search_only_glanced_at_is_not_recommended_for_being_small(candidate):
    one = candidate(1, 1, speed=0.7, cost=0.9, rings=(0,), noise=0)
    other = candidate(4, 1, speed=1.0, rings=(0,))
    # A single ring whose blocks scatter: nothing is told apart.
    scattered = replace(
        one.measurement.samples[0],
        wall_s=tuple(
            wall_s * (3 if number % 4 < 2 else 0.5)
            for number, wall_s in enumerate(one.measurement.samples[0].wall_s)
        ),
    )
    one = replace(one, measurement=replace(one.measurement, samples=(scattered,)))
    advice = recommend("t", [one, other])
    assert all(each.tied for each in advice.configurations)
    assert advice.best.id == "intra1-inter1"
    assert advice.undecided == advice.limits[:1]
    first, *_ = render(Sweep("t", advice))
    assert first.endswith("is recommended; whether more threads help is open")
    glance = replace(one, measurement=replace(one.measurement, flags=("glance",)))
    searched = recommend("t", [glance, other])
    assert searched.best.id == "intra4-inter1"
    assert "the recommended one seems to be faster" in searched.limits[0]


def random_sweep(candidate, seed):
    """Speeds and costs from equal to far apart, noise from none to much, some oversubscribed."""
    rng = random.Random(seed)
    flat, steep = rng.random() < 0.3, rng.uniform(0, 1)
    noise, rings = rng.choice((0.0, 0.003, 0.02, 0.1)), rng.choice((1, 2, 3, 5))
    axis = sorted(rng.sample([1, 2, 3, 4, 6, 8], rng.randint(2, 4)))
    grid = [(intra, inter) for intra in axis for inter in rng.sample([1, 2, 4], rng.randint(1, 2))]
    speeds = {n: 1.0 if flat else speedup(n, steep, rng.choice((0.0, 0.05))) for n in axis}
    return [
        candidate(
            intra,
            inter,
            speed=speeds[intra] * (1 if flat else rng.choice((1, 1, 1.1))),
            cost=1 + (0 if flat else rng.choice((0.0, 0.05, 0.3))) * (intra - 1),
            rings=tuple(range(rings)),
            noise=noise,
            flags=("oversubscribed",) if max(intra, inter) > 4 else (),
        )
        for intra, inter in grid
    ]


@pytest.mark.parametrize("seed", range(40))
def test_advice_and_limits_never_contradict_each_other(candidate, seed):
    candidates = random_sweep(candidate, seed)
    advice = recommend("test", candidates)
    comparison = compare(candidates)
    best, by_id = advice.best.id, {one.id: one for one in candidates}
    oversubscribed = {one.id for one in candidates if one.measurement.flags}

    def size(one):
        return max(by_id[one].pools.intra, by_id[one].pools.inter)

    # Of those told apart in neither figure, the fewest threads.
    assert all(size(best) <= size(one) for one in advice.equals if one not in oversubscribed)
    for one, other in itertools.combinations(advice.equals, 2):
        assert not comparison.throughput(one, other).distinct
        assert not comparison.cpu_efficiency(one, other).distinct
    # Nobody is recommended for what another has more of, measurably.
    others = [one for one in by_id if one != best]
    within = [one for one in others if one not in oversubscribed]
    if best not in oversubscribed:
        assert not any(comparison.throughput(one, best).above for one in within)
    elif within:
        usual = recommend("test", [by_id[one] for one in by_id if one not in oversubscribed])
        instead = usual.best.id if usual else within[0]
        assert (
            comparison.throughput(best, instead).above
            or comparison.cpu_efficiency(best, instead).above
        )
    # What is said of limits holds for what is recommended.
    text = " ".join(advice.limits)
    if "more threads do not help" in text or "whether more threads help is open" in text:
        assert best == "intra1-inter1"
        assert "scales to" not in text
        assert " serial" not in text
    useful = re.search(r"more than (\d+) (intra|inter)-op threads cannot help", text)
    if useful:
        assert getattr(by_id[best].pools, useful[2]) <= int(useful[1])
    # Another one is named for CPU efficiency only where the recommended one is beaten there.
    if advice.most_efficient.id != best:
        assert any(comparison.cpu_efficiency(one, best).above for one in others)


def random_sweep_of_instances(candidate, seed):
    """The same over threads and instances: calls get slower beside neighbours, or they do not."""
    rng = random.Random(seed)
    steep, crowd = rng.uniform(0, 1), rng.choice((0.0, 0.1, 0.5, 1.0))
    noise, rings = rng.choice((0.0, 0.003, 0.02, 0.1)), rng.choice((1, 2, 3, 5))
    found = []
    for intra, instances in itertools.product((1, 2, 4), (1, 2, 4)):
        alone = speedup(intra, steep, 0.0)
        together = alone * instances / (1 + crowd * (instances - 1))
        one = candidate(
            intra,
            instances=instances,
            speed=together,
            cost=1 + rng.choice((0.0, 0.05, 0.3)) * (intra - 1),
            rings=tuple(range(rings)),
            noise=noise,
            flags=("oversubscribed",) if intra * instances > 4 else (),
        )
        if instances > 1:
            call_s = one.call_s * instances
            one = replace(
                one, measurement=replace(one.measurement, latency=Latency(call_s, 2 * call_s, 1))
            )
        found.append(one)
    return rng.sample(found, rng.randint(3, len(found)))


@pytest.mark.parametrize("seed", range(20))
def test_the_answers_with_instances_never_contradict_each_other(candidate, seed):
    candidates = random_sweep_of_instances(candidate, seed)
    if all(one.instances == 1 for one in candidates):
        candidates.append(candidate(1, instances=2))
    advice = recommend("test", candidates)
    comparison, best = compare(candidates), advice.best
    oversubscribed = {one.id for one in candidates if one.measurement.flags}

    def size(one):
        return one.instances * max(one.pools.intra, one.pools.inter)

    assert all(
        size(best.candidate) <= size(one)
        for one in candidates
        if one.id in advice.equals and one.id not in oversubscribed
    )
    # Three answers: nobody has measurably more, nobody is sooner, none between is beaten in both.
    most, shortest = advice.front[0], advice.shortest_call
    if best.id not in oversubscribed:
        within = [one.id for one in candidates if one.id not in oversubscribed]
        assert not any(comparison.throughput(one, best.id).above for one in within)
    assert shortest.candidate.call_s == min(one.call_s for one in candidates)
    for one, other in itertools.permutations(advice.front, 2):
        assert (
            one.candidate.measurement.throughput.value
            > other.candidate.measurement.throughput.value
            or one.candidate.call_s < other.candidate.call_s
        )
    text = " ".join(" ".join(render(Sweep("test", advice))).split())
    assert f"most throughput of all instances together: {label(best.candidate)} (" in text
    if most.id != best.id:
        assert f"tied with {label(most.candidate)} (" in text
        assert not comparison.throughput(most.id, best.id).above
    # More threads that do not help one instance are not recommended for one.
    assert "more threads do not help:" not in text
    if "more threads do not help one instance" in text and best.candidate.instances == 1:
        assert max(best.candidate.pools.intra, best.candidate.pools.inter) == 1
