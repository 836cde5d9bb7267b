"""Measurements in, text out: a reporter decides nothing."""
