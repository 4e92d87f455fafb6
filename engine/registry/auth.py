"""Authentication at a registry: basic, bearer tokens by scope, identity tokens."""

import base64
import json
import re
import threading
import time
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode

from engine.registry.errors import RegistryError, from_response
from engine.registry.transport import Transport
from engine.values import dataclass, field

_CLIENT = "cove"
_PARAMETER = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_DEFAULT_LIFE = 60.0


@dataclass(frozen=True)
class Credentials:
    """What a client sent in X-Registry-Auth; never printed."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Self:
        """From Docker's AuthConfig."""
        username, password = str(wire.get("username") or ""), str(wire.get("password") or "")
        if not username and wire.get("auth"):
            try:
                decoded = base64.b64decode(str(wire["auth"])).decode()
            except ValueError:
                decoded = ""
            username, _, password = decoded.partition(":")
        return cls(
            username,
            password,
            str(wire.get("identitytoken") or ""),
            str(wire.get("registrytoken") or ""),
        )

    @property
    def basic(self) -> str:
        """The value of a basic Authorization header, "" without a user."""
        if not self.username:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Challenge:
    """One WWW-Authenticate header."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> Self:
        """Scheme and parameters; an empty scheme when there is none."""
        scheme, _, rest = header.strip().partition(" ")
        found = {
            name.lower(): (quoted or plain).replace('\\"', '"')
            for name, quoted, plain in _PARAMETER.findall(rest)
        }
        return cls(scheme.lower(), found)


class Authenticator:
    """Authorization headers for one registry; tokens are kept until they expire."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._credentials = credentials
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._basic = False

    def header(self, scope: str) -> str:
        """What is known to work for a scope already, or ""."""
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        if self._basic:
            return self._credentials.basic
        with self._lock:
            token, until = self._tokens.get(scope, ("", 0.0))
        return f"Bearer {token}" if token and time.monotonic() < until else ""

    def forget(self, scope: str) -> None:
        """A token was refused."""
        with self._lock:
            self._tokens.pop(scope, None)

    def respond(self, header: str, scope: str) -> str:
        """The Authorization for a challenge, "" when there is nothing to answer with.

        Raises RegistryError, Unreachable.
        """
        challenge = Challenge.parse(header)
        if challenge.scheme == "basic":
            self._basic = bool(self._credentials.basic)
            return self._credentials.basic
        if challenge.scheme != "bearer" or "realm" not in challenge.parameters:
            return ""
        return "Bearer " + self._fetch(challenge.parameters, scope)

    def _fetch(self, parameters: Mapping[str, str], scope: str) -> str:
        query = {}
        if parameters.get("service"):
            query["service"] = parameters["service"]
        if scope:
            query["scope"] = scope
        headers = {"User-Agent": _CLIENT}
        realm = parameters["realm"]
        if self._credentials.identity_token:
            query |= {
                "grant_type": "refresh_token",
                "refresh_token": self._credentials.identity_token,
                "client_id": _CLIENT,
            }
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            response = self._transport.send("POST", realm, headers, urlencode(query).encode())
        else:
            if self._credentials.basic:
                headers["Authorization"] = self._credentials.basic
                query["account"] = self._credentials.username
            glue = "&" if "?" in realm else "?"
            response = self._transport.send("GET", f"{realm}{glue}{urlencode(query)}", headers)
        body = response.read()
        self._transport.give_back(response)
        if response.status >= 400:
            raise from_response(response.status, body, "", "")
        return self._keep(scope, body)

    def _keep(self, scope: str, body: bytes) -> str:
        try:
            answer = json.loads(body)
            token = str(answer.get("token") or answer["access_token"])
            life = float(answer.get("expires_in") or _DEFAULT_LIFE)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(
                "UNKNOWN", "the authorization server did not include a token in the response", 500
            ) from error
        with self._lock:
            self._tokens[scope] = (token, time.monotonic() + life * 0.9)
        return token
