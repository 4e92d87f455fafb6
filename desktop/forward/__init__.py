"""What is carried between the host and the VM: streams, ports, folders."""
