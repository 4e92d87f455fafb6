"""Samples of Dockerfiles, each beside what is read from it.

`expected` holds a line for each instruction: its lines, its keyword, and the fields that aren't
empty. After a change on purpose: run this file as a program, and look at the difference.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engine.builder.instructions import Instruction
from engine.builder.parser import parse
from engine.builder.reading import read

SAMPLES = Path(__file__).with_name("samples")
PLACE = ("text", "first_line", "last_line")


def shown(value: object) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({fields(value)})"
    if isinstance(value, tuple):
        return f"[{', '.join(shown(each) for each in value)}]"
    return str(value) if isinstance(value, bool | int) else ascii(value)


def fields(value: object) -> str:
    found = []
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        each = getattr(value, field.name)
        if field.name not in PLACE and each != field.default:
            found.append(f"{field.name}={shown(each)}")
    return " ".join(found)


def line(instruction: Instruction) -> str:
    place = f"{instruction.first_line}-{instruction.last_line}"
    return f"{place} {instruction.keyword} {fields(instruction)}".rstrip()


def described(sample: Path) -> str:
    text = (sample / "Dockerfile").read_bytes().decode()
    dockerfile = parse(text)
    lines = [
        f"{name}: {shown(directive.value)} (line {directive.line})"
        for name, directive in dockerfile.directives.items()
    ]
    lines += [f"line {oddity.line}: {oddity.message}" for oddity in dockerfile.oddities]
    return "\n".join([*lines, *(line(read(node)) for node in dockerfile.nodes)]) + "\n"


@pytest.mark.parametrize("name", sorted(sample.name for sample in SAMPLES.iterdir()))
def test_sample(name: str) -> None:
    assert described(SAMPLES / name) == (SAMPLES / name / "expected").read_text()


if __name__ == "__main__":
    for sample in SAMPLES.iterdir():
        (sample / "expected").write_text(described(sample))
