"""The `cove` command."""
