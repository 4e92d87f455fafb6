"""Which map a published port goes to, and in which bytes."""

from engine.networks.firewall import BridgeRules, _bridge_elements, _by_map
from engine.networks.records import Binding


def test_ports_of_one_address_and_of_all_have_maps_of_their_own() -> None:
    maps = _by_map(
        [
            Binding(80, "tcp", "0.0.0.0", 8080, 8081, "172.17.0.2"),
            Binding(53, "udp", "127.0.0.1", 53, 53, "172.17.0.3"),
            Binding(80, "tcp", "::", 80, 80, "fd00::2"),
            Binding(80, "tcp", "::1", 80, 80, "fd00::2"),
        ]
    )
    assert sorted(maps) == ["any4", "any6", "exact4", "exact6"]
    # protocol and port in words of four bytes; the number is the one that arrives here
    assert maps["any4"] == [
        (b"\x06\0\0\0" + b"\x1f\x91\0\0", bytes((172, 17, 0, 2)) + b"\0\x50\0\0")
    ]
    assert maps["exact4"][0][0] == bytes((127, 0, 0, 1)) + b"\x11\0\0\0" + b"\0\x35\0\0"
    assert len(maps["exact6"][0][0]) == 24


def test_what_a_bridge_may() -> None:
    names = {name for name, _ in _bridge_elements(BridgeRules("br0"))}
    assert names == {"bridges", "same", "talk", "masquerade"}
    closed = BridgeRules("br0", masquerade=True, internal=True, talk=False)
    assert {name for name, _ in _bridge_elements(closed)} == {"bridges", "same", "internal"}
