"""The client of the distribution API: pull and push by plain HTTP in threads."""
