"""All configurations of a test: told apart, searched, recommended."""
