"""Another revision of the code: checked out in a private place, the tests laid over it."""
