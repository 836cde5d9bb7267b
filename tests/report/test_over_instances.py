"""Heat maps of configurations on three axes."""

from dataclasses import replace

import pytest

from pytest_tfthreads.core.measurement import Latency
from pytest_tfthreads.core.threads import InstanceCount
from pytest_tfthreads.report.html.content import MeasuredCase, Subject
from pytest_tfthreads.report.html.over_threads import heat_maps, is_grid
from pytest_tfthreads.report.html.subject import section


def of_instances(measurement, count):
    return replace(
        measurement,
        instances=count,
        instance_cpus=tuple((2 * place, 2 * place + 1) for place in range(count)),
        latency=Latency(0.0123, 0.0456, 7),
        imbalance=0.034,
        max_pss_bytes=300 << 20,
    )


@pytest.fixture
def subject(content):
    """Build one: each of some pairs of threads with each of some numbers of instances."""
    measured = [case.candidate for case in content.subjects[0].cases]

    def build(inters, instances):
        cases = []
        for one in measured:
            if int(one.threads.inter.text) not in inters:
                continue
            for count in instances:
                given = None if count is None else InstanceCount.parse(count, "instances")
                threads = replace(one.threads, instances=given)
                measurement = one.measurement
                if count is not None and count > 1:
                    measurement = of_instances(measurement, count)
                candidate = replace(one, id=threads.id, threads=threads, measurement=measurement)
                cases.append(MeasuredCase(threads.id, candidate, (), (), None))
        return Subject("test", tuple(cases), None, None)

    return build


def test_a_pair_of_maps_for_each_number_of_instances(subject):
    grid = subject(inters=(1, 2), instances=(1, 2))
    assert is_grid(grid)
    page = "".join(heat_maps("t", grid))
    for words in ("images/s (1 instance)", "images/s (2 instances)"):
        assert words in page
    assert len(heat_maps("t", grid)) == 4
    assert page.count("inter-op threads") == 4


def test_instances_are_the_second_axis_where_one_pool_has_a_single_size(subject):
    line = subject(inters=(1,), instances=(1, 4))
    assert is_grid(line)
    (throughput, efficiency) = heat_maps("t", line)
    assert '"text": "instances"' in throughput or '"text":"instances"' in throughput
    assert "inter-op threads" not in throughput + efficiency
    assert "(1 instance)" not in throughput


def test_without_instances_the_maps_are_what_they_were(subject):
    assert len(heat_maps("t", subject(inters=(1, 2), instances=(None,)))) == 2
    assert "instance" not in "".join(heat_maps("t", subject(inters=(1, 2), instances=(None,))))
    assert not is_grid(subject(inters=(1,), instances=(None,)))


def test_a_section_tells_what_each_of_several_instances_is_like(subject):
    page = section(subject(inters=(1,), instances=(1, 4)), "t")
    for words in ("12.3 ms", "45.6 ms", "3.4", "300 MiB", "0-1; 2-3; 4-5; 6-7"):
        assert words in page
    assert "whichever instance makes them" in page
    assert ">8<" in page  # CPUs granted to four of two
    alone = section(subject(inters=(1,), instances=(1,)), "t")
    assert "nstances" not in alone
