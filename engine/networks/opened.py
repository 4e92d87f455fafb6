"""A container's open sandbox, as the networks keep it."""

from dataclasses import dataclass

from engine.networks.records import Sandbox, SandboxRequest


@dataclass
class Opened:
    """What was asked and what stands."""

    request: SandboxRequest
    sandbox: Sandbox
