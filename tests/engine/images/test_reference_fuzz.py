"""References at random: taken and written back the same, or refused in words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.images.reference import Reference
from tests.support.fuzz import effort

PIECES = st.sampled_from(
    ["a", "lib", "UPPER", "localhost", "a.b", "host:5000", "/", ":", "@", "sha256:", "ab" * 32, ".",
     "-", "_", "__", "tag", "127.0.0.1", "[::1]:5", "é", " ", "docker.io", "library/"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=7).map("".join) | st.text(max_size=40))
@effort(50)
def test_any_text(text: str) -> None:
    try:
        found = Reference.parse(text)
    except BadRequest as error:
        assert error.message
        return
    assert Reference.parse(str(found)) == found
    assert Reference.parse(found.familiar) == found
    assert str(found).startswith(found.name) and found.path == found.path.lower()
    assert found.with_default_tag().with_default_tag() == found.with_default_tag()
