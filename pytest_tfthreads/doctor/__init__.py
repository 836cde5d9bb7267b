"""Is this machine fit to measure? Used by the command `doctor` alone."""
