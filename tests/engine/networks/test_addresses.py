"""Subnets chosen, addresses given out once."""

import ipaddress

import pytest

from engine.errors import BadRequest, EngineError, Forbidden
from engine.networks.addresses import Space, Spaces, choose_subnet, local_subnet, mac_of
from engine.networks.network import Network, Pool


def network(*pools: Pool) -> Network:
    return Network("a" * 64, "n", "bridge", "2024-01-01T00:00:00.000000000Z", pools=pools)


def test_the_first_default_pool_that_nobody_uses_is_chosen() -> None:
    used = [ipaddress.ip_network(one) for one in ("172.17.0.0/16", "172.18.4.0/24", "fd00::/64")]
    assert str(choose_subnet(used)) == "172.19.0.0/16"


def test_after_the_large_pools_come_the_small_ones() -> None:
    assert str(choose_subnet([ipaddress.ip_network("172.16.0.0/12")])) == "192.168.0.0/20"


def test_no_pool_left_is_told() -> None:
    used = [ipaddress.ip_network("172.16.0.0/12"), ipaddress.ip_network("192.168.0.0/16")]
    assert str(choose_subnet(used)) == "10.192.0.0/20"
    used.append(ipaddress.ip_network("10.0.0.0/8"))
    with pytest.raises(EngineError, match="non-overlapping IPv4 address pool"):
        choose_subnet(used)


def test_local_subnets_are_unique_local_and_follow_the_id() -> None:
    one, other = local_subnet("a1" * 32), local_subnet("b2" * 32)
    assert one.prefixlen == 64
    assert one.is_private
    assert one != other
    assert one == local_subnet("a1" * 32)


def test_the_lowest_free_address_is_given_out() -> None:
    space = Space(Pool("10.0.0.0/29", "10.0.0.1", auxiliary={"router": "10.0.0.3"}))
    assert [space.take() for _ in range(4)] == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(EngineError, match=r"no available IPv4 addresses.*10\.0\.0\.0/29"):
        space.take()
    space.release("10.0.0.4")
    assert space.take() == "10.0.0.4"


def test_a_range_limits_what_is_given_and_not_what_can_be_asked() -> None:
    space = Space(Pool("10.0.0.0/16", "10.0.0.1", ip_range="10.0.5.0/24"))
    assert space.take() == "10.0.5.0"
    assert space.take("10.0.9.9") == "10.0.9.9"


def test_an_address_in_use_is_refused() -> None:
    space = Space(Pool("10.0.0.0/24", "10.0.0.1"))
    space.adopt("10.0.0.7")
    for taken in ("10.0.0.1", "10.0.0.7", "10.0.0.255"):
        with pytest.raises(Forbidden, match="Address already in use"):
            space.take(taken)


def test_both_versions_of_a_network() -> None:
    spaces = Spaces(network(Pool("10.0.0.0/24", "10.0.0.1"), Pool("fd00:1::/64", "fd00:1::1")))
    assert spaces.take(4) == ("10.0.0.2", 24, "10.0.0.1")
    assert spaces.take(6) == ("fd00:1::2", 64, "fd00:1::1")
    spaces.release("10.0.0.2")
    assert spaces.take(4, "10.0.0.2")[0] == "10.0.0.2"


def test_a_network_without_addresses_of_a_version() -> None:
    spaces = Spaces(network(Pool("10.0.0.0/24", "10.0.0.1")))
    assert spaces.take(6) == ("", 0, "")
    with pytest.raises(BadRequest, match="no configured subnet"):
        spaces.take(6, "fd00::9")
    with pytest.raises(BadRequest, match="no configured subnet"):
        spaces.check(4, "10.1.0.5")


def test_hardware_addresses_follow_the_address() -> None:
    assert mac_of("172.17.0.2") == "02:42:ac:11:00:02"
    assert mac_of("", "fd00::1:2") == "02:42:00:01:00:02"
