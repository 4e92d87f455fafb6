"""Builds the VM image: kernel, initrd and root file system from Debian packages."""
