"""The resolver beside a name server of the container's own.

A container that serves names takes port 53 of all its addresses, and with TCP only one can have it.
There the resolver listens on another port and a rule inside the container's namespace leads to it.
"""

import ipaddress
import struct

from engine.linux import nftables as nft
from engine.linux.netlink import NETLINK_NETFILTER, Channel
from engine.linux.nftables import expressions as ex

_TABLE = "cove-names"
_PROTOCOLS = (6, 17)
_REGISTER, _NEXT = 8, 9


def redirect(address: str, port: int) -> None:
    """Lead `address`:53 to `port` in the calling thread's namespace. Raises OSError.

    What an earlier engine set up is replaced.
    """
    hook = nft.Hook("nat", nft.OUTPUT, -100)
    messages = [nft.add_table(_TABLE), nft.delete_table(_TABLE), nft.add_table(_TABLE)]
    messages.append(nft.add_chain(_TABLE, "output", hook))
    packed = ipaddress.ip_address(address).packed
    for protocol in _PROTOCOLS:
        rule = (
            ex.meta(ex.META_NFPROTO, 1),
            ex.equal(1, bytes((ex.IPV4,))),
            ex.payload(ex.NETWORK_HEADER, 16, 4, 1),
            ex.equal(1, packed),
            ex.meta(ex.META_L4PROTO, 1),
            ex.equal(1, bytes((protocol,))),
            ex.payload(ex.TRANSPORT_HEADER, 2, 2, 1),
            ex.equal(1, struct.pack(">H", 53)),
            ex.constant(_REGISTER, packed),
            ex.constant(_NEXT, struct.pack(">H", port)),
            ex.destination_nat(ex.IPV4, _REGISTER, _NEXT),
        )
        messages.append(nft.add_rule(_TABLE, "output", *rule))
    with Channel(NETLINK_NETFILTER) as channel:
        nft.commit(channel, messages)
