"""Query parameters, read the way Docker reads them."""

from urllib.parse import parse_qsl

from engine.errors import BadRequest

FALSE_WORDS = frozenset({"", "0", "no", "false", "none"})


class Query:
    """The decoded query of one request; keys keep the order and repetition of the client."""

    __slots__ = ("_pairs",)

    def __init__(self, text: str = "") -> None:
        try:
            self._pairs = parse_qsl(text, keep_blank_values=True) if text else []
        except ValueError as error:  # more fields than anyone sends
            raise BadRequest(f"invalid query: {error}") from error

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self._pairs)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a parameter."""
        for key, value in self._pairs:
            if key == name:
                return value
        return default

    def all(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        return [value for key, value in self._pairs if key == name]

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean: "", 0, no, false and none are false, anything else is true."""
        if name not in self:
            return default
        return self.get(name).strip().lower() not in FALSE_WORDS

    def integer(self, name: str, default: int) -> int:
        """A whole number; absent or empty is the default. Raises BadRequest."""
        text = self.get(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise BadRequest(f'invalid value for {name}: "{text}" is not a whole number') from None
