"""Slower than the baseline or not: the rules."""
