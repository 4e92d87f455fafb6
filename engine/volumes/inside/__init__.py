"""Looking and working inside volumes without a container: browse, read, write, copy, pack.

Containers write to volumes while this goes on, and may swap anything for a link. So every path is
opened by the kernel below the volume's own folder (openat2(2), RESOLVE_IN_ROOT) and whole trees are
walked from descriptor to descriptor: nothing leads out of the volume.
"""
