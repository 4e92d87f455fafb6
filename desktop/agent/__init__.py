"""The host agent: one process per COVE_HOME that owns the VM and its sockets."""
