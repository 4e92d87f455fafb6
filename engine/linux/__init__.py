"""System calls without policy: mounts, namespaces, cgroups, netlink, nftables."""
