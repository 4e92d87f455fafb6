"""Who is found under which name."""

from engine.networks.dns.names import Names, View

SHOP = View(("shop",))


def shop() -> Names:
    names = Names()
    names.add("shop", "Shop", "c1", ("web-1", "web", "c1c1"), ("10.0.0.2", "fd00::2"))
    names.add("shop", "Shop", "c2", ("web-2", "web"), ("10.0.0.3", ""))
    names.add("back", "back", "c3", ("db",), ("10.1.0.2",))
    return names


def test_names_aliases_and_network_scoped_names() -> None:
    names = shop()
    assert names.lookup(SHOP, "web-1") == ("10.0.0.2", "fd00::2")
    assert names.lookup(SHOP, "c1c1") == ("10.0.0.2", "fd00::2")
    assert names.lookup(SHOP, "web-2.shop") == ("10.0.0.3",)
    assert names.lookup(SHOP, "web-2.back") is None
    assert names.lookup(SHOP, "db") is None
    assert names.lookup(View(("shop", "back")), "db") == ("10.1.0.2",)


def test_replicas_take_turns() -> None:
    names = shop()
    firsts = [(names.lookup(SHOP, "web") or ("",))[0] for _ in range(4)]
    assert sorted(firsts) == ["10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.3"]
    assert firsts[0] != firsts[1]


def test_a_container_that_left_is_known_to_be_gone() -> None:
    names = shop()
    names.remove("shop", "c1")
    names.remove("shop", "c1")
    assert names.lookup(SHOP, "web-1") == ()
    assert names.lookup(SHOP, "web") == ("10.0.0.3",)
    assert names.lookup(SHOP, "never") is None
    names.add("shop", "Shop", "c9", ("web-1",), ("10.0.0.9",))
    assert names.lookup(SHOP, "web-1") == ("10.0.0.9",)


def test_a_new_name_replaces_the_old() -> None:
    names = shop()
    names.add("shop", "Shop", "c1", ("front",), ("10.0.0.2",))
    assert names.lookup(SHOP, "front") == ("10.0.0.2",)
    assert names.lookup(SHOP, "web-1") == ()


def test_links_are_of_one_container_alone() -> None:
    names = shop()
    linked = View(("shop",), {"frontend": "web-1"})
    assert names.lookup(linked, "frontend") == ("10.0.0.2", "fd00::2")
    assert names.lookup(SHOP, "frontend") is None


def test_reverse() -> None:
    names = shop()
    assert names.reverse(SHOP, "10.0.0.3") == "web-2.shop"
    assert names.reverse(SHOP, "fd00::2") == "web-1.shop"
    assert names.reverse(SHOP, "10.1.0.2") is None


def test_common_names_and_networks_that_are_gone() -> None:
    names = shop()
    names.common = {"host.docker.internal": ("10.0.2.2",)}
    assert names.lookup(SHOP, "host.docker.internal") == ("10.0.2.2",)
    names.forget("shop")
    assert names.lookup(SHOP, "web") is None
