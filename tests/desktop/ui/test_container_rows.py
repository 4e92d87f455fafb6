"""The container list: groups, order, filter, words."""

from __future__ import annotations

from dataclasses import replace

from desktop.client.rows import Container, Health, Port, State
from desktop.ui.containers.rows import Group, Row, View, ago, arrange, describe

BASE = Container("id0", "web", "nginx:1", "sha256:a", "", State.RUNNING, "Up 2 hours", 100.0)


def row(name: str, project: str = "", **changes: object) -> Row:
    one = replace(BASE, id=f"id-{name}", name=name, project=project, **changes)  # type: ignore[arg-type]
    return Row(one)


def names(items: list[Group | Row]) -> list[str]:
    return [i.title.upper() if isinstance(i, Group) else i.container.name for i in items]


ROWS = [
    row("zeta"),
    row("api", "shop", ports=(Port(80, 8080, "tcp", ""),)),
    row("db", "shop", state=State.EXITED, exit_code=1, status="Exited (1) 3 minutes ago"),
    row("graf", "obs", created=200.0),
]


def test_groups_by_project_with_the_rest_last() -> None:
    shown = arrange(ROWS, View())
    assert names(shown) == ["OBS", "graf", "SHOP", "api", "db", "NO PROJECT", "zeta"]
    shop = shown[2]
    assert isinstance(shop, Group) and (shop.running, shop.total) == (1, 2)


def test_without_projects_there_are_no_headers() -> None:
    assert names(arrange([row("b"), row("a")], View())) == ["a", "b"]


def test_filter_segment_and_fold() -> None:
    assert names(arrange(ROWS, View(words=":8080"))) == ["SHOP", "api"]
    assert names(arrange(ROWS, View(words="shop db"))) == ["SHOP", "db"]
    assert names(arrange(ROWS, View(segment="problems"))) == ["SHOP", "db"]
    folded = View(folded=frozenset({"shop", "obs"}))
    assert names(arrange(ROWS, folded)) == ["OBS", "SHOP", "NO PROJECT", "zeta"]
    # A filter looks into folded groups too.
    found = View(words="api", folded=frozenset({"shop"}))
    assert names(arrange(ROWS, found)) == ["SHOP", "api"]


def test_sort_by_a_number() -> None:
    rows = [row("a"), row("b")]
    weight = {"id-a": 1.0, "id-b": 2.0}
    assert names(arrange(rows, View(sort="cpu"), weight.__getitem__)) == ["b", "a"]


def test_words_of_states() -> None:
    failed = ROWS[2]
    assert failed.mark == "failed"
    assert failed.second == ("Exited with code 1", "err")
    assert failed.instead == "Stopped 3 min ago"
    paused = row("p", state=State.PAUSED)
    assert (paused.mark, paused.second[0]) == ("paused", "Paused")
    sick = row("s", health=Health.UNHEALTHY)
    assert (sick.mark, sick.second[1]) == ("warning", "warn")
    busy = replace(ROWS[1], busy="Stopping")
    assert busy.second[0] == "Stopping…"
    assert replace(ROWS[1], stale=True).mark == "stale"
    assert describe(ROWS[1]) == "api, running, nginx:1, ports 8080"


def test_ago() -> None:
    assert ago("Exited (0) About an hour ago") == "1 h ago"
    assert ago("Exited (0) Less than a second ago") == "just now"
    assert ago("Exited (0) 5 weeks ago") == "5 wk ago"
    assert ago("Created") == ""
