"""Names that several rooms know things by. Importing this module imports nothing."""

MARKER = "tf_threads"
# Parametrised through a fixture that no test names; `_` keeps it out of --fixtures.
CASE_FIXTURE = "_tf_threads_case"

# Under which pytest knows our plugins:
MEASURING_PLUGIN = "tfthreads-measuring"  # it runs an order: only in measuring processes
WATCH_PLUGIN = "tfthreads-watch"  # in all others
ELSEWHERE_PLUGIN = "tfthreads-elsewhere"  # where marked tests cannot be measured

NEEDS_LINUX = "measuring needs Linux"
