"""`RUN --mount`."""

from __future__ import annotations

import pytest

from engine.builder import mounts
from engine.builder.errors import DockerfileError
from engine.builder.instructions import Mount, MountType, Sharing

READ = [
    ("target=/x", Mount(MountType.BIND, "/x", readonly=True)),
    ("type=bind,source=/a,dst=/x,rw", Mount(MountType.BIND, "/x", "/a")),
    ("type=BIND,src=a,destination=b,ro=false", Mount(MountType.BIND, "b", "a")),
    ("from=base,target=/x,rw=false", Mount(MountType.BIND, "/x", "", "base", readonly=True)),
    ("type=cache,target=/c", Mount(MountType.CACHE, "/c")),
    (
        "type=cache,id=i,target=/c,sharing=LOCKED,mode=0700,uid=1,gid=2,ro",
        Mount(
            MountType.CACHE,
            "/c",
            readonly=True,
            id="i",
            sharing=Sharing.LOCKED,
            mode=0o700,
            uid=1,
            gid=2,
        ),
    ),
    ("type=tmpfs,target=/t,size=64m", Mount(MountType.TMPFS, "/t", size=64 << 20)),
    ("type=tmpfs,target=/t,size=1.5GiB", Mount(MountType.TMPFS, "/t", size=3 << 29)),
    ("type=tmpfs,target=/t,size=100", Mount(MountType.TMPFS, "/t", size=100)),
    (
        "type=secret,id=s,env=S,required",
        Mount(MountType.SECRET, id="s", readonly=True, required=True, env="S"),
    ),
    (
        "type=secret,source=s,target=/t,mode=0444,required=false",
        Mount(MountType.SECRET, "/t", "s", readonly=True, mode=0o444),
    ),
    (
        "type=ssh,id=x,required=true",
        Mount(MountType.SSH, id="x", readonly=True, required=True),
    ),
    ('type=bind,"source=a,b",target=/x', Mount(MountType.BIND, "/x", "a,b", readonly=True)),
    ("target=$V", Mount(MountType.BIND, "/v", readonly=True)),
]


@pytest.mark.parametrize(("text", "mount"), READ)
def test_read(text: str, mount: Mount) -> None:
    mounts.check(text)
    assert mounts.parse(text, lambda word: word.replace("$V", "/v")) == mount


REFUSED = [
    ("", "failed to parse csv mounts: EOF"),
    ('"open', "failed to parse csv mounts: unexpected end of data"),
    ("foo", "invalid field 'foo' must be a key=value pair"),
    ("typ=foo", "unexpected key 'typ' in 'typ=foo' (did you mean type?)"),
    ("type=foo", 'unsupported mount type "foo"'),
    ("type=cahe", 'unsupported mount type "cahe" (did you mean cache?)'),
    ("type=cache,sharing=lock", 'unsupported sharing value "lock" (did you mean locked?)'),
    ("type=cache,mode=8", "invalid value 8 for mode"),
    ("type=cache,mode=-1", "invalid value -1 for mode"),
    ("type=cache,uid=x", "invalid value x for uid"),
    ("type=cache,gid=4294967296", "invalid value 4294967296 for gid"),
    ("mode=0", 'mode not allowed for "bind" type mounts'),
    ("type=tmpfs,uid=0", 'uid not allowed for "tmpfs" type mounts'),
    ("ro=maybe", "invalid value for ro: maybe"),
    ("required", "unexpected key 'required' for mount type 'bind'"),
    ("size=1", "unexpected key 'size' for mount type 'bind'"),
    ("type=tmpfs,size=x", "invalid value for size: x"),
    ("sharing=private", "invalid cache sharing set for bind mount"),
    ("type=secret", "invalid secret mount. one of source, target required"),
    ("type=secret,from=x,id=y", "secret mount should not have a from"),
    ("type=secret,source=x,id=y", "both source and id can't be set"),
    ("type=secret,id=y,sharing=shared", "secret mount should not define sharing"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        mounts.parse(text, str)
    assert caught.value.reason == reason


def test_source_before_expansion() -> None:
    assert mounts.source_of("type=bind,from=base,target=$x") == "base"
    assert mounts.source_of("target=$x") == ""
