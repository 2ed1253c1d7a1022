"""The server speaks TLS with a self-signed certificate."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, Transport, threads


def direct(settings: Parameters) -> Directions:
    return Directions(transport=Transport(tls=True))


SCENARIO = Scenario(
    name="tls-self-signed",
    row="A90",
    category="proxies",
    summary=__doc__,
    correct="refuses it for both requests and sockets, unless told to accept it",
    keeps=("K1", "K9"),
    evidence=threads("KR#1102", "KR#281", "ImDarkTom/ComfyUIMini#16", "OW#23755"),
    truth=("rejected", "lost", "success"),
    reason=("certificate", "CERTIFICATE", "TLS", "SSL", "ssl"),
    direct=direct,
)
