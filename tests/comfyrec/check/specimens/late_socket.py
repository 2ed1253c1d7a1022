"""Wrong: it opens its socket after the POST, and believes that it saw everything (K7, K2).

What was over before is missed, and nothing else is asked. The pause stands for what such a client
does first: starting a thread, looking up an address.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tests.comfyrec.check.specimens.right import Client, Over, main


class LateSocket(Client):
    async def go(self, workflow: Any) -> None:
        await self.be_ready()
        await self.upload(workflow)
        await self.submit(workflow)
        await asyncio.sleep(0.3)
        await self.connect()
        await self.wait()

    async def wait(self) -> None:
        while not await self.listen(60):
            if self.socket is None or self.socket.closed:
                raise Over("lost", "the socket is closed")
        await super().wait()


if __name__ == "__main__":
    sys.exit(main(LateSocket))
