"""The pytest side of isolation: the machine, the launcher, and what it says to a measuring process."""
