"""Code or environment, by their four combinations."""

import random

import pytest

from pytest_tfthreads.core.two_causes import Combination, Effects


def rings(code, environment, together=0.0, spread=0.01, count=8):
    draw = random.Random(f"{code} {environment}")
    found = []
    for _ in range(count):
        good, one, other, both = (draw.gauss(0, spread / 2**0.5) for _ in range(4))
        found.append(
            Combination(
                both=code + environment + together + both - good,
                code=code + one - good,
                environment=environment + other - good,
            )
        )
    return found


@pytest.mark.parametrize(
    ("code", "environment", "cause"),
    [
        (-0.2, 0.0, "code"),
        (0.0, -0.2, "environment"),
        (-0.2, 0.1, "both"),
        (0.0, 0.0, "neither"),
        (0.2, 0.0, "code"),
    ],
)
def test_what_made_the_difference(code, environment, cause) -> None:
    effects = Effects.of(rings(code, environment))
    assert effects.cause == cause
    assert abs(effects.code.log_ratio - code) < effects.code.half_width(0.999)
    assert abs(effects.environment.log_ratio - environment) < 0.02
    assert abs(effects.interaction.log_ratio) < effects.interaction.half_width(0.999)


def test_noise_leaves_it_open() -> None:
    assert Effects.of(rings(-0.05, 0.0, spread=0.2, count=4)).cause == "open"


def test_what_code_and_environment_do_only_together_is_told_apart() -> None:
    effects = Effects.of(rings(0.0, 0.0, together=-0.2))
    assert effects.interaction.log_ratio == pytest.approx(-0.2, abs=0.03)
    assert effects.cause == "both"
