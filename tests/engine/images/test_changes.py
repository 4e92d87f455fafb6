"""The instructions that `--change` takes."""

from __future__ import annotations

import pytest

from engine.errors import BadRequest
from engine.images.changes import apply


def test_all_instructions() -> None:
    config = apply(
        {"Env": ["A=old", "KEEP=1"]},
        [
            'CMD ["sh", "-c", "true"]',
            "entrypoint run me",
            'ENV A=new B="two words"',
            "ENV C the whole rest",
            "EXPOSE 80 53/udp 8000-8002",
            'LABEL a=b "c d"=e',
            "VOLUME /a /b",
            'VOLUME ["/c"]',
            "USER nobody:nogroup",
            "WORKDIR /srv",
            "WORKDIR app",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN make",
            "HEALTHCHECK --interval=5s --retries=3 CMD curl x",
            'SHELL ["/bin/bash", "-c"]\nCMD echo hi',
        ],
    )
    assert config["Cmd"] == ["/bin/bash", "-c", "echo hi"]
    assert config["Entrypoint"] == ["/bin/sh", "-c", "run me"]
    assert config["Env"] == ["A=new", "KEEP=1", "B=two words", "C=the whole rest"]
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp"}
    assert config["Labels"] == {"a": "b", "c d": "e"}
    assert set(config["Volumes"]) == {"/a", "/b", "/c"}
    assert (config["User"], config["WorkingDir"]) == ("nobody:nogroup", "/srv/app")
    assert config["StopSignal"] == "SIGQUIT" and config["OnBuild"] == ["RUN make"]
    assert config["Healthcheck"] == {
        "Interval": 5_000_000_000,
        "Retries": 3,
        "Test": ["CMD-SHELL", "curl x"],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("RUN make", "RUN is not a valid change command"),
        ("EXPOSE 99999", "invalid containerPort: 99999"),
        ("ENV A", "ENV must have two arguments"),
        ("LABEL a=b c", "Syntax error"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("HEALTHCHECK --nope=1 CMD x", "Unknown flag: nope"),
        ('ENV A="open', "Syntax error"),
    ],
)
def test_refusals(change: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        apply({}, [change])


def test_the_given_config_stays_as_it_is() -> None:
    config = {"Env": ["A=1"]}
    apply(config, ["ENV A=2"])
    assert config == {"Env": ["A=1"]}
