"""The machine, the launcher, and what pytest and a measuring process say to each other."""
