"""What a test may import for its annotations."""

import subprocess
import sys

import pytest

import pytest_tfthreads

HEAVY = ("pytest", "_pytest", "tensorflow", "scipy", "psutil", "typing")


def test_the_package_itself_imports_nothing_before_its_types_are_used():
    code = (
        "import sys; before = set(sys.modules); import pytest_tfthreads; "
        f"found = {HEAVY!r}; print([one for one in found if one in set(sys.modules) - before]); "
        "print(pytest_tfthreads.ThreadsInForce.__name__, 'pytest' in sys.modules); "
        "print(pytest_tfthreads.TfBenchmark.__name__, 'pytest' in sys.modules, "
        "'tensorflow' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "ThreadsInForce False", "TfBenchmark True False"]


def test_types_are_those_of_the_fixtures():
    from pytest_tfthreads.core.threads import ThreadsInForce
    from pytest_tfthreads.hooks.fixtures import TfBenchmark

    assert pytest_tfthreads.TfBenchmark is TfBenchmark
    assert pytest_tfthreads.ThreadsInForce is ThreadsInForce
    assert {"TfBenchmark", "ThreadsInForce", "__version__"} <= set(dir(pytest_tfthreads))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = pytest_tfthreads.Nothing
