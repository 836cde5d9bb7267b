"""The change of speed that is tolerated, by metric: from what people write to shares."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_tfthreads.core.format import quoted

METRICS = ("throughput", "cpu_efficiency")

_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
MARKER_SYNTAX = '"5%", or {"throughput": "5%", "cpu_efficiency": "10%"}'
OPTION_SYNTAX = "5%, or throughput=5%,cpu_efficiency=10%"


def parse_tolerance(value: object, syntax: str = MARKER_SYNTAX) -> dict[str, float]:
    """Shares by metric, of one or both of `METRICS`.

    Takes "5%" for both, a dict by metric, or, from the command line, its text
    "throughput=5%,cpu_efficiency=10%". Raises `ValueError`, which tells the `syntax` to use.
    """
    if isinstance(value, str) and "=" in value:
        pairs = [part.partition("=") for part in value.split(",")]
        value = {metric.strip(): share for metric, _, share in pairs}
    if isinstance(value, Mapping):
        if not value:
            raise ValueError(f"is empty; use {syntax}")
        for metric in value:
            if metric not in METRICS:
                raise ValueError(f"{quoted(metric)} is neither {' nor '.join(METRICS)}")
        return {metric: _share(share, syntax) for metric, share in value.items()}
    return dict.fromkeys(METRICS, _share(value, syntax))


def _share(value: object, syntax: str) -> float:
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    share = float(found[1]) / 100 if found else 0.0
    if not 0 < share < 1:
        raise ValueError(f"{quoted(value)} is no share above 0% and below 100%; use {syntax}")
    return share
