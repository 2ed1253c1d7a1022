"""A server with assets on, asked without a shell."""

from __future__ import annotations

import json
from typing import Any

from comfyrec.versions import era_of
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Response
from fake_server.storage.assets import content_hash
from tests.support.replay_rig import SourceRig
from tests.support.source_client import BOUNDARY, FORM, part, png

HOST = ("Host", "127.0.0.1:8188")
SAVES = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 4, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
PNG = png()
HASH = content_hash(PNG)
UNKNOWN = "11111111-1111-4111-8111-111111111111"


class AssetRig(SourceRig):
    """Questions to a server of some version, with assets on or off."""

    def __init__(
        self, version: str = "0.33.0", *, on: bool = True, multi_user: bool = False
    ) -> None:
        era = era_of(version).switched("assets_on", on=on)
        self.server = SimulatedServer(ServerOptions(era=era, multi_user=multi_user))
        super().__init__(self.server)

    def says(self, method: str, target: str, body: Any = b"") -> tuple[int, Any]:
        """Status and body of an answer."""
        answer = self.ask(method, target, body)
        return answer.status, json.loads(answer.body) if answer.body else None

    def form(self, *parts: bytes, target: str = "/api/assets") -> Response:
        body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
        return self.ask("POST", target, body, headers=(HOST, FORM))

    def upload(self, *more: bytes, data: bytes = PNG) -> dict[str, Any]:
        """One asset made of a picture."""
        file = part("file", data, "up.png", "image/png")
        answer = self.form(part("tags", "input"), file, *more)
        assert answer.status in (200, 201), answer.body
        made: dict[str, Any] = json.loads(answer.body)
        return made

    def error(self, method: str, target: str, body: Any = b"") -> tuple[int, str]:
        """Status and code of a refusal."""
        status, said = self.says(method, target, body)
        return status, said["error"]["code"]
