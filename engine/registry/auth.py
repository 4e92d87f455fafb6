"""Authentication at a registry: basic, bearer tokens by scope, identity tokens."""

import base64
import http.client
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlencode

from engine.registry.errors import RegistryError, from_response
from engine.registry.transport import Transport, shown
from engine.values import dataclass, field

USER_AGENT = "cove/1 (linux)"
_CLIENT = "cove"
_ANSWER_LIMIT = 1 << 20
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
    def any(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.basic or self.identity_token or self.registry_token)

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

    def __init__(self, transport: Transport, credentials: Credentials, *, secure: bool) -> None:
        """`secure` registries never get to send credentials on to an unencrypted address."""
        self._transport = transport
        self._credentials = credentials
        self._secure = secure
        self.offline = False  # whether to ask for an identity token as well
        self.identity_token = ""
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._basic = False
        self._challenge: Challenge | None = None

    def header(self, scope: str) -> str:
        """What to send with a request: what works already, or a new token where one is wanted.

        "" while the registry hasn't asked for anything. Raises RegistryError, Unreachable.
        """
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        if self._basic:
            return self._credentials.basic
        return f"Bearer {self._token(scope)}" if self._challenge is not None else ""

    def forget(self, scope: str) -> None:
        """A token was refused."""
        with self._lock:
            self._tokens.pop(scope, None)

    def respond(self, headers: Sequence[str], scope: str) -> str:
        """The Authorization for challenges, "" when there is nothing to answer with.

        Raises RegistryError, Unreachable.
        """
        challenges = {each.scheme: each for each in map(Challenge.parse, headers)}
        bearer = challenges.get("bearer")
        if bearer is not None and "realm" in bearer.parameters:
            self._guard(bearer.parameters["realm"])
            self._challenge = bearer
            return f"Bearer {self._token(scope)}"
        if "basic" in challenges:
            self._basic = bool(self._credentials.basic)
            return self._credentials.basic
        return ""

    def _token(self, scope: str) -> str:
        with self._lock:  # one thread asks, the others find its token
            token, until = self._tokens.get(scope, ("", 0.0))
            if token and time.monotonic() < until:
                return token
            assert self._challenge is not None
            return self._fetch(self._challenge.parameters, scope)

    def _guard(self, realm: str) -> None:
        """Credentials that go to an https registry must not leave it in the clear."""
        if self._secure and not realm.startswith("https:") and self._credentials.any:
            raise RegistryError(
                "UNAUTHORIZED",
                f'the registry sends its users to "{shown(realm)}", which is not encrypted',
                401,
            )

    def _fetch(self, parameters: Mapping[str, str], scope: str) -> str:
        # a scope of several repositories becomes several parameters
        query = [("scope", each) for each in scope.split()]
        if parameters.get("service"):
            query.insert(0, ("service", parameters["service"]))
        realm = parameters["realm"]
        if self._credentials.identity_token:
            response = self._refresh(realm, query)
        else:
            response = self._ask(realm, query)
        body = response.read(_ANSWER_LIMIT)
        self._transport.give_back(response)
        if response.status >= 400:
            raise from_response(
                response.status,
                body,
                retry_after=response.headers.get("Retry-After", ""),
                address=f'Get "{shown(realm)}"',
            )
        return self._keep(scope, body)

    def _ask(self, realm: str, query: list[tuple[str, str]]) -> http.client.HTTPResponse:
        headers = {"User-Agent": USER_AGENT}
        if self._credentials.basic:
            headers["Authorization"] = self._credentials.basic
            query = [("account", self._credentials.username), *query]
        if self.offline:
            query = [*query, ("client_id", _CLIENT), ("offline_token", "true")]
        glue = "&" if "?" in realm else "?"
        return self._transport.send("GET", f"{realm}{glue}{urlencode(query)}", headers)

    def _refresh(self, realm: str, query: list[tuple[str, str]]) -> http.client.HTTPResponse:
        """By an identity token: the OAuth2 form of the distribution specification."""
        scope = " ".join(value for name, value in query if name == "scope")
        form = {
            **{name: value for name, value in query if name == "service"},
            **({"scope": scope} if scope else {}),
            "grant_type": "refresh_token",
            "refresh_token": self._credentials.identity_token,
            "client_id": _CLIENT,
        }
        headers = {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self._transport.send("POST", realm, headers, urlencode(form).encode())

    def _keep(self, scope: str, body: bytes) -> str:
        try:
            answer = json.loads(body)
            token = str(answer.get("token") or answer["access_token"])
            life = max(float(answer.get("expires_in") or 0), _DEFAULT_LIFE)
            self.identity_token = str(answer.get("refresh_token") or "")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(
                "UNKNOWN", "the authorization server did not include a token in the response", 500
            ) from error
        self._tokens[scope] = (token, time.monotonic() + life * 0.9)
        return token
