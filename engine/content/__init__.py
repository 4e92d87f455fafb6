"""Blobs by digest: ingest to a temporary file, then commit by rename."""
