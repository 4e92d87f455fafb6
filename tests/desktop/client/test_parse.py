"""The Engine API's JSON into rows."""

from __future__ import annotations

from desktop.client import parse
from desktop.client.rows import Health, Member, State

_ITEM = {
    "Id": "7d1c0f3b9a2e" + "0" * 52,
    "Names": ["/web/alias", "/api"],
    "Image": "ghcr.io/acme/api:1.8.2",
    "ImageID": "sha256:aa",
    "Command": "sleep 1d",
    "Created": 1764100000,
    "Ports": [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 9000, "Type": "tcp"},
        {"IP": "0.0.0.0", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
    ],
    "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"},
    "State": "running",
    "Status": "Up 2 hours (unhealthy)",
    "Mounts": [{"Type": "volume", "Name": "data"}, {"Type": "bind", "Source": "/x"}],
    "NetworkSettings": {"Networks": {"shop_default": {"IPAddress": "172.18.0.3"}}},
}


def test_container() -> None:
    one = parse.container(_ITEM)
    assert one.name == "api"
    assert one.state is State.RUNNING and one.running
    assert one.health is Health.UNHEALTHY and one.problem
    assert [(p.public, p.private, p.protocol) for p in one.ports] == [
        (53, 53, "udp"),
        (8080, 80, "tcp"),
        (0, 9000, "tcp"),
    ]
    assert [p.url for p in one.ports] == ["", "http://localhost:8080", ""]
    assert one.volumes == ("data",)
    assert one.addresses == (("shop_default", "172.18.0.3"),)


def test_exit_codes_that_are_problems() -> None:
    for code, problem in ((0, False), (1, True), (137, False), (143, False), (127, True)):
        item = {**_ITEM, "State": "exited", "Status": f"Exited ({code}) 3 minutes ago"}
        one = parse.container(item)
        assert (one.exit_code, one.problem) == (code, problem)


def test_images_have_a_row_for_each_tag() -> None:
    users = [parse.container(_ITEM)]
    rows = parse.images(
        [
            {"Id": "sha256:aa", "RepoTags": ["reg:5000/a/b:1", "a:2"], "Size": 10, "Created": 5},
            {"Id": "sha256:bb", "RepoTags": None, "Size": 3, "SharedSize": 1},
            {"Id": "sha256:cc", "RepoTags": ["<none>:<none>"], "Size": 3},
        ],
        users,
    )
    assert [row.reference for row in rows][:2] == ["reg:5000/a/b:1", "a:2"]
    assert rows[0].used_by == ("api",)
    assert rows[2].dangling and rows[3].dangling
    assert (rows[2].unique, rows[3].unique) == (2, -1)


def test_layers_name_their_instruction() -> None:
    said = [
        ('/bin/sh -c #(nop)  CMD ["sh"]', ("CMD", '["sh"]')),
        ("/bin/sh -c apt-get update", ("RUN", "apt-get update")),
        ("RUN /bin/sh -c npm ci # buildkit", ("RUN", "npm ci")),
        ("COPY . /app # buildkit", ("COPY", ". /app")),
        ("", ("Layer", "no instruction recorded")),
    ]
    rows = parse.layers([{"CreatedBy": text, "Size": 1} for text, _ in said])
    assert [(row.instruction, row.arguments) for row in rows] == [want for _, want in said]


def test_timestamp() -> None:
    assert parse.timestamp("0001-01-01T00:00:00Z") == 0
    assert parse.timestamp("1970-01-01T00:00:01.123456789Z") == 1.123456
    assert parse.timestamp("1970-01-01T01:00:01+01:00") == 1
    assert parse.timestamp("nonsense") == 0


def test_network_and_event() -> None:
    network = parse.network(
        {
            "Id": "n1",
            "Name": "shop_default",
            "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]},
        },
        {"shop_default": [Member("api", "172.18.0.3")]},
    )
    assert network.subnets == ("172.18.0.0/16",) and network.members[0].name == "api"
    assert not network.predefined
    event = parse.event(
        {"Type": "container", "Action": "die", "Actor": {"ID": "x"}, "timeNano": 2_000_000_000}
    )
    assert (event.type, event.action, event.id, event.time) == ("container", "die", "x", 2.0)
