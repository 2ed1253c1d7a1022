"""aiohttp for a client: one request at a time carried out, one WebSocket opened."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping

import aiohttp
import yarl

from comfyrec.client.address import Address
from comfyrec.client.http.exchange import HttpRequest, HttpResponse, Unanswered, key_in, with_query
from comfyrec.client.redaction import Redaction
from comfyrec.http.hint import HINT_HEADER
from comfyrec.wording import reason

__all__ = ["TRANSPORT_ERRORS", "Transport"]

TRANSPORT_ERRORS = (TimeoutError, aiohttp.ClientError, OSError, ValueError)
"""What aiohttp raises when there is no response."""
_HEARTBEAT_S = 30.0
"""Between pings: finds WebSockets whose other end is gone without a word (A18)."""
_CONNECTIONS_MAX = 32


class Transport:
    """The connections of one client.

    Attributes:
        token_wanted: the server takes the key of a WebSocket in its address only, as Comfy Cloud
            does. All else is below ``/api`` there.

    Args:
        headers: sent with every request, the WebSocket included.
        tls: as in ``Client``.
        redaction: hides secrets in what errors say.
        request_timeout_s: limit of a request without its own.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | bool,
        redaction: Redaction,
        request_timeout_s: float,
    ) -> None:
        self._headers, self._tls = dict(headers), tls
        self._redaction = redaction
        self._request_timeout_s = request_timeout_s
        self._token, self.token_wanted = key_in(self._headers), False
        self._http: aiohttp.ClientSession | None = None

    async def request(self, address: Address, request: HttpRequest) -> HttpResponse:
        """Send a request; gives the complete response.

        Raises:
            Unanswered: there is none.
        """
        limit_s = request.timeout_s or self._request_timeout_s
        url = request.path if "://" in request.path else address.url(request.path)
        url = with_query(url, request.query)
        headers = {} if request.bare else dict(self._headers)
        headers |= dict(request.headers)
        if request.content_type:
            headers["Content-Type"] = request.content_type
        try:
            async with self._session().request(
                request.method,
                yarl.URL(url, encoded=True),
                data=request.body,
                headers=headers,
                allow_redirects=False,
                ssl=self._tls,
                timeout=aiohttp.ClientTimeout(total=limit_s),
            ) as response:
                return HttpResponse(
                    status=response.status,
                    content_type=response.headers.get("Content-Type", ""),
                    location=response.headers.get("Location", ""),
                    body=await response.read(),
                    url=url,
                    retry_after=response.headers.get("Retry-After", ""),
                    hint="; ".join(response.headers.getall(HINT_HEADER, ())),
                )
        except TRANSPORT_ERRORS as error:
            why, refused = self.reason(error, limit_s)
            raise Unanswered(why, refused=refused) from None

    async def stream(
        self, url: str, *, bare: bool, idle_limit_s: float
    ) -> AsyncGenerator[bytes, None]:
        """The body of a GET, as it comes; empty for another status than 200.

        Raises:
            TRANSPORT_ERRORS: it was cut, or nothing came for so long.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_read=idle_limit_s)
        async with self._session().get(
            yarl.URL(url, encoded=True),
            headers={"Accept": "text/event-stream", **({} if bare else self._headers)},
            allow_redirects=False,
            ssl=self._tls,
            timeout=timeout,
        ) as response:
            if response.status == 200:
                async for piece in response.content.iter_any():
                    yield piece

    async def websocket(self, address: Address, client_id: str) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket.

        Raises:
            aiohttp.WSServerHandshakeError: the server refused it.
            TRANSPORT_ERRORS: nothing came of it.
        """
        named = (("clientId", client_id),)
        if self.token_wanted:
            return await self._websocket(address.above_api, (*named, ("token", self._token)))
        try:
            return await self._websocket(address, named)
        except aiohttp.WSServerHandshakeError as refusal:
            if refusal.status != 401 or not self._token:
                raise
        # Comfy Cloud reads the key from the address, and there from nowhere else.
        socket = await self._websocket(address.above_api, (*named, ("token", self._token)))
        self.token_wanted = True
        return socket

    async def _websocket(
        self, address: Address, query: tuple[tuple[str, str], ...]
    ) -> aiohttp.ClientWebSocketResponse:
        url = with_query(address.url("/ws"), query)
        return await self._session().ws_connect(
            yarl.URL(url, encoded=True),
            headers=self._headers,
            max_msg_size=0,  # a preview or an output may be of any size (A50)
            heartbeat=_HEARTBEAT_S,
            ssl=self._tls,
        )

    def reason(self, error: Exception, limit_s: float = 0.0) -> tuple[str, bool]:
        """A transport error in a few words, and whether no server listens there."""
        if isinstance(error, TimeoutError):
            return f"no answer within {limit_s:.3g} s", False
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            return (
                "its TLS certificate is not trusted, or it does not use TLS; "
                "--insecure accepts any certificate, http:// uses none"
            ), False
        if isinstance(error, aiohttp.ClientConnectorError):
            return self._redaction(reason(error.os_error)), True
        if isinstance(error, aiohttp.ClientOSError) and error.errno is None:
            return "the connection was cut while the request was sent", False
        return self._redaction(reason(error)), False

    async def close(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        # A session belongs to a loop, so it is made when there is one.
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS_MAX),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._http
