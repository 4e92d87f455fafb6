"""nf_tables requests as bytes."""

from engine.linux import nftables as nft
from engine.linux.netlink.message import attribute_list, attributes


def test_a_map_joins_the_types_of_its_key() -> None:
    message = nft.add_set(
        "t",
        "ports",
        1,
        (nft.TYPE_IPV4, nft.TYPE_PROTOCOL, nft.TYPE_PORT),
        (nft.TYPE_IPV4, nft.TYPE_PORT),
    )
    found = attributes(message.body[4:])
    assert int.from_bytes(found[4], "big") == 7 << 12 | 12 << 6 | 13
    assert int.from_bytes(found[5], "big") == 12
    assert int.from_bytes(found[6], "big") == 7 << 6 | 13
    assert int.from_bytes(found[7], "big") == 8


def test_many_elements_come_in_several_messages() -> None:
    messages = nft.add_elements("t", "s", [(n.to_bytes(4, "big"), None) for n in range(600)])
    counts = [len(list(attribute_list(attributes(one.body[4:])[3]))) for one in messages]
    assert counts == [256, 256, 88]
    assert nft.add_elements("t", "s", []) == []
    assert all(len(one.body) < 1 << 16 for one in messages)
