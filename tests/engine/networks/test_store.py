"""Records of networks: the predefined ones, finding, lasting."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadRequest, NotFound
from engine.networks.addresses import AnyNetwork
from engine.networks.identity import Identity
from engine.networks.network import Network, Pool
from engine.networks.records import EndpointConfig
from engine.networks.store import Store


class Records:
    """A database in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def load(self, kind: str) -> dict[str, Any]:
        return dict(self.kept)

    async def put(self, kind: str, key: str, record: Any, durable: bool = True) -> None:
        self.kept[key] = record

    async def delete(self, kind: str, key: str, durable: bool = True) -> None:
        self.kept.pop(key, None)


class Machine:
    """What stands on the machine."""

    def __init__(self, *used: str, foreign: tuple[str, ...] = ()) -> None:
        self.used: list[AnyNetwork] = [ipaddress.ip_network(one) for one in used]
        self.foreign = foreign

    def owned(self, name: str) -> bool:
        return name not in self.foreign

    def networks_in_use(self) -> list[AnyNetwork]:
        return self.used


IDENTITY = Identity.of(Path("/var/lib/example"))


async def started(records: Records, machine: Machine) -> Store:
    store = Store(records, IDENTITY)
    await store.start(machine)
    return store


async def test_the_predefined_networks_are_made_once() -> None:
    records = Records()
    first = await started(records, Machine("172.17.0.0/16"))
    again = await started(records, Machine("172.17.0.0/16"))
    bridge = again.resolve("bridge")
    assert (bridge.bridge, bridge.pools) == (
        "cove0",
        (Pool("172.18.0.0/16", "172.18.0.1", chosen=True),),
    )
    assert {one.name: one.driver for one in again.all()} == {
        "bridge": "bridge",
        "host": "host",
        "none": "null",
    }
    assert {one.id for one in first.all()} == {one.id for one in again.all()}


async def test_a_second_engine_takes_another_bridge_and_table() -> None:
    store = await started(Records(), Machine(foreign=("cove0",)))
    name = store.resolve("bridge").bridge
    assert name == f"cv-{IDENTITY.tag}"
    assert (IDENTITY.table("cove0"), IDENTITY.table(name)) == ("cove", f"cove-{IDENTITY.tag}")
    assert len(IDENTITY.veth("0" * 64)) <= 15


async def test_a_subnet_that_the_machine_has_come_to_use_is_left() -> None:
    records = Records()
    before = (await started(records, Machine())).resolve("bridge")
    after = (await started(records, Machine("172.17.3.0/24"))).resolve("bridge")
    assert after.id == before.id
    assert after.pools[0].subnet == "172.18.0.0/16"


async def test_networks_are_found_by_name_id_and_beginning() -> None:
    store = await started(Records(), Machine())
    for letter in "ab":
        network = Network(letter * 64, f"net-{letter}", "bridge", "2024")
        await store.put(network)
    await store.put(Network("ab" + "c" * 62, "aaaa", "bridge", "2024"))
    assert store.resolve("net-a").id == "a" * 64
    assert store.resolve("b" * 64).name == "net-b"
    assert store.resolve("aaaa").id.startswith("abc")
    assert store.resolve("aaaaa").name == "net-a"
    with pytest.raises(NotFound, match="network nope not found"):
        store.resolve("nope")
    with pytest.raises(NotFound, match="network  not found"):
        store.resolve("")
    await store.put(Network("ad" + "d" * 62, "x", "bridge", "2024"))
    with pytest.raises(BadRequest, match="network a is ambiguous"):
        store.resolve("a")


async def test_a_deleted_network_is_gone_for_good() -> None:
    records = Records()
    store = await started(records, Machine())
    network = Network("a" * 64, "n", "bridge", "2024", pools=(Pool("10.0.0.0/24", "10.0.0.1"),))
    await store.put(network)
    assert ipaddress.ip_network("10.0.0.0/24") in store.subnets()
    await store.delete(network)
    with pytest.raises(NotFound):
        (await started(records, Machine())).resolve("n")


@pytest.mark.parametrize(
    ("network", "settings", "words"),
    [
        (
            "bridge",
            EndpointConfig(ipv4="172.17.0.9"),
            "* user specified IP address is supported on user defined networks only\n* user",
        ),
        ("auto", EndpointConfig(ipv4="10.1.0.9"), "networks with user configured subnets"),
        ("fixed", EndpointConfig(ipv4="10.9.0.9"), "no configured subnet or ip-range contain the"),
        ("fixed", EndpointConfig(ipv6="fd00::9"), "no configured subnet or ip-range contain the"),
    ],
)
async def test_addresses_that_a_network_can_not_give(
    network: str, settings: EndpointConfig, words: str
) -> None:
    store = await started(Records(), Machine())
    auto = Pool("10.1.0.0/24", "10.1.0.1", chosen=True)
    await store.put(Network("a" * 64, "auto", "bridge", "2024", pools=(auto,)))
    fixed = Pool("10.2.0.0/24", "10.2.0.1")
    await store.put(Network("b" * 64, "fixed", "bridge", "2024", pools=(fixed,)))
    with pytest.raises(BadRequest) as caught:
        store.check(store.resolve(network), settings)
    assert caught.value.message.startswith("invalid endpoint settings:\n")
    assert words in caught.value.message
    store.check(store.resolve("fixed"), EndpointConfig(ipv4="10.2.0.9"))
