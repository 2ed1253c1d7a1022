"""Where the proxy goes: the one upstream, how it is reached, and what is changed in heads for it.

By default nothing is changed. ComfyUI answers 403 when Host is a loopback address and Origin is
another one (protocol.md section 11), so Host and Origin are either both left alone or both changed.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from comfyrec.errors import UsageError
from comfyrec.wording import reason

__all__ = ["Upstream", "parse_header", "parse_upstream", "tls_context"]

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_FRAMING = {"connection", "content-length", "host", "transfer-encoding", "upgrade"}


class Upstream(msgspec.Struct, frozen=True):
    """The server behind the proxy."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    """A path that goes before every path the client asks for."""
    login: str = ""
    """``user:password`` of the URL; sent as Basic authorization, never shown or written."""

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What stands in a Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address without its secrets."""
        return f"{self.scheme}://{self.authority}{self.prefix}"

    @property
    def is_named(self) -> bool:
        """True when it is reached by TLS or by a name, so that it may serve several hosts."""
        if self.tls:
            return True
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return self.host.lower() != "localhost"
        return False

    def rewriter(
        self, fields: Sequence[tuple[str, str]] = (), *, rewrite_host: bool | None = None
    ) -> Callable[[bytes], bytes] | None:
        """What to do with each request head on its way; None for nothing.

        Args:
            fields: header fields to put in, in place of any that the client sent.
            rewrite_host: change Host, and Origin where it names the same host; None: when
                ``is_named``.
        """
        fields = list(fields)
        if self.login and not any(name.lower() == "authorization" for name, _ in fields):
            basic = base64.b64encode(self.login.encode()).decode()
            fields.append(("Authorization", f"Basic {basic}"))
        host = self.authority.encode() if _is_true(rewrite_host, self.is_named) else None
        if host is None and not fields and not self.prefix:
            return None
        origin = self.scheme.encode() + b"://" + (host or b"")
        added = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields)
        replaced = {name.lower().encode() for name, _ in fields}
        prefix = self.prefix.encode()

        def rewrite(head: bytes) -> bytes:
            start, *lines = head[:-4].split(b"\r\n")
            if prefix:
                start = start.replace(b" /", b" " + prefix + b"/", 1)
            if host is not None:
                lines = _rename(lines, host, origin)
            lines = [line for line in lines if line.partition(b":")[0].lower() not in replaced]
            return b"\r\n".join([start, *lines]) + b"\r\n" + added + b"\r\n"

        return rewrite


def _is_true(choice: bool | None, default: bool) -> bool:
    return default if choice is None else choice


def _rename(lines: list[bytes], host: bytes, origin: bytes) -> list[bytes]:
    named = [line.partition(b":")[::2] for line in lines]
    asked = next((value.strip().lower() for name, value in named if name.lower() == b"host"), b"")
    renamed = []
    for name, value in named:
        if name.lower() == b"host":
            value = b" " + host
        elif name.lower() == b"origin" and value.strip().lower().partition(b"://")[2] == asked:
            # Only an Origin that was the client's own host: a foreign one stays foreign.
            value = b" " + origin
        renamed.append(name + b":" + value)
    return renamed


def parse_upstream(text: str) -> Upstream:
    """``host``, ``host:port``, ``[::1]:8188`` or a URL -> Upstream.

    Without a port it is the scheme's, and ComfyUI's 8188 where there is no scheme either.

    Raises:
        UsageError: no http address, or one with a query or fragment.
    """
    plain = "://" not in text
    try:
        url = urlsplit(f"http://{text}" if plain else text)
        port = url.port
    except ValueError:
        raise _no_address(text, "its host or port cannot be read") from None
    if url.scheme not in ("http", "https"):
        raise _no_address(text, f"it begins with {url.scheme}://")
    if not url.hostname or port == 0:
        raise _no_address(text, "it names no host" if not url.hostname else "port 0 is not a port")
    if url.query or url.fragment:
        raise _no_address(text, "it has a query or a fragment")
    login = unquote(url.netloc.rpartition("@")[0])
    default = 8188 if plain else 443 if url.scheme == "https" else 80
    return Upstream(url.scheme, url.hostname, port or default, url.path.rstrip("/"), login)


def _no_address(text: str, why: str) -> UsageError:
    shown = re.sub(r"//[^/@]*@", "//...@", text)
    return UsageError(
        f"--upstream {shown!r} is not an address of a server: {why}; give one like http://127.0.0.1:8188"
    )


def parse_header(text: str) -> tuple[str, str]:
    """``Name: value`` -> (name, value).

    Raises:
        UsageError: no header line, or one that the relay itself depends on.
    """
    matched = _HEADER.fullmatch(text)
    if matched is None:
        raise UsageError("--upstream-header takes 'Name: value', with nothing unprintable in it")
    if matched[1].lower() in _FRAMING:
        raise UsageError(
            f"--upstream-header cannot set {matched[1]}: the relay depends on it; "
            f"for Host there is --rewrite-host"
        )
    return matched[1], matched[2].rstrip()


def tls_context(ca: Path | None = None, *, insecure: bool = False) -> ssl.SSLContext:
    """How the upstream's certificate is checked.

    Raises:
        UsageError: ``ca`` cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca is not None else None)
    except OSError as why:
        said = "it holds no certificate" if isinstance(why, ssl.SSLError) else reason(why)
        raise UsageError(f"--ca {ca}: {said}; give certificates in PEM form") from None
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
