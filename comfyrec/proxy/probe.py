"""One look at the upstream: is it there, is it ComfyUI, which one?

Whatever is found, the recording goes on: the server may come up later.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec.events.v2_detect import ASKING, is_v2_answer
from comfyrec.proxy.upstream import Upstream

__all__ = ["Probe", "clients_go_first", "probe"]

PROBE_S: Final = 3.0
"""For the connection and the answer together."""
QUIET_S: Final = 0.5
"""Without a new client; then none is waiting for the recorder to start."""
ANSWER_BYTES_MAX: Final = 1 << 20
_HTTP2: Final = (b"\x00\x00", b"\x04")  # length and type of the SETTINGS frame that comes first
_GO_ON: Final = "recording goes on"


class Probe(msgspec.Struct, frozen=True):
    """What was found."""

    sentence: str = ""
    """What a person should know, if anything is odd."""
    about: Mapping[str, Any] = {}
    """``comfyui_version``, ``devices`` (their types) and ``flags`` of the server, if it said; or
    its ``surface``, where it is ``v2``."""


async def clients_go_first(
    answered: asyncio.Event, accepted: Callable[[], int], *, quiet_s: float = QUIET_S
) -> None:
    """Return when a client has been answered, or when no new one has come for ``quiet_s``.

    The upstream may count its connections, or be a script that answers one after the other: what it
    says first is for the client.
    """
    while True:
        before = accepted()
        try:
            await asyncio.wait_for(answered.wait(), quiet_s)
        except TimeoutError:
            if accepted() == before:
                return
        else:
            return


async def probe(
    upstream: Upstream,
    *,
    context: ssl.SSLContext | None,
    rewrite: Callable[[bytes], bytes] | None,
) -> Probe:
    """Ask GET /system_stats, or the one below ``/api`` where only that is, or for a job of Comfy
    API v2 where neither is. Never raises.

    Args:
        upstream: the server.
        context: how its certificate is checked; None: without TLS.
        rewrite: what is done to every request head on its way.
    """
    try:
        answer = await asyncio.wait_for(_either(upstream, context, rewrite), PROBE_S)
    except TimeoutError:
        return _odd(upstream, f"it did not answer within {PROBE_S:g} s; is it busy?")
    except ssl.SSLCertVerificationError as why:
        return _odd(
            upstream,
            f"its certificate does not hold ({why.verify_message}); give --ca or --insecure",
        )
    except ssl.SSLError as why:
        return _odd(upstream, f"no TLS with it ({why.reason or why}); if it is plain, say http://")
    except ConnectionRefusedError:
        return _odd(upstream, "it refuses the connection; is the server up?")
    except (OSError, UnicodeError, ValueError) as why:
        return _odd(upstream, f"{getattr(why, 'strerror', None) or why}; is the name right?")
    return _judged(upstream, answer)


def _odd(upstream: Upstream, why: str) -> Probe:
    return Probe(f"--upstream {upstream.url}: {why} ({_GO_ON})")


async def _either(
    upstream: Upstream,
    context: ssl.SSLContext | None,
    rewrite: Callable[[bytes], bytes] | None,
) -> bytes:
    """The answer of the first of both routes that is ComfyUI's, else of the first."""
    first = await _asked(upstream, context, rewrite, "/system_stats")
    if first[9:12] != b"404":
        return first
    # Comfy Cloud, and many gateways, have it below /api only.
    second = await _asked(upstream, context, rewrite, "/api/system_stats")
    if _system_of(second.partition(b"\r\n\r\n")[2]) is not None:
        return second
    third = await _asked(upstream, context, rewrite, ASKING, whole=True)
    return third if _is_v2(third) else first


async def _asked(
    upstream: Upstream,
    context: ssl.SSLContext | None,
    rewrite: Callable[[bytes], bytes] | None,
    path: str,
    *,
    whole: bool = False,
) -> bytes:
    reader, writer = await asyncio.open_connection(
        upstream.host,
        upstream.port,
        ssl=context,
        server_hostname=upstream.host if context is not None else None,
    )
    try:
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {upstream.authority}\r\n"
            "Accept: application/json\r\nUser-Agent: comfyrec\r\nConnection: close\r\n\r\n"
        ).encode()
        writer.write(rewrite(head) if rewrite is not None else head)
        answer = b""
        while len(answer) < ANSWER_BYTES_MAX and (piece := await reader.read(65_536)):
            answer += piece
            if not answer.startswith(b"HTTP/"[: len(answer)]):
                break
            # Only a 200 has a body to wait for; a 101 may be followed by frames without end.
            if not whole and len(answer) >= 12 and answer[9:12] != b"200":
                break
        return answer
    finally:
        writer.close()


def _judged(upstream: Upstream, answer: bytes) -> Probe:
    if answer[:2] == _HTTP2[0] and answer[3:4] == _HTTP2[1]:
        return _odd(
            upstream,
            "it answers in HTTP/2; give the address of ComfyUI itself, which speaks HTTP/1.1",
        )
    if answer[:1] in (b"\x15", b"\x16") and answer[1:2] == b"\x03":
        return _odd(upstream, "it speaks TLS; say https:// instead of http://")
    if not answer.startswith(b"HTTP/1."):
        return _odd(upstream, "it does not answer as an HTTP server; is the port right?")
    if _is_v2(answer):
        return Probe(about={"surface": "v2"})
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12].decode("latin-1")
    system = _system_of(body)
    if system is None:
        return _odd(
            upstream,
            f"it answers GET /system_stats with status {status} and not as ComfyUI does; "
            "is the address right?",
        )
    return Probe(about=system)


def _is_v2(answer: bytes) -> bool:
    """Whether it is what a server of Comfy API v2 says to ``ASKING``."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, start, end = head[9:12], body.find(b"{"), body.rfind(b"}")
    return status.isdigit() and is_v2_answer(int(status), body[start : end + 1])


def _system_of(body: bytes) -> dict[str, Any] | None:
    """The facts in a body, chunked or not; None when it is not ComfyUI's."""
    start, end = body.find(b"{"), body.rfind(b"}")
    try:
        said = msgspec.json.decode(body[start : end + 1])
    except (msgspec.MsgspecError, ValueError):
        return None
    system = said.get("system") if isinstance(said, dict) else None
    if not isinstance(system, dict):
        return None
    found: dict[str, Any] = {}
    if isinstance(version := system.get("comfyui_version"), str):
        found["comfyui_version"] = version
    devices = said.get("devices")
    types = [d.get("type") for d in devices if isinstance(d, dict)] if devices else []
    found["devices"] = sorted({str(kind) for kind in types})
    # Names only: values may be paths and secrets.
    argv = system.get("argv")
    words = [word for word in argv if isinstance(word, str)] if isinstance(argv, list) else []
    found["flags"] = [word.partition("=")[0] for word in words if word.startswith("--")]
    return found
