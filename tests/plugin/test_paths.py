"""Suites in directories with names that pytest, a shell or a file system could misread."""

import os

NAMES = ("a[b]", "a::b", "50% off", "größe\N{SNOWMAN}", "a b/[c]/d", "/".join(["x" * 200] * 4))


def write(directory, name):
    directory.mkdir(parents=True)
    (directory / f"test_{name}.py").write_text(
        """
import os
import pytest

@pytest.mark.tf_threads(intra=1, inter=1)
@pytest.mark.parametrize("text", ["a[b]::c 50% über"])
class TestClass:
    def test_it(self, text, tmp_path, request):
        assert request.path.is_file()
        assert "PYTEST_TFTHREADS_PROCESS" in os.environ

def test_unmarked():
    pass
""",
        encoding="utf-8",
    )


def test_tests_are_found_from_above(suite):
    for number, name in enumerate(NAMES):
        write(suite.path / name, f"it{number}")
    # In no measuring process of another file it is imported.
    (suite.path / "a[b]" / "test_other.py").write_text(
        "import os\nassert 'PYTEST_TFTHREADS_PROCESS' not in os.environ\ndef test_other(): pass"
    )
    suite.run().assert_outcomes(passed=2 * len(NAMES) + 1)


def test_tests_are_found_from_there_and_from_elsewhere(suite):
    inside = suite.path / "a[b]" / "c::d"
    write(inside, "it")
    os.chdir(inside)
    suite.run("test_it.py", "--rootdir=.").assert_outcomes(passed=2)
    suite.run("test_it.py::TestClass").assert_outcomes(passed=1)
    beside = suite.path / "beside"
    beside.mkdir()
    os.chdir(beside)
    # pytest itself takes a path with [ or :: for the name of a test, so a directory above is named.
    options = (f"--rootdir={inside.parent}", "--import-mode=importlib", "-k", "TestClass")
    suite.run("..", *options).assert_outcomes(passed=1, deselected=1)
