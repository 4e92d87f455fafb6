"""Networks: bridges, addresses, published ports and names of containers."""

from engine.networks.controller import HOST_NAMES, Controller
from engine.networks.network import Network, Pool
from engine.networks.publishing import HostPorts
from engine.networks.records import (
    Binding,
    Endpoint,
    EndpointConfig,
    PortRequest,
    Sandbox,
    SandboxRequest,
)

__all__ = [
    "HOST_NAMES",
    "Binding",
    "Controller",
    "Endpoint",
    "EndpointConfig",
    "HostPorts",
    "Network",
    "Pool",
    "PortRequest",
    "Sandbox",
    "SandboxRequest",
]
