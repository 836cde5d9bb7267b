"""Measure TensorFlow's CPU thread configurations with pytest.

PYTEST_DONT_REWRITE (the measuring process imports this package before pytest starts in it)
"""

__version__ = "0.1.0"
