"""Who is measured with whom, until enough is known: a file for each way."""
