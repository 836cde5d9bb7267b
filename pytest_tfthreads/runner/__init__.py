"""Marked tests in processes of their own: orders out, pytest's reports and a measurement back."""
