"""Layers by chain id, writable layers on top of them; what comes out is a Mount value."""
