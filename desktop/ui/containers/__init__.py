"""The Containers page."""
