"""Wrong: it asks the history without a pause and without an end: a failure is "pending" (K8)."""

from __future__ import annotations

import sys

from tests.comfyrec.check.specimens.right import TROUBLES, Client, main


class PollsForEver(Client):
    async def connect(self) -> None:
        """It has no use for a socket."""

    async def wait(self) -> None:
        while True:
            try:
                await self.look_up()
            except TROUBLES:
                continue


if __name__ == "__main__":
    sys.exit(main(PollsForEver))
