"""Statistics that know nothing of this project."""
