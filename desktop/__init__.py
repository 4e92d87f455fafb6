"""Cove's host side: the agent that owns the VM, the command line and the window."""

__version__ = "0.1.0"
