"""The machine and its files: CPUs, Linux, leases, files that are written whole or not at all."""
