"""Wrong: it keeps its library's limit for a frame, and dies of a larger one (K2)."""

from __future__ import annotations

import sys
from typing import Any

import aiohttp

from tests.comfyrec.check.specimens.right import Client, Over, main


class SmallFrames(Client):
    frame_bytes_max = 4 * 1024 * 1024

    async def receive(self, within_s: float) -> tuple[str, Any] | None:
        found = await super().receive(within_s)
        if (
            self.socket is not None
            and self.socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        ):
            raise Over("error", "the connection was closed with 1009")
        return found


if __name__ == "__main__":
    sys.exit(main(SmallFrames))
