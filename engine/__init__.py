"""Cove's Docker-compatible engine: what runs inside the VM, or natively on Linux as root."""

__version__ = "0.1.0"
