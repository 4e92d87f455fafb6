"""The Extensions page."""
