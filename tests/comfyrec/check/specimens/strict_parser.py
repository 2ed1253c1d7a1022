"""Wrong: every message has to be strict JSON of a known shape, or it breaks (K6)."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.comfyrec.check.specimens.right import Client, main


class StrictParser(Client):
    async def receive(self, within_s: float) -> tuple[str, Any] | None:
        found = await super().receive(within_s)
        if found == ("", {}):
            raise ValueError("a message that is not an event")
        return found

    def read(self, text: str) -> tuple[str, Any]:
        value = json.loads(text, parse_constant=self.refuse)
        if value["data"] is None or not isinstance(value["data"], dict):
            raise TypeError("data is not an object")
        return value["type"], value["data"]

    def refuse(self, token: str) -> None:
        raise ValueError(f"{token} is not JSON")


if __name__ == "__main__":
    sys.exit(main(StrictParser))
