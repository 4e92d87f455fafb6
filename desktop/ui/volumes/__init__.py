"""The Volumes page."""
