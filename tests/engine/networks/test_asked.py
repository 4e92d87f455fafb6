"""What can't become a network is refused with dockerd's words."""

import pytest

from engine.errors import BadRequest, EngineError, Forbidden, NotFound, Unsupported
from engine.networks.asked import Asked, check
from engine.networks.network import Pool


def test_a_plain_request_passes() -> None:
    check(Asked("web"))
    check(Asked("web", pools=(Pool("10.0.0.0/24", "10.0.0.254", "10.0.0.128/25"),)))


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (Asked(" "), BadRequest, "invalid name: name is empty"),
        (Asked("bridge"), Forbidden, "operation is not permitted on predefined bridge network"),
        (Asked("n", "nope"), NotFound, 'plugin "nope" not found'),
        (Asked("n", "host"), Forbidden, 'only one instance of "host" network is allowed'),
        (Asked("n", "overlay"), Forbidden, "This node is not a swarm manager"),
        (Asked("n", scope="swarm"), Forbidden, "swarm is not active"),
        (Asked("n", ingress=True), Forbidden, "can only be global scope"),
        (Asked("n", "macvlan"), Unsupported, "macvlan are not supported"),
        (Asked("n", ipam_driver="x"), NotFound, 'plugin "x" not found'),
        (Asked("n", ipv4=False), BadRequest, "IPv4 or IPv6 must be enabled"),
        (Asked("n", config_only=True), Unsupported, "configuration-only"),
        (
            Asked("n", options={"com.docker.network.bridge.name": "a-name-too-long-for-it"}),
            BadRequest,
            "at most 15 characters",
        ),
    ],
)
def test_refusals(asked: Asked, kind: type[EngineError], words: str) -> None:
    with pytest.raises(kind) as caught:
        check(asked)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (Pool("10.0.0.0"), "invalid subnet 10.0.0.0: invalid CIDR block notation"),
        (Pool("10.0.0.0/33"), "invalid subnet 10.0.0.0/33: invalid CIDR block notation"),
        (Pool("10.0.0.5/24"), "invalid subnet 10.0.0.5/24: it should be 10.0.0.0/24"),
        (Pool("10.0.0.0/24", "x"), "invalid gateway x: invalid address"),
        (
            Pool("10.0.0.0/24", "10.0.1.1"),
            "invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address",
        ),
        (Pool("10.0.0.0/24", "fd00::1"), "invalid gateway fd00::1: parent subnet is an IPv4 block"),
        (
            Pool("10.0.0.0/24", ip_range="10.0.0.0/16"),
            "invalid ip-range 10.0.0.0/16: CIDR block is bigger than its parent subnet 10.0.0.0/24",
        ),
        (
            Pool("10.0.0.0/24", ip_range="10.0.1.0/25"),
            "invalid ip-range 10.0.1.0/25: parent subnet 10.0.0.0/24 doesn't contain ip-range",
        ),
        (
            Pool("10.0.0.0/24", ip_range="10.0.0.5/25"),
            "invalid ip-range 10.0.0.5/25: it should be 10.0.0.0/25",
        ),
        (Pool("10.0.0.0/24", auxiliary={"r": "?"}), "invalid auxiliary address r: invalid address"),
        (Pool("", "10.0.0.1"), "invalid subnet : invalid CIDR block notation"),
    ],
)
def test_pools_that_fit_nowhere(pool: Pool, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check(Asked("n", pools=(pool,)))
    assert caught.value.message.startswith("invalid network config:\n")
    assert words in caught.value.message


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadRequest) as caught:
        check(Asked("n", pools=(Pool("10.0.0.5/24", "10.0.1.1"),)))
    assert caught.value.message.count("\n* ") == 2
