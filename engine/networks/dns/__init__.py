"""Names in user networks: what containers hear at 127.0.0.11."""

from engine.networks.dns.names import Names, View
from engine.networks.dns.redirect import redirect
from engine.networks.dns.server import ADDRESS, Server, Sockets, open_sockets

__all__ = ["ADDRESS", "Names", "Server", "Sockets", "View", "open_sockets", "redirect"]
