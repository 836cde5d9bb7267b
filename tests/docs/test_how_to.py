"""Code of the how-to guides does what the guides say; with a fake TensorFlow."""

import re
from pathlib import Path

import pytest

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def snippets(page):
    """The Python blocks of a page."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def test_an_existing_suite_is_measured_by_one_line_in_each_way_that_is_shown(suite):
    line, conftest, markers, unittest = snippets("existing-suites.md")
    test = "\ndef test_sum(benchmark):\n    benchmark(sum, range(100))\n"
    suite.pytester.makepyfile(
        test_line=f"import pytest\n{line}{test}",
        test_markers="import pytest\n" + markers.replace(": ...", ": benchmark(sum, [1])"),
        test_unittest=unittest,
        **{"sub/conftest": conftest, "sub/test_sub": test},
    )
    result = suite.run("--benchmark-max-time=0.01", "-v", "--benchmark-disable")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.re_match_lines_random(
        [
            r"test_line.py::test_sum\[intra1-inter1\] PASSED.*",
            r"test_line.py::test_sum\[intraphysical-inter1\] PASSED.*",
            r"test_markers.py::TestTraining::test_step\[intraphysical-inter1\] PASSED.*",
            r"test_markers.py::TestTraining::test_small\[intra1-inter1\] PASSED.*",
            r"test_unittest.py::TestStep::test_step\[intra2-inter1\] PASSED.*",
            r"sub/test_sub.py::test_sum PASSED.*",
        ]
    )
    result.assert_outcomes(passed=6)


def test_variables_of_the_environment_are_compared_in_one_group(suite):
    (code,) = snippets("environment-variables.md")
    suite.pytester.makepyfile(test_it=code)
    result = suite.run("--collect-only", "-q")
    page = (HOW_TO / "environment-variables.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"The ids say what differs: `(.+)`", page)
    collected = result.stdout.str().splitlines()
    assert "test_it.py::test_step[intraphysical-inter1]" in collected
    assert f"test_it.py::{shown}" in collected


@pytest.mark.parametrize(
    "page", sorted(path.relative_to(HOW_TO).as_posix() for path in HOW_TO.glob("*.md"))
)
def test_every_python_block_is_python(page):
    for code in snippets(page):
        compile(code, page, "exec")
