"""Tests over all saved runs. Used by the command `history` alone."""
