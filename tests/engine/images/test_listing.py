"""Filters, order and shared sizes of the image list; what the API prints of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from engine.api.image_documents import history, inspection, summary, unix_time
from engine.errors import BadRequest, NotFound
from engine.filters import Filters
from engine.images.listing import matches, select, shared_sizes
from engine.images.model import Image, Layer
from engine.images.records import make_image

V151 = (1, 51)


def diff_id(number: int) -> str:
    return f"sha256:{number:064x}"


def image(
    number: int, layers: Sequence[int], references: Sequence[str] = (), **config: object
) -> Image:
    document = {
        "created": f"2024-01-0{number}T00:00:00.5Z",
        "rootfs": {"type": "layers", "diff_ids": [diff_id(each) for each in layers]},
        **config,
    }
    parts = [Layer(diff_id(each), diff_id(each), "tar", 1, 10 * each) for each in layers]
    made = make_image(diff_id(900 + number), json.dumps(document), parts)
    from dataclasses import replace

    return replace(made, references=tuple(references))


IMAGES = [
    image(1, [1], ["busybox:latest", "busybox:1"], config={"Labels": {"a": "b", "c": "d"}}),
    image(2, [1, 2], ["127.0.0.1:5000/team/app:v1"]),
    image(3, [3]),
]


def find(name: str) -> Image:
    for each in IMAGES:
        if name in each.references:
            return each
    raise NotFound(f"No such image: {name}")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [3, 2, 1]),
        ({"dangling": ["true"]}, [3]),
        ({"dangling": ["false"]}, [2, 1]),
        ({"label": ["a"]}, [1]),
        ({"label": ["a=b", "c=d"]}, [1]),
        ({"label": ["a=x"]}, []),
        ({"before": ["127.0.0.1:5000/team/app:v1"]}, [1]),
        ({"since": ["busybox:latest"]}, [3, 2]),
        ({"until": ["2024-01-02T12:00:00Z"]}, [2, 1]),
        ({"reference": ["busybox"]}, [1]),
        ({"reference": ["busy*:1"]}, [1]),
        ({"reference": ["*/team/*"]}, [2]),
        ({"reference": ["team/*"]}, []),
    ],
)
def test_filters(filters: dict[str, list[str]], expected: list[int]) -> None:
    found = select(IMAGES, Filters(filters), find)
    assert [int(each.id[-3:], 16) - 900 for each in found] == expected


def test_a_reference_filter_hides_other_tags() -> None:
    (found,) = select(IMAGES, Filters({"reference": ["busybox:1"]}), find)
    assert found.references == ("busybox:1",)


def test_wrong_filters() -> None:
    with pytest.raises(BadRequest, match="invalid filter 'nope'"):
        select(IMAGES, Filters({"nope": ["x"]}), find)
    with pytest.raises(NotFound):
        select(IMAGES, Filters({"before": ["missing"]}), find)


def test_patterns_stop_at_slashes() -> None:
    assert matches("[ab]usybox", "busybox:latest") and matches("b?sybox:*", "busybox:latest")
    assert not matches("*", "user/app:1") and matches("*/*", "user/app:1")
    assert not matches("[", "busybox:latest")


def test_shared_sizes_count_layers_of_others() -> None:
    sizes = shared_sizes(IMAGES)
    assert [sizes[each.id] for each in IMAGES] == [10, 10, 0]


def test_summary_has_dockerds_fields() -> None:
    document = summary(IMAGES[1], V151)
    assert document == {
        "Containers": -1,
        "Created": 1704153600,
        "Id": IMAGES[1].id,
        "Labels": None,
        "ParentId": "",
        "RepoDigests": [],
        "RepoTags": ["127.0.0.1:5000/team/app:v1"],
        "SharedSize": -1,
        "Size": 30,
    }
    assert summary(IMAGES[2], V151)["RepoTags"] == []
    assert summary(IMAGES[2], (1, 42))["RepoTags"] == ["<none>:<none>"]
    assert summary(IMAGES[2], (1, 42))["VirtualSize"] == 30


def test_inspection() -> None:
    document = inspection(IMAGES[0], V151, [])
    assert document["RootFS"] == {"Type": "layers", "Layers": [diff_id(1)]}
    assert document["Config"] == {
        "User": "",
        "Env": None,
        "Entrypoint": None,
        "Cmd": None,
        "Volumes": None,
        "WorkingDir": "",
        "Labels": {"a": "b", "c": "d"},
        "OnBuild": None,
    }
    assert document["Metadata"] == {"LastTagTime": "0001-01-01T00:00:00Z"}
    assert inspection(IMAGES[0], (1, 40), [])["Config"]["Hostname"] == ""


def test_history_gives_sizes_to_steps_with_layers() -> None:
    steps = [
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD x"},
        {"created_by": "ENV A=1", "empty_layer": True, "comment": "note"},
        {"created_by": "RUN y"},
    ]
    made = image(4, [5, 6], ["app:1"], history=steps)
    found = history(made)
    assert [(each["CreatedBy"], each["Size"]) for each in found] == [
        ("RUN y", 60),
        ("ENV A=1", 0),
        ("ADD x", 50),
    ]
    assert found[0]["Id"] == made.id and found[0]["Tags"] == ["app:1"]
    assert found[1]["Id"] == "<missing>" and found[1]["Comment"] == "note"
    found = history(made, [image(5, [5], ["step:2"], history=steps[:2]), IMAGES[0]])
    assert [each["Tags"] for each in found] == [
        ["app:1"],
        ["step:2"],
        ["busybox:latest", "busybox:1"],
    ]
    found = history(made, IMAGES[:1])
    assert [each["Id"] for each in found] == [made.id, "<missing>", IMAGES[0].id]


def test_times() -> None:
    assert unix_time("1970-01-01T01:00:00.123456789+01:00") == 0
    assert unix_time("") == unix_time("0001-01-01T00:00:00Z") == -62135596800
