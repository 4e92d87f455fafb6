"""What a client asks of a new network, checked with dockerd's words."""

import ipaddress
from collections.abc import Iterable, Mapping

from engine.errors import BadRequest, Forbidden, NotFound, Unsupported
from engine.networks.addresses import AnyAddress, AnyNetwork
from engine.networks.network import Pool
from engine.values import dataclass, field

_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
    "this node to swarm and try again."
)
_BRIDGE_NAME = "com.docker.network.bridge.name"


@dataclass(frozen=True)
class Asked:
    """A request for a network. `pools` without a subnet leave it to the engine."""

    name: str
    driver: str = "bridge"
    pools: tuple[Pool, ...] = ()
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    config_only: bool = False
    config_from: str = ""
    scope: str = ""
    ingress: bool = False


def check(asked: Asked) -> None:
    """Refuse what no network can be made of. Raises EngineError."""
    if not asked.name.strip():
        raise BadRequest("invalid name: name is empty")
    if asked.name in ("bridge", "host", "none", "default"):
        raise Forbidden(f"operation is not permitted on predefined {asked.name} network")
    if asked.scope == "swarm":
        raise Forbidden("cannot create a swarm scoped network when swarm is not active")
    if asked.ingress:
        raise Forbidden("Ingress network can only be global scope network")
    _check_driver(asked.driver)
    if asked.config_only or asked.config_from:
        raise Unsupported("configuration-only networks are not supported: give the options here")
    if asked.ipam_driver != "default":
        raise NotFound(f'plugin "{asked.ipam_driver}" not found')
    if not asked.ipv4 and not asked.ipv6:
        raise BadRequest("IPv4 or IPv6 must be enabled")
    _check_bridge_name(asked.options.get(_BRIDGE_NAME, ""))
    problems = [problem for pool in asked.pools for problem in _pool_problems(pool)]
    if problems:
        listed = problems[0] if len(problems) == 1 else "\n".join(f"* {one}" for one in problems)
        raise BadRequest(f"invalid network config:\n{listed}")


def _check_driver(driver: str) -> None:
    if driver == "bridge":
        return
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver == "overlay":
        raise Forbidden(_SWARM)
    if driver in ("macvlan", "ipvlan"):
        raise Unsupported(f"networks of the driver {driver} are not supported: use bridge")
    raise NotFound(f'plugin "{driver}" not found')


def _check_bridge_name(name: str) -> None:
    if name and (len(name) > 15 or "/" in name or any(one.isspace() for one in name)):
        raise BadRequest(
            f'invalid bridge name "{name}": at most 15 characters, without "/" or spaces'
        )


def _pool_problems(pool: Pool) -> Iterable[str]:
    if not pool.subnet:
        if pool.gateway or pool.ip_range or pool.auxiliary:
            yield "invalid subnet : invalid CIDR block notation"
        return
    subnet = _network(pool.subnet)
    if subnet is None:
        yield f"invalid subnet {pool.subnet}: invalid CIDR block notation"
        return
    host = pool.subnet.partition("/")[0]
    if ipaddress.ip_address(host) != subnet.network_address:
        yield f"invalid subnet {pool.subnet}: it should be {subnet}"
    if pool.ip_range:
        yield from _range_problems(pool.ip_range, subnet)
    if pool.gateway and (reason := _address_problem(pool.gateway, subnet)):
        yield f"invalid gateway {pool.gateway}: {reason}"
    for name, address in pool.auxiliary.items():
        if reason := _address_problem(address, subnet):
            yield f"invalid auxiliary address {name}: {reason}"


def _range_problems(text: str, subnet: AnyNetwork) -> Iterable[str]:
    found = _network(text)
    if found is None:
        yield f"invalid ip-range {text}: invalid CIDR block notation"
    elif found.version != subnet.version:
        yield f"invalid ip-range {text}: parent subnet is an IPv{subnet.version} block"
    elif found.prefixlen < subnet.prefixlen:
        yield f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"
    elif found.network_address not in subnet:
        yield f"invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"
    elif ipaddress.ip_address(text.partition("/")[0]) != found.network_address:
        yield f"invalid ip-range {text}: it should be {found}"


def _address_problem(text: str, subnet: AnyNetwork) -> str:
    try:
        address: AnyAddress = ipaddress.ip_address(text)
    except ValueError:
        return "invalid address"
    if address.version != subnet.version:
        return f"parent subnet is an IPv{subnet.version} block"
    if address not in subnet:
        return f"parent subnet {subnet} doesn't contain this address"
    return ""


def _network(text: str) -> AnyNetwork | None:
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
