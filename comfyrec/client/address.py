"""what a person types -> the address of a server.

Accepted: ``host``, ``host:port``, ``[::1]:8188``, a URL with ``http``, ``https``, ``ws`` or
``wss``, each with or without a path (a base path behind a proxy, or ``/api``), and with
``user:password@``.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from comfyrec.errors import UsageError

__all__ = [
    "DEFAULT_PORT",
    "ENVIRONMENT",
    "Address",
    "address_variables",
    "from_environment",
    "parse",
]

DEFAULT_PORT = 8188

ENVIRONMENT = (
    "COMFYUI_URL",
    "COMFYUI_HOST",  # with COMFYUI_PORT, or a whole URL as some tools have it
    "COMFY_BASE_URL",
    "COMFYUI_BASE_URL",
    "AUTOFLOW_COMFYUI_SERVER_URL",
    "COMFYUI_PORT_HOST",  # a port of this machine
)
"""Read in this order; the first one that is set and not empty counts."""

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def address_variables(url: str) -> dict[str, str]:
    """The variables that ComfyUI tools read their server's address from, set to ``url``."""
    host, port = urlsplit(url).hostname or "", str(urlsplit(url).port or "")
    return {
        "COMFYUI_URL": url,
        "COMFYUI_HOST": host,
        "COMFYUI_PORT": port,
        "COMFYUI_PORT_HOST": port,
        "COMFY_BASE_URL": url,
        "COMFYUI_BASE_URL": url,
        "AUTOFLOW_COMFYUI_SERVER_URL": url,
    }


class Address(msgspec.Struct, frozen=True):
    """Where a server is. ``str()`` never shows a password."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """Without brackets."""
    port: int
    path: str = ""
    """Base path without a closing slash, ``""`` for none."""
    user: str = ""
    password: str = ""

    @property
    def origin(self) -> str:
        """``scheme://host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authorization(self) -> str:
        """Value of an ``Authorization`` header for ``user:password@``, ``""`` for none."""
        if not (self.user or self.password):
            return ""
        return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()

    def url(self, path: str) -> str:
        """An absolute URL below the base path; ``/api`` is there once, wherever it was given."""
        if self.path.endswith("/api") and path.startswith("/api/"):
            path = path.removeprefix("/api")
        return f"{self.origin}{self.path}{path}"

    @property
    def above_api(self) -> Address:
        """The same server without ``/api`` at the end of its base path."""
        return msgspec.structs.replace(self, path=self.path.removesuffix("/api"))

    def below(self, prefix: str) -> Address:
        """The same server with ``prefix`` (such as ``/api``) after its base path."""
        return msgspec.structs.replace(self, path=self.path + prefix)

    def __str__(self) -> str:
        return self.origin + self.path


def parse(text: str, *, where: str = "--server") -> Address:
    """Read an address.

    Args:
        text: what was typed.
        where: the flag or variable it came from, for the error.

    Raises:
        UsageError: an odd scheme, an empty host, a port that is none.
    """
    written = text.strip()
    if "://" not in written:
        bare_ipv6 = written.count(":") > 1 and not written.startswith("[")
        host, slash, path = written.partition("/")
        written = f"http://[{host}]{slash}{path}" if bare_ipv6 else f"http://{written}"
    try:
        parts = urlsplit(written)
        port = parts.port
    except ValueError:
        raise UsageError(
            f"{where}: {_shown(text)!r} is not an address; give one like http://127.0.0.1:8188"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise UsageError(f"{where}: unsupported scheme '{parts.scheme}'; use http:// or https://")
    if not parts.hostname:
        raise UsageError(f"{where}: {_shown(text)!r} has no host; give HOST, HOST:PORT or a URL")
    if port == 0:
        raise UsageError(f"{where}: nobody can connect to port 0; give the server's port")
    if parts.query or parts.fragment:
        raise UsageError(f"{where}: an address has no '?' and no '#'; give the base URL alone")
    return Address(
        scheme=_SCHEMES[parts.scheme],
        host=parts.hostname,
        port=port or _port_of(parts.scheme, given="://" in text),
        path=parts.path.rstrip("/"),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def from_environment(environment: Mapping[str, str]) -> Address:
    """The address that the environment names, else ``127.0.0.1:8188``.

    Raises:
        UsageError: the variable that counts cannot be read, or ``COMFYUI_PORT`` is set alone.
    """
    for name in ENVIRONMENT:
        value = environment.get(name, "").strip()
        if value:
            return parse(_whole(name, value, environment), where=name)
    if environment.get("COMFYUI_PORT", "").strip():
        raise UsageError("COMFYUI_PORT: a port alone names no server; set COMFYUI_HOST too")
    return Address("http", "127.0.0.1", DEFAULT_PORT)


def _whole(name: str, value: str, environment: Mapping[str, str]) -> str:
    """The variable's value with what other variables add to it."""
    if name == "COMFYUI_PORT_HOST" and value.isdecimal():
        return f"127.0.0.1:{value}"
    port = environment.get("COMFYUI_PORT", "").strip()
    if name != "COMFYUI_HOST" or not port or "://" in value or "/" in value:
        return value
    if value.startswith("["):
        return f"{value}:{port}" if value.endswith("]") else value
    if value.count(":") > 1:
        return f"[{value}]:{port}"
    return value if ":" in value else f"{value}:{port}"


def _port_of(scheme: str, *, given: bool) -> int:
    """Behind a scheme that was written out, the port left out is the scheme's own."""
    if not given:
        return DEFAULT_PORT
    return 443 if _SCHEMES[scheme] == "https" else 80


def _shown(text: str) -> str:
    """The text without what comes before an ``@``."""
    head, at, tail = text.rpartition("@")
    scheme = head.partition("://")[0] + "://" if "://" in head else ""
    return f"{scheme}***@{tail}" if at else text
