"""Docker's reference grammar, with its defaults and its words for errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.images.reference import InvalidReference, Reference, is_identifier

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "normal", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("user/app", "docker.io/user/app", "user/app"),
        ("library/app", "docker.io/library/app", "app"),
        ("docker.io/app", "docker.io/library/app", "app"),
        ("index.docker.io/user/app", "docker.io/user/app", "user/app"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("Host/app", "Host/app", "Host/app"),
        ("quay.io/a/b/c:x", "quay.io/a/b/c:x", "quay.io/a/b/c:x"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:1@{DIGEST}", f"docker.io/library/app:1@{DIGEST}", f"app:1@{DIGEST}"),
        ("host.io/" + "b" * 255, "host.io/" + "b" * 255, "host.io/" + "b" * 255),
        ("index.docker.io/app", "docker.io/library/app", "app"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        (f"app@sha512:{'ab' * 64}", f"docker.io/library/app@sha512:{'ab' * 64}", None),
        ("a__b.c-d---e", "docker.io/library/a__b.c-d---e", "a__b.c-d---e"),
    ],
)
def test_names(text: str, normal: str, familiar: str | None) -> None:
    reference = Reference.parse(text)
    familiar = familiar or text
    assert (str(reference), reference.familiar) == (normal, familiar)
    assert Reference.parse(familiar) == reference


_pieces = st.sampled_from(
    ["a", "1", "_", "__", ".", "-", "/", ":", "@", "A", "localhost", "docker.io", "[::1]:5", "é"]
    + ["sha256:", "ab" * 32, "latest", "library", " "]
)


@given(st.lists(_pieces, min_size=1, max_size=6).map("".join) | st.text(max_size=40))
def test_whatever_is_typed_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
    assert reference.path == reference.path.lower()
    assert "/" in str(reference) and " " not in str(reference)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("-app", "invalid reference format"),
        ("app:", "invalid reference format"),
        ("app:-x", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("app:" + "x" * 129, "invalid reference format"),
        ("https://host/app", "invalid reference format"),
        ("user/App", "invalid reference format: repository name (user/App) must be lowercase"),
        ("App", "invalid reference format: repository name (library/App) must be lowercase"),
        ("a" * 256, "repository name must not be more than 255 characters"),
        ("app@sha256:" + "ab" * 31, "invalid checksum digest length"),
        ("app@sha256:" + "AB" * 32, "invalid checksum digest format"),
        ("app@sha512:" + "ab" * 32, "invalid checksum digest length"),
        ("app@md5:" + "ab" * 16, "unsupported digest algorithm"),
        ("app@sha256:abc", "invalid reference format"),
        ("App:1@x", "invalid reference format: repository name (library/App) must be lowercase"),
        (
            f"App@{DIGEST}",
            "invalid reference format: repository name (library/App@sha256) must be lowercase",
        ),
        ("docker.io/_a", "invalid reference format"),
        ("[::1/app", "invalid reference format"),
        ("a/" + "b" * 254, "repository name must not be more than 255 characters"),
        (
            "ab" * 32,
            f"invalid repository name ({'ab' * 32}), cannot specify 64-byte hexadecimal strings",
        ),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert caught.value.message == message and caught.value.status == 400


def test_tags_and_digests_replace_each_other() -> None:
    reference = Reference.parse("app")
    assert reference.with_default_tag().tag == "latest"
    assert reference.with_digest(DIGEST).with_default_tag().tag is None
    assert reference.with_digest(DIGEST).with_tag("v1").familiar == "app:v1"
    with pytest.raises(InvalidReference, match="invalid tag format"):
        reference.with_tag("not a tag")


def test_identifiers() -> None:
    assert is_identifier("ab" * 32) and is_identifier(DIGEST)
    assert not is_identifier("abcdef") and not is_identifier("busybox")
