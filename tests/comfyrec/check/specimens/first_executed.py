"""Wrong: the first `executed` is the end, and its output is all there is (K1, K5)."""

from __future__ import annotations

import sys
from typing import Any

from tests.comfyrec.check.specimens.right import Client, Over, main


class FirstExecuted(Client):
    def take(self, kind: str, data: dict[str, Any]) -> bool:
        over = super().take(kind, data)
        if kind == "executed":
            raise Over("success", outputs=self.outputs)
        return over


if __name__ == "__main__":
    sys.exit(main(FirstExecuted))
