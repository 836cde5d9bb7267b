"""The only room that touches pytest-benchmark's private parts; tox tests the versions it knows.

In a measuring process it sets the defaults of the `benchmark` fixture and reads what it measured;
in the pytest process it adds measurements to pytest-benchmark's session, from where its table,
its files and its comparisons take them.
"""
