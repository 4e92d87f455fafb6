"""Restart policies: whether a container that ended is started again, and after how long."""

from engine.values import dataclass

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
RESET_AFTER = 10.0


@dataclass(frozen=True)
class Policy:
    """A container's policy: no, always, unless-stopped or on-failure with a count (0 = endless)."""

    name: str = "no"
    maximum: int = 0

    def wants(self, exit_code: int, failures: int, *, stopped: bool) -> bool:
        """Whether to start again after an exit; `stopped` = a client asked for the end."""
        if stopped:
            return False
        if self.name in ("always", "unless-stopped"):
            return True
        if self.name == "on-failure":
            return exit_code != 0 and (not self.maximum or failures < self.maximum)
        return False

    def wants_at_boot(self, exit_code: int, failures: int = 0, *, stopped: bool) -> bool:
        """Whether a container that isn't running is started when the engine starts."""
        if self.name == "always":
            return True
        if self.name == "unless-stopped":
            return not stopped
        return self.name == "on-failure" and self.wants(exit_code, failures, stopped=stopped)


def policy_of(host_config: dict[str, object]) -> Policy:
    """The policy that a HostConfig asks for."""
    asked = host_config.get("RestartPolicy")
    if not isinstance(asked, dict):
        return Policy()
    return Policy(asked.get("Name") or "no", int(asked.get("MaximumRetryCount") or 0))


class Backoff:
    """The growing pause between restarts: 100 ms, doubled each time up to a minute."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.failures = 0

    def next(self, ran_for: float) -> float:
        """Seconds to wait after a run of `ran_for` seconds; a run over 10 s starts afresh."""
        if ran_for >= RESET_AFTER or not self.delay:
            self.delay = FIRST_DELAY
        else:
            self.delay = min(self.delay * 2, LONGEST_DELAY)
        self.failures += 1
        return self.delay

    def reset(self) -> None:
        """A client started the container: the count begins anew."""
        self.delay, self.failures = 0.0, 0
