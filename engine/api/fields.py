"""Fields of JSON bodies, with Go's complaint when one has the wrong type.

`owner` is what that complaint calls the body, with a dot: "CreateOptions.".
"""

from collections.abc import Mapping
from typing import Any

from engine.errors import BadRequest


def string(body: Mapping[str, Any], key: str, *, owner: str = "") -> str:
    """A string field; absent or null is "". Raises BadRequest."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(owner + key, value, "string")
    return value


def spelled(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with its fields as the API document writes them, a capital first.

    Go takes a field's name in any case, and clients use that: docker-py sends `detachKeys`.
    """
    return {**{key[:1].upper() + key[1:]: value for key, value in body.items()}, **body}


def mapping(body: Mapping[str, Any], key: str, *, owner: str = "") -> dict[str, str] | None:
    """A field of strings by name; absent or null is None. Raises BadRequest."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _wrong(owner + key, value, "map[string]string")
    for name, entry in value.items():
        if not isinstance(entry, str):
            raise _wrong(f"{owner}{key}.{name}", entry, "string")
    return value


def document(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A field that is an object; absent or null is empty. Raises BadRequest."""
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(key, value, "object")
    return value


def flag(body: Mapping[str, Any], key: str, default: bool) -> bool:
    """A boolean field; absent or null is `default`. Raises BadRequest."""
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _wrong(key, value, "bool")
    return value


def strings(body: Mapping[str, Any], key: str) -> list[str]:
    """A list of strings; absent or null is empty. Raises BadRequest."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _wrong(key, value, "[]string")
    return value


def _wrong(key: str, value: object, wanted: str) -> BadRequest:
    kind = "bool" if isinstance(value, bool) else _KINDS.get(type(value), "value")
    return BadRequest(
        f"invalid JSON: json: cannot unmarshal {kind} into Go struct field {key} of type {wanted}"
    )


_KINDS: dict[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}
