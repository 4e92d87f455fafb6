"""What a build fails with."""


class BuildError(Exception):
    """A sentence for the person at the terminal: what failed, why, what to do."""
