"""Names that several rooms know things by. Importing this module imports nothing."""

MARKER = "tf_threads"
# Parametrised through a fixture that no test names; `_` keeps it out of --fixtures.
CASE_FIXTURE = "_tf_threads_case"

# Under which pytest knows our plugins:
MEASURING_PLUGIN = "tfthreads-measuring"  # it runs an order: only in measuring processes
WATCH_PLUGIN = "tfthreads-watch"  # in all others
MARKED_TESTS_PLUGIN = "tfthreads-marked-tests"  # runs marked tests
SAVING_PLUGIN = "tfthreads-saving"  # writes pytest-benchmark's files
SNAPSHOTS_PLUGIN = "tfthreads-snapshots"
ELSEWHERE_PLUGIN = "tfthreads-elsewhere"  # where marked tests cannot be measured

PYTHON = "python="  # how users name an environment where a revision may stand

# Begins a program that is given to `python -c`: no file of the current directory may take the place
# of a module of Python.
ONLY_NAMED_PATHS = "import sys; sys.path[:] = filter(None, sys.path);"

NEEDS_LINUX = "measuring needs Linux"

COVERAGE_PLUGIN = "tfthreads-coverage"
SYRUPY = "syrupy"  # as pytest knows that plugin

# How users know a measuring process and its number, as `workerinput` and PYTEST_XDIST_WORKER tell a
# worker of pytest-xdist.
PROCESS_ATTRIBUTE = "tf_threads_process"
PROCESS_VARIABLE = "PYTEST_TFTHREADS_PROCESS"
