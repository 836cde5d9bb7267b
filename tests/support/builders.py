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


DO_NOT_HELP = "more threads do not help: no configuration is measurably faster than 1×1"
HELP_IS_OPEN = "whether more threads help is open: no configuration is measurably faster than 1×1"
_WORTH = 1.25  # a gain up to which more threads are not said to be open
ON_MORE_THREADS = (DO_NOT_HELP, HELP_IS_OPEN)


def on_more_threads(advice):
    """The sentences of `ON_MORE_THREADS` that a stored recommendation bears out: one or none.

    How often the comparison errs is asked in tests/core; here the words have to follow from it.
    """
    ratios = [
        one["throughput_to_single"]
        for one in advice["configurations"]
        if one["id"] != "intra1-inter1"
    ]
    if any(one["distinct"] and one["value"] > 1 for one in ratios):
        return []
    return [DO_NOT_HELP if max(one["high"] for one in ratios) <= _WORTH else HELP_IS_OPEN]


def flat(result):
    """All that a run has written, in one line: tables and paragraphs without their line breaks."""
    return " ".join((result.stdout.str() + result.stderr.str()).split())
