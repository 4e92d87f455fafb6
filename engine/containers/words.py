"""Sentences about a container's state, as `docker ps` and dockerd's errors word them."""

import time

from engine.containers.clock import human
from engine.containers.record import Record, Status


def status_text(record: Record, health: str = "", now_ns: int = 0) -> str:
    """The STATUS column: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`."""
    state = record.state
    now_ns = now_ns or time.time_ns()
    since_start = human((now_ns - state.started_at) / 1e9)
    since_end = human((now_ns - state.finished_at) / 1e9)
    match state.status:
        case Status.RUNNING | Status.PAUSED:
            note = " (Paused)" if state.status is Status.PAUSED else ""
            if not note and health and health != "none":
                note = " (health: starting)" if health == "starting" else f" ({health})"
            return f"Up {since_start}{note}"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {since_end} ago"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"
        case Status.CREATED:
            return "Created"
    return f"Exited ({state.exit_code}) {since_end} ago"


def command_text(record: Record) -> str:
    """The COMMAND column: path and arguments, those with spaces quoted."""
    args = [f"'{arg}'" if " " in arg else arg for arg in record.args]
    return " ".join([record.path, *args])


def removal_refusal(record: Record, reference: str) -> str:
    """Why a container can't be removed without force; empty when it can."""
    match record.state.status:
        case Status.RUNNING:
            why = "container is running: stop the container before removing or force remove"
        case Status.PAUSED:
            why = "container is paused and must be unpaused first"
        case Status.RESTARTING:
            why = "container is restarting: stop the container before removing or force remove"
        case _:
            return ""
    return f'cannot remove container "{reference}": {why}'
