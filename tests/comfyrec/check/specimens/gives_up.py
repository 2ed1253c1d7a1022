"""Wrong: a little silence is a failure (K8)."""

from __future__ import annotations

import sys

from tests.comfyrec.check.specimens.right import Client, Over, main


class GivesUp(Client):
    async def listen(self, idle_s: float) -> bool:
        if not await super().listen(0.5) and self.socket is not None and not self.socket.closed:
            raise Over("error", "no message within 0.5 s")
        return True


if __name__ == "__main__":
    sys.exit(main(GivesUp))
