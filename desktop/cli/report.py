"""`cove status` as text and as JSON."""

from __future__ import annotations

import json
import time

from desktop.agent.protocol import Status
from desktop.cli.progress import line
from desktop.vm.states import State


def as_json(status: Status) -> str:
    """Everything the agent tells, one object."""
    return json.dumps(status.to_record(), indent=2)


def as_text(status: Status) -> str:
    """For people: the state, then what belongs to it."""
    lines = [f"state        {status.state}"]
    if status.failure:
        lines += [
            f"             {status.failure[part]}"
            for part in ("what", "why", "hint")
            if status.failure.get(part)
        ]
    if status.accelerator:
        lines.append(f"accelerator  {status.accelerator} ({status.accelerator_reason})")
    if status.started_at:
        lines.append(f"up           {duration(time.time() - status.started_at)}")
    if status.agent_pid:
        lines.append(f"agent        pid {status.agent_pid}")
    if status.machine_pid:
        lines.append(f"vm           pid {status.machine_pid}")
    if status.settings:
        words = [
            f"{key} {','.join(value) if isinstance(value, list) else value}"
            for key, value in status.settings.items()
        ]
        lines.append(f"settings     {', '.join(words)}")
    if status.pending:
        lines.append(f"after a restart: {', '.join(f'{k} {v}' for k, v in status.pending.items())}")
    lines.append(f"socket       {status.docker_socket}")
    if status.state.starting or status.state is State.FAILED:
        lines += [line(each) for each in status.requirements]
    lines += [f"note         {notice}" for notice in status.notices]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """`42 s`, `5 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
