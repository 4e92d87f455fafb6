"""Values go to JSON and come back the same."""

import json
from pathlib import Path

import pytest

from engine.networks import (
    Binding,
    Endpoint,
    EndpointConfig,
    Network,
    Pool,
    PortRequest,
    Sandbox,
    SandboxRequest,
)

BINDINGS = (
    Binding(80, "tcp", "0.0.0.0", 8080, 8080, "172.17.0.2"),
    Binding(80, "tcp", "127.0.0.1", 8081, 40000, "172.17.0.2"),
    Binding(53, "udp", "::", 53, 53, "fd00::2"),
)
ENDPOINT = Endpoint("e" * 64, "n" * 64, "02:42:ac:11:00:02", "172.17.0.2", 16, "172.17.0.1")
POOL = Pool("10.0.0.0/8", auxiliary={"router": "10.0.0.9"})
CONFIG = EndpointConfig("10.0.0.5", "", "", ("db",), ("a:b",), 5, {"k": "v"})


@pytest.mark.parametrize(
    "value",
    [
        Sandbox(None),
        Sandbox(Path("/run/x"), {"bridge": ENDPOINT}, BINDINGS, "nameserver 10.0.2.3\n", 42),
        SandboxRequest("c" * 64, "web", "h", {"n": CONFIG}, (PortRequest(80),), ("81/tcp",)),
        Network(
            "i" * 64, "n", "bridge", "2024", "br-x", (Pool("10.0.0.0/8", auxiliary={"a": "b"}),)
        ),
    ],
    ids=["host", "sandbox", "request", "network"],
)
def test_round_trip(value: Sandbox | SandboxRequest | Network) -> None:
    record = json.loads(json.dumps(value.to_record()))
    assert type(value).from_record(record) == value


def test_ports_by_container_port() -> None:
    assert Sandbox(None, {}, BINDINGS).ports == {
        "80/tcp": [("0.0.0.0", 8080), ("127.0.0.1", 8081)],
        "53/udp": [("::", 53)],
    }
