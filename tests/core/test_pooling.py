"""The intervals of a run: made once, recorded, and the same wherever they are read."""

from dataclasses import replace

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.decode import DecodeError
from pytest_tfthreads.core.measurement import Measurement
from pytest_tfthreads.core.pooling import pooled

FIGURES = ("throughput", "cpu_efficiency", "cores_used")


def measured(*seconds, host="here"):
    samples = [sample([one], [one * (1 + place / 100)]) for place, one in enumerate(seconds)]
    return measurement(*samples, machine={"host": host})


RUN = [
    ("first", measured(1.0, 1.1, 1.05)),
    ("first", measured(2.0, 2.001, 2.0005)),
    ("second", measured(1.0, 1.2, 0.9)),
]


def test_values_stay_and_intervals_use_the_whole_run():
    for (_, before), after in zip(RUN, pooled(RUN), strict=True):
        for name in FIGURES:
            assert getattr(after, name).value == getattr(before, name).value
            assert getattr(after.spreads, name).dof > 2
        assert after.samples == before.samples
    lucky, by_all = RUN[1][1].throughput, pooled(RUN)[1].throughput
    assert by_all.high / by_all.low > 1.02 > lucky.high / lucky.low


def test_hosts_say_nothing_of_one_another():
    elsewhere = [("first", measured(1.0, 5.0, 3.0, host="there"))]
    assert pooled([*RUN, *elsewhere]) == [*pooled(RUN), elsewhere[0][1]]


def test_what_is_read_has_the_recorded_intervals():
    for one in pooled(RUN):
        recorded = one.to_json()
        again = Measurement.from_json(recorded)
        assert again == one
        for read in (again, again.condensed()):
            for name in FIGURES:
                assert getattr(read, name).to_json() == pytest.approx(recorded[name])


def test_a_file_without_spreads_keeps_the_intervals_of_its_own_processes():
    before = RUN[0][1]
    assert "spreads" not in before.to_json()
    assert Measurement.from_json(before.to_json()).throughput == before.throughput


@pytest.mark.parametrize("spread", [{"sd": -1.0, "dof": 4}, {"sd": 0.1, "dof": 0.5}, {"sd": 0.1}])
def test_impossible_spreads_are_named(spread):
    recorded = pooled(RUN)[0].to_json()
    recorded["spreads"] = {**recorded["spreads"], "throughput": spread}
    with pytest.raises(DecodeError, match=r"spreads\.throughput"):
        Measurement.from_json(recorded)


def test_a_spread_beyond_any_number_is_refused():
    one = pooled(RUN)[0]
    wide = replace(one.spreads.throughput, sd=1e300)
    with pytest.raises(DecodeError, match="without bounds"):
        replace(one, spreads=replace(one.spreads, throughput=wide)).check()
