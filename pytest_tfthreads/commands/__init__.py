"""What `pytest-tfthreads` can do: a file for each command, with `add_to` to put it on the line."""
