"""The resolv.conf of containers."""

from pathlib import Path

from engine.networks.resolver import Resolver, embedded_resolver, machine_resolver, parse


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_what_a_file_says() -> None:
    text = """# comment
nameserver 10.0.2.3 ; the VM's
nameserver fd00::3
domain old.example
search a.example b.example
options timeout:1 attempts:2
options ndots:3
nonsense
"""
    assert parse(text) == Resolver(
        ("10.0.2.3", "fd00::3"),
        ("a.example", "b.example"),
        ("timeout:1", "attempts:2", "ndots:3"),
    )


def test_loopback_servers_mean_nothing_in_a_container(tmp_path: Path) -> None:
    own = write(tmp_path, "own", "nameserver 127.0.0.53\nnameserver 10.0.2.3\nsearch .\n")
    found = machine_resolver(own, tmp_path / "none")
    assert found.render() == "nameserver 10.0.2.3\n"


def test_only_loopback_left_asks_what_the_local_server_asks(tmp_path: Path) -> None:
    own = write(tmp_path, "own", "nameserver 127.0.0.53\noptions edns0\nsearch lan\n")
    upstream = write(tmp_path, "upstream", "nameserver 192.0.2.53\n")
    found = machine_resolver(own, upstream)
    assert found.render() == "nameserver 192.0.2.53\nsearch lan\noptions edns0\n"


def test_nothing_at_all_asks_public_servers(tmp_path: Path) -> None:
    found = machine_resolver(tmp_path / "none", tmp_path / "none")
    assert found.servers == ("8.8.8.8", "8.8.4.4")


def test_user_networks_ask_the_engine() -> None:
    machine = Resolver(("10.0.2.3",), ("lan",), ("ndots:5", "edns0"))
    assert embedded_resolver(machine).render() == (
        "nameserver 127.0.0.11\nsearch lan\noptions edns0 ndots:0\n"
    )
