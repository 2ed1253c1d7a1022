"""Wrong: it keeps every message that it was ever sent, its own or not (K8)."""

from __future__ import annotations

import sys
from typing import Any

from tests.comfyrec.check.specimens.right import Client, main


class Hoards(Client):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.log: list[str] = []

    def read(self, text: str) -> tuple[str, Any]:
        self.log.append(text)
        return super().read(text)


if __name__ == "__main__":
    sys.exit(main(Hoards))
