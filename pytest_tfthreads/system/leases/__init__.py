"""Leases of the CPUs: whoever measures is alone."""
