"""A container's open sandbox, as the networks keep it."""

from engine.networks.records import Sandbox, SandboxRequest
from engine.values import dataclass


@dataclass
class Opened:
    """What was asked and what stands."""

    request: SandboxRequest
    sandbox: Sandbox
