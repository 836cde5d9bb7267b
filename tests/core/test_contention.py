"""Who else was running: what follows from the shares."""

import pytest

from builders import measurement, sample
from pytest_tfthreads.core.contention import CONTENDED, Contention, mean_of
from pytest_tfthreads.core.measurement import Measurement, Sample


def test_threads_that_waited_for_each_other_were_not_held_back():
    assert Contention(runqueue_share=2.5, others_share=0.01).held_back == pytest.approx(0.01)


def test_programs_on_cpus_that_nobody_wanted_held_nothing_back():
    found = Contention(runqueue_share=0.002, others_share=0.5)
    assert found.held_back == pytest.approx(0.002)
    assert not found.is_contended


@pytest.mark.parametrize(
    ("contention", "held_back"),
    [
        (Contention(0.3, 0.4, 0.2, 1.0), 0.5),
        (Contention(runqueue_share=0.3), None),  # perhaps for each other
        (Contention(runqueue_share=0.3, steal_share=0.2), 0.2),
        (Contention(others_share=0.4), 0.4),
        (Contention(steal_share=0.2), 0.2),
        (Contention(pressure_share=1.0), None),
    ],
)
def test_what_is_not_known_is_left_out(contention, held_back):
    assert contention.held_back == (None if held_back is None else pytest.approx(held_back))
    assert contention.is_contended == (held_back is not None)


def test_words_name_who_took_how_much():
    assert Contention(0.3, 0.38, 0.0, 1.0).words() == "other programs took 38 % of the granted CPUs"
    assert Contention(0.3, 0.38, 0.12).words() == (
        "other programs took 38 % of the granted CPUs, and the hypervisor gave 12 % of them to "
        "other machines"
    )
    assert Contention(0.3, 0.0, 0.12).words() == (
        "the hypervisor gave 12 % of the granted CPUs to other machines"
    )
    assert Contention(steal_share=0.12).words() == (
        "the hypervisor gave 12 % of the granted CPUs to other machines"
    )
    assert not Contention(runqueue_share=0.3).words()


@pytest.mark.parametrize("steal", [None, 0.0, 0.01, CONTENDED])
@pytest.mark.parametrize("others", [None, 0.0, 0.01, CONTENDED])
@pytest.mark.parametrize("waited", [None, 0.0, 0.01, CONTENDED])
def test_what_is_flagged_has_words(waited, others, steal):
    found = Contention(waited, others, steal)
    assert found.words() or not found.is_contended


def test_of_several_processes_the_mean_of_what_all_know():
    both = mean_of([Contention(0.1, 0.2, None, 0.4), Contention(0.3, None, None, 0.2)])
    assert both == Contention(pytest.approx(0.2), None, None, pytest.approx(0.3))
    assert mean_of([Contention(0.1), None]) is None
    assert mean_of([]) is None


def test_it_is_recorded_and_read_again():
    one = measurement(sample(contention=Contention(0.1, 0.2, 0.0)), sample())
    assert Measurement.from_json(one.to_json()) == one
    assert one.to_json()["contention"] is None  # one of the two does not know
    known = measurement(*(sample(contention=Contention(share, 0.2)) for share in (0.1, 0.3)))
    assert known.to_json()["contention"] == pytest.approx(
        {"runqueue_share": 0.2, "others_share": 0.2, "steal_share": None, "pressure_share": None}
    )
    assert known.condensed().contention == known.contention


def test_samples_of_earlier_versions_are_read():
    data = sample().to_json()
    del data["contention"]
    assert Sample.from_json(data) == sample()
