"""Samples and measurements with the fields that a test does not care about, and texts of runs."""

from pytest_tfthreads.core.measurement import Measurement, Pools, Sample


def sample(wall_s=(0.5, 1.5), cpu_s=None, **fields):
    """A process that measured these rounds; its CPU time is its wall time where not given."""
    known = {
        "iterations": 10,
        "warmup_rounds": 10,
        "setup_s": 0.1,
        "max_rss_bytes": 1 << 20,
        "voluntary_switches": 3,
        "involuntary_switches": 4,
        "cpus": (0,),
    }
    return Sample(
        wall_s=tuple(wall_s), cpu_s=tuple(wall_s if cpu_s is None else cpu_s), **{**known, **fields}
    )


def unchanged_process(round_s, cpu_share=1.0, ring=0, reference_s=0.001):
    """A process whose rounds all take the same time; some seconds of them."""
    rounds = 400
    return Sample(
        (round_s,) * rounds, (cpu_share * round_s,) * rounds, 10, 10, 0.1, 0, 0, 0, (0,),
        ring=ring, turn_rounds=2, reference_wall_s=reference_s, reference_cpu_s=reference_s,
    )  # fmt: skip


def measurement(*samples, **fields):
    """Of these processes, or of two, with two threads on two CPUs."""
    pools = Pools(2, 1)
    known = {
        "requested": pools,
        "effective": pools,
        "cpus": (0, 1),
        "start": "fork",
        "items": 1,
        "unit": "images",
        "samples": samples or (sample(), sample()),
    }
    return Measurement(**{**known, **fields})


_NOTHING_FASTER = "no configuration is measurably faster than 1×1"
DO_NOT_HELP = f"more threads do not help: {_NOTHING_FASTER}"
HELP_IS_OPEN = f"whether more threads help is open: {_NOTHING_FASTER}"
SEEM_TO_HELP = "whether more threads help is open: the recommended one seems to be faster"
SAVE_CPU_TIME = f"more threads are not known to be faster: {_NOTHING_FASTER}"
ON_MORE_THREADS = (DO_NOT_HELP, HELP_IS_OPEN, SEEM_TO_HELP, SAVE_CPU_TIME)
_WORTH = 1.25  # a gain up to which more threads are not said to be open


def on_more_threads(advice):
    """The sentences of `ON_MORE_THREADS` that a stored recommendation bears out: one or none.

    How often the comparison errs is asked in tests/core; here the words have to follow from it.
    """
    others = [one for one in advice["configurations"] if one["id"] != "intra1-inter1"]
    ratios = [one["throughput_to_single"] for one in others]
    if any(map(_is_above, ratios)):
        return []
    if advice["best"] == "intra1-inter1":
        most = max(one["high"] for one in ratios)
        return [DO_NOT_HELP if most <= _WORTH else HELP_IS_OPEN]
    saves = any(_is_above(one["cpu_efficiency_to_single"]) for one in others)
    return [SAVE_CPU_TIME if saves else SEEM_TO_HELP]


def _is_above(ratio):
    return ratio["distinct"] and ratio["value"] > 1


def flat(result):
    """All that a run has written, in one line: tables and paragraphs without their line breaks."""
    return " ".join((result.stdout.str() + result.stderr.str()).split())


TWO_TESTS = """
@pytest.mark.tf_threads(1, 1)
def test_fast(benchmark):
    benchmark(sum, range(10))

@pytest.mark.tf_threads(1, 1)
def test_steady(benchmark):
    benchmark(sum, range(10))
"""
"""A suite for an executor that answers with scripted times."""
