"""How properties are looked for: the same examples in each run, and nothing kept between runs."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st


def tried(examples):
    """Settings of a property that is tried with so many examples."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,  # other tests run beside this one
        database=None,
        # pytester's fixtures are none of ours; a busy machine generates examples slowly.
        suppress_health_check=[HealthCheck.too_slow],
    )


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**18, 2**63, 2**64, 10**400, -(10**400)]),
    st.floats(),
    st.text(max_size=8),
)
"""What JSON has, NaN, infinities and numbers beyond any float among them."""


def json_values(leaves=SCALARS, most=8):
    """Any value of JSON, lists and objects within each other."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
        ),
        max_leaves=most,
    )


def places(value, path=()):
    """The paths of all values within a value of JSON, that of itself first."""
    yield path
    if isinstance(value, (dict, list)):
        children = value.items() if isinstance(value, dict) else enumerate(value)
        for step, child in children:
            yield from places(child, (*path, step))


def replaced(value, path, new):
    """The same with another value at this path."""
    if not path:
        return new
    step, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[step] = replaced(copy[step], rest, new)
    return copy


def value_or_error(kind, function, *args):
    """What the function returns, or the error of this kind that it raises; the other is None."""
    try:
        return function(*args), None
    except kind as error:
        return None, error
