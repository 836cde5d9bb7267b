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


def flat(result):
    """All that a run has written, in one line: tables and paragraphs without their line breaks."""
    return " ".join((result.stdout.str() + result.stderr.str()).split())
