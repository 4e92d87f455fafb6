"""The Engine API as the window needs it: rows, streams and operations over docker-py. No Qt."""
