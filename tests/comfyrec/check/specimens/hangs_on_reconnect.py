"""Wrong: when its connection broke it connects again, and waits for frames alone (K2)."""

from __future__ import annotations

import asyncio
import sys

from tests.comfyrec.check.specimens.right import Client, main


class HangsOnReconnect(Client):
    broken = False

    async def listen(self, idle_s: float) -> bool:
        while True:
            if await super().listen(idle_s):
                return True
            if self.socket is None or self.socket.closed:
                self.broken = True
                await asyncio.sleep(0.05)
                await self.connect()
            elif not self.broken:
                return False


if __name__ == "__main__":
    sys.exit(main(HangsOnReconnect))
