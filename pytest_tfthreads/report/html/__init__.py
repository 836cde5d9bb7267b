"""The report of a run as one HTML page: content in, text out."""
