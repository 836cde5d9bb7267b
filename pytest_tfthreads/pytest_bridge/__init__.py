"""What the runner needs of pytest: options, markers, reports, the gate, the progress line."""
