"""A token server as registries know them: JSON web tokens by scope, identity tokens, both ways.

Users may do what `grants` says: user ("" is everybody) -> repository -> actions. What it was asked
stands in `asked`, so that a test can look at scopes.
"""

from __future__ import annotations

import base64
import datetime
import json
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from tests.support.served import Served

ISSUER = "test-issuer"
SERVICE = "test-service"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class Asked:
    """One request for a token."""

    method: str
    user: str
    scopes: list[str]
    form: dict[str, str]


@dataclass
class TokenServer(Served):
    """Set users and grants, then use with `with`; `configuration` is the registry's part."""

    users: dict[str, str] = field(default_factory=dict)
    grants: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    identity_token: str = ""  # given to who asks for an offline token, and taken back
    status: int = 0  # answer all with this instead

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign_certificate()
        self.serve(ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)))

    @property
    def realm(self) -> str:
        return f"http://{self.address}/token"

    @property
    def configuration(self) -> str:
        """What a registry must be told, with the file `token.pem` beside it."""
        return (
            f"auth: {{token: {{realm: '{self.realm}', service: {SERVICE}, issuer: {ISSUER}, "
            "rootcertbundle: '{folder}/token.pem'}}"
        )

    @property
    def certificate(self) -> bytes:
        """The content of `token.pem`."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def _sign_certificate(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def token(self, user: str, scopes: list[str]) -> str:
        """A signed token for what the user may do of the scopes."""
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 2)
            allowed = self.grants.get("", {}).get(name, set()) | self.grants.get(user, {}).get(
                name, set()
            )
            granted = [action for action in actions.split(",") if action in allowed]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "jti": f"{len(self.given)}",
            "access": access,
        }
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        made = f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        self.given.append(made)
        return made


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            user, password = self._basic()
            form = {name: values[0] for name, values in query.items()}
            server.asked.append(Asked("GET", user, query.get("scope", []), form))
            if user and server.users.get(user) != password:
                self._answer(401, {"details": "incorrect username or password"})
                return
            answer = {"token": server.token(user, query.get("scope", [])), "expires_in": 300}
            if user and server.identity_token and form.get("offline_token"):
                answer["refresh_token"] = server.identity_token
            self._answer(200, answer)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            scopes = form.get("scope", "").split()
            server.asked.append(Asked("POST", "", scopes, form))
            known = form.get("refresh_token") == server.identity_token
            if form.get("grant_type") != "refresh_token" or not known:
                self._answer(401, {"details": "unknown identity token"})
                return
            user = next(iter(server.users))
            self._answer(200, {"access_token": server.token(user, scopes), "expires_in": 300})

        def _basic(self) -> tuple[str, str]:
            header = self.headers.get("Authorization", "")
            if not header.startswith("Basic "):
                return "", ""
            user, _, password = base64.b64decode(header[6:]).decode().partition(":")
            return user, password

        def _answer(self, status: int, value: Any) -> None:
            status = server.status or status
            content = json.dumps(value).encode()
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "17")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler
