"""Measuring processes as pytest sees them: started, led in turns, explained where they die."""
