"""The virtual machine: QEMU, its disk, its states."""
