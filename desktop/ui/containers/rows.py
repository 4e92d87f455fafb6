"""The container list as rows: groups by project, filtered and sorted. Pure, no Qt."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from desktop.client import words
from desktop.client.rows import Container, Health, State

NO_PROJECT = ""
_AGO = re.compile(r"\b(?:(About an?|Less than a|\d+) )(second|minute|hour|day|week|month|year)s?")
_SHORT = {"second": "s", "minute": "min", "hour": "h", "day": "d"}
_SHORT |= {"week": "wk", "month": "mo", "year": "y"}


@dataclass(frozen=True)
class Group:
    """The header of a compose project, or of the containers without one."""

    project: str
    path: str
    running: int
    total: int
    folded: bool

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return f"project:{self.project}"

    @property
    def title(self) -> str:
        """What it is called."""
        return self.project or "No project"


@dataclass(frozen=True)
class Row:
    """A container with what the window knows beside: what it is busy with, what went wrong."""

    container: Container
    busy: str = ""
    problem: str = ""
    stale: bool = False

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return self.container.id

    @property
    def mark(self) -> str:
        """The mark of its state, as `paint.state_mark` names it."""
        one = self.container
        if self.stale:
            return "stale"
        if one.state is State.PAUSED:
            return "paused"
        if one.state is State.RESTARTING or one.state is State.DEAD:
            return "failed"
        if one.state is State.RUNNING:
            if one.health is Health.UNHEALTHY:
                return "warning"
            return "starting" if one.health is Health.STARTING else "running"
        return "failed" if one.problem or self.problem else "stopped"

    @property
    def second(self) -> tuple[str, str]:
        """The second line and its colour token."""
        one = self.container
        if self.busy:
            return f"{self.busy}…", "text2"
        if self.problem:
            return self.problem, "err"
        if one.state is State.PAUSED:
            return "Paused", "link"
        if one.state is State.RESTARTING:
            return f"Exits with code {one.exit_code or 0} and is started again", "err"
        if one.state is State.DEAD:
            return "Dead: its files could not be removed", "err"
        if one.health is Health.UNHEALTHY:
            return "Unhealthy: its check fails", "warn"
        if one.problem:
            return f"Exited with code {one.exit_code}", "err"
        suffix = ""
        if one.health is not Health.NONE and one.state is State.RUNNING:
            suffix = f" · {one.health.value}"
        return image_name(one.image) + suffix, "text2"

    @property
    def instead(self) -> str:
        """What stands where the graph was when there is none."""
        one = self.container
        if one.state is State.CREATED:
            return "Never started"
        if one.state in (State.EXITED, State.DEAD):
            when = ago(one.status)
            return f"Stopped {when}" if when else "Stopped"
        return ""

    def sentence(self) -> str:
        """The row for a screen reader."""
        one = self.container
        parts = [one.name, one.state.value]
        if one.health is not Health.NONE:
            parts.append(one.health.value)
        parts.append(self.second[0])
        public = [str(port.public) for port in one.ports if port.public]
        if public:
            parts.append("ports " + " and ".join(public))
        return ", ".join(parts)


def image_name(image: str) -> str:
    """An image as a person knows it: a bare id gets short."""
    return image[:19] if image.startswith("sha256:") else image


def ago(status: str) -> str:
    """Docker's `Exited (0) About an hour ago` in short: 1 h ago."""
    match = _AGO.search(status)
    if not match:
        return ""
    amount, unit = match.groups()
    if amount.startswith("Less"):
        return "just now"
    number = "1" if amount.startswith("About") else amount
    return f"{number} {_SHORT[unit]} ago"


@dataclass(frozen=True)
class View:
    """What a person asked to see."""

    words: str = ""
    segment: str = "all"
    sort: str = "name"
    folded: frozenset[str] = frozenset()


SEGMENTS: Mapping[str, Callable[[Container], bool]] = {
    "all": lambda one: True,
    "running": lambda one: one.running,
    "problems": lambda one: one.problem,
}


def matches(one: Container, text: str) -> bool:
    """Every word is in the name, the image, the project, the id or a port."""
    hay = f"{one.name} {one.image} {one.project} {one.id[:12]} "
    hay += " ".join(f":{port.public or port.private}" for port in one.ports)
    hay = hay.lower()
    return all(word in hay for word in text.lower().split())


def arrange(
    rows: Sequence[Row], view: View, weight: Callable[[str], float] = lambda _id: 0.0
) -> list[Group | Row]:
    """The rows to show, in order; headers only when there is a project at all."""
    chosen = SEGMENTS[view.segment]
    shown = [r for r in rows if chosen(r.container) and matches(r.container, view.words)]
    by_project: dict[str, list[Row]] = {}
    for row in shown:
        by_project.setdefault(row.container.project, []).append(row)
    order = sorted(by_project, key=lambda name: (name == NO_PROJECT, name.lower()))
    headed = any(order)
    total = Counter(row.container.project for row in rows)
    running = Counter(row.container.project for row in rows if row.container.running)
    result: list[Group | Row] = []
    for project in order:
        members = _sorted(by_project[project], view.sort, weight)
        folded = project in view.folded and not view.words
        if headed:
            result.append(
                Group(
                    project,
                    _path(members[0].container.compose_file),
                    running[project],
                    total[project],
                    folded,
                )
            )
        if not (headed and folded):
            result.extend(members)
    return result


def _sorted(rows: list[Row], sort: str, weight: Callable[[str], float]) -> list[Row]:
    if sort == "created":
        return sorted(rows, key=lambda r: -r.container.created)
    if sort in ("cpu", "memory"):
        return sorted(rows, key=lambda r: (-weight(r.key), r.container.name))
    return sorted(rows, key=lambda r: (not r.container.running, r.container.name.lower()))


def _path(files: str) -> str:
    first = files.split(",")[0]
    home = os.path.expanduser("~")
    return "~" + first[len(home) :] if home != "/" and first.startswith(home + "/") else first


def tip(item: Group | Row) -> str:
    """The tooltip of a row: what may be shortened, and the absolute times."""
    if isinstance(item, Group):
        return item.path or item.title
    one = item.container
    lines = [one.name, one.image, one.status, f"Created {words.moment(one.created)}"]
    if item.problem:
        lines.append(item.problem)
    return "\n".join(line for line in lines if line)


def describe(item: Group | Row) -> str:
    """The accessible text of a row."""
    if isinstance(item, Group):
        state = "folded" if item.folded else "open"
        return f"{item.title}, {item.running} of {item.total} running, {state}"
    return item.sentence()
