"""Variances by hand: of a prediction, of a suite's drift, and of pairs of configurations."""

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import solve

from properties import tried
from pytest_tfthreads.core.stats.drift import (
    EXPECTED_DOF,
    FLOOR,
    STATE_SPREAD,
    SUITE_WEIGHT,
    WITHIN,
    WITHIN_DOF,
    Drift,
    Expected,
    default_within,
    dof_of_steps,
    expected_drift,
    learned_drift,
    predict,
    semivariance,
    suite_drift,
)
from pytest_tfthreads.core.stats.estimates import (
    Estimate,
    LogRatio,
    change_from_log,
    from_log,
    holm,
    log_mean,
    mean_of_ratios,
    moderated_variance,
    share_spent,
    spread_of,
    spread_with_interval,
    student_p,
    student_t,
    sum_of_squares,
)
from pytest_tfthreads.core.stats.moderation import (
    ALIKE,
    BLOCK_SPREAD,
    Difference,
    contrasts,
    difference,
    expected_variance,
    median_se,
)

KNOWN = Expected(spread=0.1, weight=6.0, tests=2.0)

# -- estimates ------------------------------------------------------------------------------------


def test_a_mean_and_its_interval_by_hand():
    found = mean_of_ratios([1.0, 2.0, 8.0], confidence=0.9)
    logs = [0.0, math.log(2), math.log(8)]
    mean = sum(logs) / 3
    spread = math.sqrt(sum((one - mean) ** 2 for one in logs) / 2)
    half = student_t(0.95, 2) * spread / math.sqrt(3)
    assert found == Estimate(*map(pytest.approx, map(math.exp, (mean, mean - half, mean + half))))
    assert mean_of_ratios([1.0, 2.0, 8.0]) == mean_of_ratios([1.0, 2.0, 8.0], 0.95)


def test_what_is_no_figure_is_named():
    with pytest.raises(ValueError, match=r"^an estimate needs at least one figure$"):
        mean_of_ratios([])
    with pytest.raises(ValueError, match=r"^figures must be positive and finite: \[1, 0\]$"):
        mean_of_ratios([1, 0])


def test_the_inverse_of_an_estimate_turns_its_bounds_around():
    assert Estimate(2.0, 1.0, 4.0).inverse == Estimate(0.5, 0.25, 1.0)
    assert Estimate(2.0, None, None).inverse == Estimate(0.5, None, None)
    assert Estimate(2.0, 0.0, 4.0).inverse == Estimate(0.5, 0.25, None)
    assert Estimate(2.0, 1.0, None).scaled(3.0) == Estimate(6.0, 3.0, None)
    assert Estimate(2.0, 0.0, 4.0).scaled(0.5).to_json() == {"value": 1.0, "low": 0.0, "high": 2.0}


def test_p_values_are_of_one_side():
    ratio = LogRatio(0.1, 0.04, 5.0)
    assert ratio.sd == pytest.approx(0.2)
    assert ratio.half_width(0.95) == pytest.approx(student_t(0.95, 5.0) * 0.2)
    assert ratio.p_value(0.1) == pytest.approx(0.5)
    limit = student_t(0.95, 5.0) * 0.2
    assert ratio.p_value(0.1 + limit) == pytest.approx(0.05)
    assert ratio.p_value(0.1 - limit) == pytest.approx(0.95)
    assert student_p(student_t(0.975, 5.0), 5.0) == pytest.approx(0.05)
    assert student_p(-student_t(0.975, 5.0), 5.0) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("log_ratio", "p"), [(-1.0, 1 / 4), (0.0, 1 / 2), (1 / math.sqrt(3), 2 / 3), (1.0, 3 / 4)]
)
def test_p_values_near_the_bound(log_ratio, p):
    """With one degree of freedom, Student's t has the distribution 1/2 + arctan(t) / π."""
    assert LogRatio(log_ratio + 0.3, 1.0, 1.0).p_value(0.3) == pytest.approx(p)


@pytest.mark.parametrize(
    ("count", "share"), [(1, 0.1), (3, 0.1), (4, 0.3), (6, 0.3), (7, 0.6), (12, 0.6), (13, 0.6)]
)
def test_between_two_looks_the_share_is_that_of_the_later_one(count, share):
    assert share_spent((3, 6, 12), (0.1, 0.3, 0.6), count) == share


def test_logarithms_beyond_all_numbers():
    assert from_log(1.5) == math.exp(1.5)
    assert from_log(1e4) == pytest.approx(1e300)
    assert from_log(1e4) <= 1e300
    assert from_log(-1e4) == pytest.approx(1e-300)
    assert change_from_log(-0.5) == math.expm1(-0.5)
    assert change_from_log(1e4) == pytest.approx(1e300)
    assert change_from_log(1e4) <= 1e300
    assert change_from_log(-1e4) == -1.0


def test_spreads():
    assert sum_of_squares([1.0, 2.0, 6.0]) == pytest.approx(14)
    found = spread_of([1.0, 2.0, 6.0])
    assert found.value == pytest.approx(math.sqrt(7))
    # χ² with 2 degrees of freedom is exponential: quantiles are -2 log(1 - p).
    assert found.low == pytest.approx(math.sqrt(7 * 2 / (-2 * math.log(0.025))))
    assert found.high == pytest.approx(math.sqrt(7 * 2 / (-2 * math.log(0.975))))
    ninety = spread_with_interval(3.0, 2, 0.9)
    assert ninety.low == pytest.approx(3 * math.sqrt(2 / (-2 * math.log(0.05))))
    assert spread_of([1.0, 1.0]).value == 0
    with pytest.raises(ValueError, match=r"^1 figures have no spread$"):
        spread_of([1.0])


def test_moderated_spreads_are_geometric_means():
    assert log_mean(2.0, 1.0, 16.0, 2.0) == pytest.approx(8.0)
    assert moderated_variance(2.0, 4.0, 16.0, 8.0) == pytest.approx(
        (2.0 * math.exp(0.25)) ** (1 / 3) * 16.0 ** (2 / 3)
    )


def test_holms_levels_by_hand():
    assert holm([0.04, 0.001, 0.03], 0.06) == pytest.approx([0.06, 0.02, 0.03])
    assert holm([0.021, 0.5], 0.04) == pytest.approx([0.02, 0.02])
    assert holm([0.02, 0.5], 0.04) == pytest.approx([0.02, 0.04]), "at its level is rejected"
    assert holm([0.02, 0.5]) == holm([0.02, 0.5], 0.05)


# -- drift ----------------------------------------------------------------------------------------


def test_what_processes_differ_by_before_any_is_seen():
    for seconds in (0.0, 0.1, 2.0):
        assert default_within(seconds) == pytest.approx(
            WITHIN**2 + STATE_SPREAD**2 * math.exp(-4 * seconds)
        )


def test_differences_of_neighbours_and_those_far_beyond():
    assert semivariance([0.0, 0.1, 0.0, 0.1]) == pytest.approx(0.005)
    # The median of four squares is 0.01: 16 times 1.4826² of that is the most that one counts.
    assert semivariance([0.0, 0.1, 0.0, 0.1, 9.0]) == pytest.approx(
        (0.03 + 16 * 1.4826**2 * 0.01) / 4 / 2
    )
    # Of equal points the floor stands in for the median.
    assert semivariance([0.0, 0.0, 0.0, 1.0]) == pytest.approx(16 * 2 * FLOOR**2 / 3 / 2)
    assert [dof_of_steps(steps) for steps in (1, 2, 10)] == pytest.approx([1, 8 / 5, 200 / 29])


def test_what_saved_runs_say_of_their_drift():
    history = [[0.0, 0.2], [0.3, 0.3, 0.3], [0.1]]
    of_points = 0.01 * (1 / 2 + 1 / 3 + 1) / 3
    found = learned_drift(history, 0.01)
    assert found == Drift(pytest.approx(0.08 / 2 / 2 - of_points), dof_of_steps(2))
    assert learned_drift(history[:2], 100.0) == Drift(FLOOR**2, dof_of_steps(1))
    assert learned_drift(history[:1], 0.01) is None
    assert learned_drift([], 0.01) is None
    assert expected_drift(KNOWN) == Drift(pytest.approx(0.01), 6.0)


def test_a_suite_says_of_its_drift_what_its_tests_say_together():
    calm, wild = [[0.0, 0.02], [0.1, 0.1]], [[0.0], [0.5], [0.1]]
    known = []
    for history in (calm, wild):
        processes = sum(len(one) - 1 for one in history)
        squares = sum(sum_of_squares(one) for one in history)
        within = (squares + WITHIN_DOF * WITHIN**2) / (processes + WITHIN_DOF)
        known.append(learned_drift(history, within))
    total = known[0].dof + known[1].dof
    variance = (known[0].dof * known[0].variance + known[1].dof * known[1].variance) / total
    # Both count, for two tests are the most that count; a third adds nothing to their weight.
    expected = log_mean(variance, total, 0.01, 6.0)
    assert suite_drift([calm, [[1.0]], wild], KNOWN) == Drift(pytest.approx(expected), 6.0)
    alone = Expected(0.1, 2.0, 1.0)
    expected = log_mean(variance, total / 2, 0.01, 2.0)
    assert suite_drift([calm, wild], alone) == Drift(pytest.approx(expected), SUITE_WEIGHT)
    one = learned_drift(calm, (0.0002 + WITHIN_DOF * WITHIN**2) / (2 + WITHIN_DOF))
    expected = log_mean(one.variance, one.dof, 0.01, 6.0)
    assert suite_drift([calm], KNOWN) == Drift(pytest.approx(expected), 6.0)
    assert suite_drift([[[1.0]], []], KNOWN) is None


def by_hand(now, history, chosen, drift, measured_s=math.inf):
    """The prediction's parts, where `drift` is the variance between sessions and its dof."""
    sessions = [*history, now]
    squares = sum(sum_of_squares(one) for one in sessions)
    within_dof = sum(len(one) - 1 for one in sessions) + WITHIN_DOF
    within = (squares + WITHIN_DOF * default_within(measured_s)) / within_dof
    variance, dof = drift(within)
    between = variance * (1 + 1 / len(chosen))
    of_processes = within * (
        1 / len(now) + fmean(1 / len(history[place]) for place in chosen) / len(chosen)
    )
    total = between + of_processes
    welch = total**2 / (between**2 / dof + of_processes**2 / within_dof)
    level = fmean(fmean(history[place]) for place in chosen)
    return [fmean(now) - level, total, welch, between, of_processes]


def parts(found):
    return [found.log_ratio, found.variance, found.dof, found.between, found.within]


def test_a_prediction_by_hand():
    now, history = [0.1, 0.2], [[0.0, 0.1, 0.05], [0.3], [0.1, 0.2]]

    def of_suite(drift):
        def own(within):
            learned = learned_drift(history, within)
            return (
                moderated_variance(learned.variance, learned.dof, drift.variance, drift.dof),
                learned.dof + EXPECTED_DOF,
            )

        return own

    expected = expected_drift(KNOWN)
    found = predict(now, history, KNOWN)
    assert parts(found) == pytest.approx(by_hand(now, history, (0, 1, 2), of_suite(expected)))
    level = predict(now, history, KNOWN, 0.2, level=(0, 2))
    assert parts(level) == pytest.approx(by_hand(now, history, (0, 2), of_suite(expected), 0.2))
    suite = Drift(0.5, 3.0)
    found = predict(now, history, KNOWN, suite=suite)
    assert parts(found) == pytest.approx(by_hand(now, history, (0, 1, 2), of_suite(suite)))
    # One session says nothing of its drift.
    single = predict(now, history[:1], KNOWN)
    unlearned = by_hand(now, history[:1], (0,), lambda _: (0.01, EXPECTED_DOF))
    assert parts(single) == pytest.approx(unlearned)


def test_nothing_to_predict_from_is_said():
    words = r"^a prediction needs a new and a stored session of one process or more$"
    for now, history, level in (
        ([0.0], [[0.0]], ()),
        ([0.0], [[0.0], []], (0,)),
        ([], [[0.0]], (0,)),
    ):
        with pytest.raises(ValueError, match=words):
            predict(now, history, KNOWN, level=level)


# -- moderation -----------------------------------------------------------------------------------


def test_a_difference_by_hand():
    found = difference([1.0, 1.0, 1.0, 5.0], [1.0, 2.0, 4.0])
    assert found.log_ratio == pytest.approx(math.log(2))
    spread = 1.4826 * math.log(2)
    assert found.se == pytest.approx(math.sqrt(math.pi / 2) * spread / math.sqrt(3))
    half = difference([2.0, 3.0, 5.0], [1.0, 1.5, 2.5])
    assert half == Difference(pytest.approx(math.log(1 / 2)), median_se(0.0, 3))
    assert median_se(0.0, 4) == pytest.approx(math.sqrt(math.pi / 2) * BLOCK_SPREAD / 2)
    with pytest.raises(ValueError, match=r"^no block was measured in both members$"):
        difference([1.0], [])


def test_what_is_expected_of_a_ring():
    both = [Difference(0.0, 0.1), Difference(0.0, 0.3)]
    assert expected_variance(both) == pytest.approx(0.01**2 + 2 * (0.01 + 0.09) / 2)
    assert expected_variance(both, 0.5) == pytest.approx(0.25 + 0.1)


def test_pairs_of_two_passes_by_hand():
    """Least squares for the members' variances, drawn together by a ridge."""
    observed = {
        ("a", "b"): [Difference(one, 0.01) for one in (0.0, 0.1, 0.2)],
        ("b", "c"): [Difference(one, 0.02) for one in (0.0, 0.3)],
        ("a", "d"): [Difference(0.7, 0.03)],
    }
    squares, dofs = {"ab": 0.02, "bc": 0.045, "ad": 0.0}, {"ab": 2, "bc": 1, "ad": 0}
    ridge, mean = ALIKE * 3 / 3, 0.065 / 3 / 2
    matrix = [
        [2 + ridge, 2, 0, 0],
        [2, 3 + ridge, 1, 0],
        [0, 1, 1 + ridge, 0],
        [0, 0, 0, ridge],
    ]
    sides = [
        ridge * mean + sum(squares[pair] for pair in squares if member in pair) for member in "abcd"
    ]
    own = dict(zip("abcd", solve(matrix, sides), strict=True))
    assert sum(dofs.values()) == 3
    found = contrasts(observed, 4)
    many = 3 / 5
    own_dof, expected_dof = 1.0 * (0.4 + many * 1.5), 0.6 + many * 0.8
    for pair, rings, se, log_ratio in (
        (("a", "b"), 3, 0.01, 0.1),
        (("b", "c"), 2, 0.02, 0.15),
        (("a", "d"), 1, 0.03, 0.7),
    ):
        one = found[pair]
        expected = 0.01**2 + 2 * se**2
        variance = own_dof * (own[pair[0]] + own[pair[1]]) + expected_dof * expected
        assert one.variance == pytest.approx(variance / (own_dof + expected_dof) / rings)
        assert (one.log_ratio, one.dof) == pytest.approx((log_ratio, own_dof + expected_dof))
        assert (one.rings, one.through) == (rings, None)


def test_fewer_than_one_repeated_pass_counts_for_itself_alone():
    observed = {
        ("a", "b"): [Difference(0.0, 0.0), Difference(0.2, 0.0)],
        ("a", "c"): [Difference(0.0, 0.0)],
    }
    found = contrasts(observed, 3)["a", "b"]
    # Half a pass was repeated: half a degree of freedom beside the four of what is expected.
    assert found.dof == pytest.approx(0.5 + 4.0)
    ridge, mean = ALIKE / 2, 0.02 / 1 / 2
    a, b = solve([[1 + ridge, 1], [1, 1 + ridge]], [ridge * mean + 0.02] * 2)
    expected = 4.0 * 0.026**2 + 0.5 * (a + b)
    assert found.variance == pytest.approx(expected / 4.5 / 2)
    assert contrasts({}, 0) == {}


def test_fewer_than_one_repeated_pass_is_as_sure_among_many_members():
    observed = {
        ("a", "b"): [Difference(0.0, 0.0), Difference(0.2, 0.0)],
        ("a", "c"): [Difference(0.0, 0.0)],
    }
    assert contrasts(observed, 6)["a", "b"].dof == pytest.approx(0.5 + 4.0)
    single = {("a", "b"): [Difference(0.3, 0.1)]}
    expected = 0.026**2 + 2 * 0.1**2
    for members in (2, 6):
        found = contrasts(single, members)["a", "b"]
        assert (found.log_ratio, found.variance, found.dof) == pytest.approx((0.3, expected, 4.0))


@pytest.mark.parametrize(("members", "many"), [(6, 1.0), (9, 1.0), (2, 0.2)])
def test_more_members_make_variances_surer_up_to_six(members, many):
    observed = {("a", "b"): [Difference(0.0, 0.01), Difference(0.1, 0.01)]}
    found = contrasts(observed, members)["a", "b"]
    assert found.dof == pytest.approx(0.4 + many * 1.5 + 0.6 + many * 0.8)


@tried(100)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12), st.floats(-5, 5), st.floats(0.1, 10))
def test_a_drift_is_that_of_steps_alone(points, shift, scale):
    found = semivariance(points)
    assert semivariance([-one for one in points[::-1]]) == pytest.approx(found)
    assert semivariance([one + shift for one in points]) == pytest.approx(found, abs=1e-12)
    # Below the floor noise counts as it is; beyond, it scales with the points.
    larger = semivariance([one * scale for one in points])
    assert larger <= max(scale**2, 1) * found * (1 + 1e-9)
    assert larger >= min(scale**2, 1) * found * (1 - 1e-9)
