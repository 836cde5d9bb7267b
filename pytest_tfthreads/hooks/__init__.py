"""Objects whose methods pytest calls: each takes part in a run of pytest."""
