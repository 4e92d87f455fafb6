"""Names in user networks: what containers hear at 127.0.0.11."""

from engine.networks.dns.names import Names, View
from engine.networks.dns.server import Server, open_sockets

__all__ = ["Names", "Server", "View", "open_sockets"]
