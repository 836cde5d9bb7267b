"""Methods of unittest.TestCase under several configurations."""

import pytest

CASES = """
    import unittest
    import tensorflow

    class Base(unittest.TestCase):
        def test_inherited(self):
            self.assertEqual(self._testMethodName, "test_inherited")

    @pytest.mark.tf_threads(intra=[1, 2], inter=1)
    class Marked(Base):
        @classmethod
        def setUpClass(cls):
            cls.intra = tensorflow._state.intra

        @pytest.fixture(autouse=True)
        def threads(self, tf_threads):
            self.tf_threads = tf_threads

        def test_threads(self):
            self.assertEqual(self.intra, self.tf_threads.intra)

        @unittest.skip("not here")
        def test_skipped(self):
            raise AssertionError

        @unittest.expectedFailure
        def test_expected(self):
            self.fail()

        @pytest.mark.tf_threads(intra=1, inter=1)
        def test_fails(self):
            self.fail("as it should")

    @pytest.mark.tf_threads(intra=[1, 2], inter=1)
    class Measured(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def fixtures(self, benchmark):
            self.benchmark = benchmark

        def test_measured(self):
            self.benchmark.pedantic(int, rounds=2)

    class Unmarked(unittest.TestCase):
        def test_it(self):
            pass
"""


def outcomes(result, *words):
    lines = (line.partition(" - ")[0] for line in result.stdout.lines)
    return sorted(line for line in lines if line.startswith(words))


def test_a_method_is_a_test_for_each_configuration(suite):
    """Under pytest-xdist, which checks that all workers collect the same tests, too."""
    suite.write(CASES)
    result, benchmarks = suite.results("-rA", "-n2", subprocess=True)
    counts = result.parseoutcomes()
    counts.pop("warnings", None)
    assert counts == {"failed": 1, "passed": 8, "skipped": 2, "xfailed": 2}
    assert outcomes(result, "PASSED", "FAILED", "XFAIL") == [
        "FAILED test_it.py::Marked::test_fails[intra1-inter1]",
        "PASSED test_it.py::Base::test_inherited",
        "PASSED test_it.py::Marked::test_inherited[intra1-inter1]",
        "PASSED test_it.py::Marked::test_inherited[intra2-inter1]",
        "PASSED test_it.py::Marked::test_threads[intra1-inter1]",
        "PASSED test_it.py::Marked::test_threads[intra2-inter1]",
        "PASSED test_it.py::Measured::test_measured[intra1-inter1]",
        "PASSED test_it.py::Measured::test_measured[intra2-inter1]",
        "PASSED test_it.py::Unmarked::test_it",
        "XFAIL test_it.py::Marked::test_expected[intra1-inter1]",
        "XFAIL test_it.py::Marked::test_expected[intra2-inter1]",
    ]
    first = benchmarks["test_measured[intra1-inter1]"]
    assert set(benchmarks) == {"test_measured[intra1-inter1]", "test_measured[intra2-inter1]"}
    assert first["param"] == "intra1-inter1"
    assert first["params"] == {"intra": "1", "inter": "1"}
    result.stdout.fnmatch_lines(["test_it.py::Measured::test_measured: *"])  # one sweep


def ids(suite, *args):
    result = suite.run("--collect-only", "-q", *args)
    return [line.partition("::")[2] for line in result.stdout.lines if "::" in line]


def test_methods_are_selected_as_parametrised_functions_are(suite):
    suite.write(CASES)
    both = ["Marked::test_threads[intra1-inter1]", "Marked::test_threads[intra2-inter1]"]
    # pytest 8.0.0 itself turns the order round of what is named so.
    assert sorted(ids(suite, "test_it.py::Marked::test_threads")) == both
    assert ids(suite, f"test_it.py::{both[1]}") == both[1:]
    assert ids(suite, "-k", "Marked and test_threads and intra2") == both[1:]
    assert ids(suite, "test_it.py::Base") == ["Base::test_inherited"]
    assert ids(suite, "--tf-threads=1x2", "-k", "test_threads or fails") == [
        "Marked::test_fails[intra1-inter2]",
        "Marked::test_threads[intra1-inter2]",
    ]
    assert ids(suite, "--tf-threads=1x1,2x2", "-k", "fails") == [
        "Marked::test_fails[intra1-inter1]",
        "Marked::test_fails[intra2-inter2]",
    ]


def test_what_failed_is_found_again(suite):
    suite.write(
        """
        import unittest
        import tensorflow

        @pytest.mark.tf_threads(intra=[1, 2])
        class Marked(unittest.TestCase):
            def test_it(self):
                self.assertEqual(tensorflow._state.intra, 1)
        """
    )
    suite.run("-p", "cacheprovider").assert_outcomes(passed=1, failed=1)
    result = suite.run("-p", "cacheprovider", "--lf")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED test_it.py::Marked::test_it[[]intra2-interauto]*"])


@pytest.mark.parametrize("options", ["--tf-threads=1x1,2x1", "--tf-threads-search"])
def test_options_give_methods_configurations(suite, options):
    suite.write(
        """
        import unittest

        class TestCase(unittest.TestCase):
            @pytest.mark.tf_threads(intra=1)
            def test_one(self):
                pass

        @pytest.mark.tf_threads(intra=1)
        def test_two():
            pass
        """
    )
    result = suite.run(options)
    found = result.parseoutcomes()
    assert set(found) <= {"passed", "warnings"}
    assert found["passed"] % 2 == 0
    assert found["passed"] > 2


def test_subtests_are_told_as_those_of_unmarked_tests(suite):
    source = """
        import unittest

        {marker}
        class TestCase(unittest.TestCase):
            def test_it(self):
                for i in range(3):
                    with self.subTest(i=i):
                        self.assertNotEqual(i, 1)
    """
    told = []
    for marker in ("", "@pytest.mark.tf_threads(intra=[1])"):
        suite.write(source.format(marker=marker))
        result = suite.run("-rA", subprocess=True)
        told.append(
            [
                line.replace("[intra1-interauto]", "")
                for line in outcomes(result, "SUBFAIL", "FAILED", "PASSED", "SUBPASS")
            ]
        )
    assert told[0] == told[1]
    assert told[0]


@pytest.mark.parametrize(
    "decorators",
    [
        "@pytest.mark.tf_threads(intra=1)\n@Wrapped",
        "@pytest.mark.slow\n@pytest.mark.tf_threads(intra=[1, 2])\n@Wrapped",
    ],
)
def test_a_marker_that_marks_no_function_is_told_by_name(suite, decorators):
    body = "\n".join(f"    {line}" for line in (*decorators.splitlines(), "def test_above(self):"))
    suite.write("")
    (suite.path / "test_it.py").write_text(
        "import unittest\n"
        "import pytest\n"
        "class Wrapped:\n"
        "    def __init__(self, function):\n"
        "        self.function = function\n"
        "class TestCase(unittest.TestCase):\n"
        f"{body}\n"
        "        raise AssertionError\n"
    )
    result = suite.run("-W", "ignore::pytest.PytestUnknownMarkWarning")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_it.py::TestCase::test_above: *directly above*def*"])


@pytest.mark.parametrize("decorator", ["pytest.mark.tf_threads(intra=1)", "ONE"])
def test_a_marker_that_another_decorator_drops_is_told_by_name(suite, decorator):
    """As absl's parameterized does, which makes methods of an object that it throws away."""
    source = """
        import functools
        import unittest

        ONE = pytest.mark.tf_threads(intra=1)

        class Cases:
            def __init__(self, function):
                self.function = function

            def __call__(self):
                raise AssertionError

            __name__ = "test_it"

        class Expanding(type):
            def __new__(cls, name, bases, namespace):
                for name, found in list(namespace.items()):
                    if isinstance(found, Cases):
                        def bound(self, function=found.function):
                            function(self, 1)
                        del namespace[name]
                        namespace[name + "0"] = functools.wraps(found.function)(bound)
                return super().__new__(cls, name, bases, namespace)

        class TestCase(unittest.TestCase, metaclass=Expanding):
            {above}
            @Cases
            {below}
            def test_it(self, number):
                assert number == 1
    """
    suite.write(source.format(above=f"@{decorator}", below=""))
    result = suite.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_it.py::TestCase::test_it0: *directly above*def*"])
    suite.write(source.format(above="", below=f"@{decorator}"))
    suite.run().assert_outcomes(passed=1)


def test_a_mistake_in_the_marker_fails_the_method(suite):
    suite.write(
        """
        import unittest

        class TestCase(unittest.TestCase):
            @pytest.mark.tf_threads(intra="many")
            def test_it(self):
                pass

            def test_other(self):
                pass
        """
    )
    result = suite.run()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["test_it.py::TestCase::test_it: *tf_threads*many*"])
