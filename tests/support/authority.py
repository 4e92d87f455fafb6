"""A certificate authority of a test's own, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """A CA in a folder; `issue` makes certificates that it signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._openssl(
            *("req", "-x509", "-subj", "/CN=test CA", "-days", "2", "-nodes"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-keyout", "ca.key", "-out", "ca.crt"),
        )

    @property
    def certificate(self) -> bytes:
        return (self._folder / "ca.crt").read_bytes()

    def issue(self, name: str, alternative: str = "") -> tuple[bytes, bytes]:
        """Certificate and key for a name; `alternative` like `DNS:example.org`."""
        self._openssl(
            *("req", "-new", "-subj", f"/CN={name}", "-nodes"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative or f'DNS:{name}'}\n")
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-days", "2", "-set_serial", "7", "-extfile", extensions.name),
            *("-out", f"{name}.crt"),
        )
        return tuple((self._folder / f"{name}.{kind}").read_bytes() for kind in ("crt", "key"))  # type: ignore[return-value]

    def _openssl(self, *args: str) -> None:
        subprocess.run(["openssl", *args], cwd=self._folder, check=True, capture_output=True)
