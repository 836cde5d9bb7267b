"""`python -m pytest_tfthreads` is the command `pytest-tfthreads`."""

from pytest_tfthreads.cli import main

if __name__ == "__main__":
    main()
