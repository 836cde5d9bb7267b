"""Which measurements of a saved run are one test's, and what they are called."""

import pytest

from pytest_tfthreads.core.stored_tests import stored_tests


@pytest.mark.parametrize(
    ("ids", "tests"),
    [
        (
            ("a::t[intra1-inter1]", "a::t[intra2-inter1]"),
            {"a::t": ["intra1-inter1", "intra2-inter1"]},
        ),
        (("a::t[32-intra1-inter1]",), {"a::t[32]": ["intra1-inter1"]}),
        (
            ("a::t[intra1-inter1-32]", "a::t[intra2-inter1-32]"),
            {"a::t[32]": ["intra1-inter1", "intra2-inter1"]},
        ),
        (
            ("a::t[8-intra1-inter1-32]", "a::t[8-intraphysical-interauto-32]"),
            {"a::t[8-32]": ["intra1-inter1", "intraphysical-interauto"]},
        ),
        (
            ("a::t[intra1-inter1-X=0]", "a::t[intra1-inter1-X=1]"),
            {"a::t": ["intra1-inter1-X=0", "intra1-inter1-X=1"]},
        ),
        (("a::T::t",), {"a::T::t": ["intra2-interauto"]}),
    ],
)
def test_configurations_of_a_test(candidate, ids, tests):
    measurement = candidate(2, "auto").measurement
    found = stored_tests(dict.fromkeys(ids, measurement), {})
    assert {one.test: [each.id for each in one.candidates.values()] for one in found} == tests
    assert [nodeid for one in found for nodeid in one.candidates] == list(ids)


def test_tests_that_only_their_parameters_tell_apart(candidate):
    ids = ("a::t[intra1-inter1-8]", "a::t[intra1-inter1-9]")
    measurements = dict.fromkeys(ids, candidate(1).measurement)
    found = stored_tests(measurements, {ids[0]: '{"n": "8"}', ids[1]: '{"n": "9"}'})
    assert [one.test for one in found] == ["a::t[8]", "a::t[9]"]
