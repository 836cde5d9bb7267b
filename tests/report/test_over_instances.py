"""Heat maps of configurations on three axes."""

from dataclasses import replace

import pytest

from pytest_tfthreads.core.threads import InstanceCount
from pytest_tfthreads.report.html.content import MeasuredCase, Subject
from pytest_tfthreads.report.html.over_threads import heat_maps, is_grid


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
                cases.append(
                    MeasuredCase(
                        threads.id, replace(one, id=threads.id, threads=threads), (), (), None
                    )
                )
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
