"""Published ports: on which addresses, with which numbers, on whose machine."""

from collections.abc import Iterator

import pytest

from engine.errors import BadRequest, EngineError
from engine.hostlink import AddressAbsent
from engine.networks.ports import Ports
from engine.networks.publishing import Publisher
from engine.networks.records import Endpoint, PortRequest

FOUR = Endpoint("e" * 64, "n" * 64, ipv4="172.30.0.2")
BOTH = Endpoint("e" * 64, "n" * 64, ipv4="172.30.0.2", ipv6="fd00::2")


class Desktop:
    """The user's machine: refuses the ports in `taken`."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.open: dict[tuple[str, str, int], int] = {}

    async def publish(self, protocol: str, host_ip: str, host_port: int, guest_port: int) -> int:
        if host_port in self.taken:
            raise EngineError(f"port {host_port} is in use")
        number = host_port or 50000
        self.open[protocol, host_ip, number] = guest_port
        return number

    def withdraw(self, protocol: str, host_ip: str, host_port: int) -> None:
        self.open.pop((protocol, host_ip, host_port), None)

    def adopt(self, protocol: str, host_ip: str, host_port: int, guest_port: int) -> None:
        self.open[protocol, host_ip, host_port] = guest_port


@pytest.fixture
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    ports.close()


async def test_without_a_host_address_all_are_meant(ports: Ports) -> None:
    (binding,) = await Publisher(ports).take([PortRequest(80)], FOUR, "0.0.0.0")
    assert (binding.host_ip, binding.container_ip) == ("0.0.0.0", "172.30.0.2")
    assert binding.host_port == binding.guest_port >= 1024


async def test_both_versions_get_the_same_number(ports: Ports) -> None:
    found = await Publisher(ports).take([PortRequest(80)], BOTH, "0.0.0.0")
    assert [one.host_ip for one in found] == ["0.0.0.0", "::"]
    assert [one.container_ip for one in found] == ["172.30.0.2", "fd00::2"]
    assert found[0].host_port == found[1].host_port


async def test_a_number_free_on_one_version_only_is_passed_over(ports: Ports) -> None:
    first = ports.take("udp", "0.0.0.0", 0, 0)
    ports.release("udp", "0.0.0.0", first)
    ports.take("udp", "::", first + 1, first + 1)
    found = await Publisher(ports).take([PortRequest(53, "udp")], BOTH, "0.0.0.0")
    assert found[0].host_port == found[1].host_port > first + 1


async def test_the_networks_own_binding_address_is_the_default(ports: Ports) -> None:
    (binding,) = await Publisher(ports).take([PortRequest(80)], BOTH, "127.0.0.1")
    assert binding.host_ip == "127.0.0.1"


async def test_a_failure_gives_all_back(ports: Ports) -> None:
    taken = ports.take("tcp", "127.0.0.1", 0, 0)
    publisher = Publisher(ports)
    wanted = [PortRequest(1), PortRequest(2, "tcp", "127.0.0.1", taken, taken)]
    with pytest.raises(EngineError, match="already allocated"):
        await publisher.take(wanted, FOUR, "0.0.0.0")
    assert len(ports._held) == 1


async def test_an_address_the_container_lacks_is_told(ports: Ports) -> None:
    with pytest.raises(BadRequest, match="no IPv6 address"):
        await Publisher(ports).take([PortRequest(80, "tcp", "::1")], FOUR, "0.0.0.0")
    with pytest.raises(BadRequest, match="invalid IP address: nope"):
        await Publisher(ports).take([PortRequest(80, "tcp", "nope")], FOUR, "0.0.0.0")


async def test_in_a_vm_the_users_machine_decides(ports: Ports) -> None:
    publisher, desktop = Publisher(ports), Desktop()
    publisher.host = desktop
    (binding,) = await publisher.take(
        [PortRequest(80, "tcp", "127.0.0.1", 40080, 40080)], FOUR, "0.0.0.0"
    )
    assert desktop.open == {("tcp", "127.0.0.1", 40080): binding.guest_port}
    # Whatever address the user's machine listens on, in the VM it arrives at the VM's own.
    assert publisher.in_force([binding])[0].host_ip == "0.0.0.0"
    publisher.give_back([binding])
    assert desktop.open == {}


async def test_in_a_vm_a_port_of_the_vm_itself_is_no_obstacle(ports: Ports) -> None:
    publisher, desktop = Publisher(ports), Desktop()
    publisher.host = desktop
    busy = ports.take("tcp", "0.0.0.0", 0, 0)  # like sshd on 22
    for binding in await publisher.take([PortRequest(22, "tcp", "", busy, busy)], FOUR, "0.0.0.0"):
        assert binding.host_port == busy
        assert binding.guest_port != busy


async def test_in_a_vm_a_refusal_gives_the_vms_port_back(ports: Ports) -> None:
    publisher, desktop = Publisher(ports), Desktop()
    publisher.host = desktop
    desktop.taken = {40081, 40082}
    with pytest.raises(EngineError, match="port 40082 is in use"):
        await publisher.take([PortRequest(80, "tcp", "", 40081, 40082)], FOUR, "0.0.0.0")
    assert not ports._held
    found = await publisher.take([PortRequest(80, "tcp", "", 40081, 40083)], FOUR, "0.0.0.0")
    assert [one.host_port for one in found] == [40083, 40083]


async def test_in_a_vm_the_versions_of_both_sides_need_not_match(ports: Ports) -> None:
    publisher = Publisher(ports)
    publisher.host = Desktop()
    wanted = [PortRequest(80, "tcp", "::1", 40084, 40084), PortRequest(81)]
    found = await publisher.take(wanted, BOTH, "0.0.0.0")
    assert [one.host_ip for one in found] == ["::1", "0.0.0.0", "::"]
    assert {one.container_ip for one in found} == {"172.30.0.2"}


async def test_in_a_vm_another_containers_port_is_told_as_docker_tells_it(ports: Ports) -> None:
    publisher, desktop = Publisher(ports), Desktop()
    publisher.host = desktop
    wanted = [PortRequest(80, "tcp", "", 40085, 40085)]
    found = await publisher.take(wanted, FOUR, "0.0.0.0")
    again = "Bind for 0.0.0.0:40085 failed: port is already allocated"
    with pytest.raises(EngineError, match=again):
        await publisher.take(wanted, FOUR, "0.0.0.0")
    assert len(desktop.open) == 2
    publisher.give_back(found)
    publisher.adopt(found)  # as a new engine does
    with pytest.raises(EngineError, match=again):
        await publisher.take(wanted, FOUR, "0.0.0.0")
    publisher.give_back(found)
    assert len(await publisher.take(wanted, FOUR, "0.0.0.0")) == 2


async def test_in_a_vm_a_computer_without_ipv6_publishes_on_the_rest(ports: Ports) -> None:
    class Old(Desktop):
        async def publish(self, protocol: str, host_ip: str, host_port: int, guest: int) -> int:
            if ":" in host_ip:
                raise AddressAbsent(f"This computer has no address {host_ip}.")
            return await super().publish(protocol, host_ip, host_port, guest)

    publisher = Publisher(ports)
    publisher.host = Old()
    found = await publisher.take([PortRequest(80), PortRequest(81)], FOUR, "0.0.0.0")
    assert [one.host_ip for one in found] == ["0.0.0.0", "0.0.0.0"]
    assert len(ports._held) == 2
    with pytest.raises(AddressAbsent):
        await publisher.take([PortRequest(82, "tcp", "::1", 40086, 40086)], FOUR, "0.0.0.0")


async def test_what_the_machine_refuses_is_told_as_docker_tells_it(ports: Ports) -> None:
    with pytest.raises(EngineError) as caught:
        await Publisher(ports).take([PortRequest(80, "tcp", "192.0.2.7", 81, 81)], FOUR, "0.0.0.0")
    assert caught.value.message == (
        "failed to bind host port for 192.0.2.7:81:172.30.0.2:80/tcp: "
        "cannot assign requested address"
    )
