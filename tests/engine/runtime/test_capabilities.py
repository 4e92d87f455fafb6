"""Which capabilities a container ends up with."""

import pytest

from engine.errors import BadRequest
from engine.runtime import capabilities


def effective(add=(), drop=(), privileged=False):
    return capabilities.effective(privileged=privileged, add=add, drop=drop)


def test_defaults():
    assert effective() == capabilities.DEFAULT
    assert "CAP_NET_ADMIN" not in effective()


def test_add_and_drop_take_either_spelling():
    found = effective(add=["net_admin", "CAP_SYS_TIME"], drop=["CHOWN"])
    assert "CAP_NET_ADMIN" in found and "CAP_SYS_TIME" in found
    assert "CAP_CHOWN" not in found


def test_all():
    assert effective(add=["ALL"]) == capabilities.ALL
    assert effective(drop=["all"]) == ()
    assert effective(add=["CHOWN"], drop=["ALL"]) == ("CAP_CHOWN",)
    assert "CAP_SYS_ADMIN" not in effective(add=["ALL"], drop=["SYS_ADMIN"])
    assert effective(privileged=True, drop=["ALL"]) == capabilities.ALL


def test_unknown():
    with pytest.raises(BadRequest, match='invalid capability: "CAP_NOPE"'):
        effective(add=["CAP_NOPE"])


def test_bounding_is_a_subset_of_all():
    assert capabilities.bounding() <= set(capabilities.ALL)
