"""Images: records, references, and what goes in and out of the store."""
