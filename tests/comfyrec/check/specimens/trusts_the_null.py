"""Wrong: a null `executing` is a success, whatever came before it (K3)."""

from __future__ import annotations

import sys
from typing import Any

from tests.comfyrec.check.specimens.right import Client, Over, main


class TrustsTheNull(Client):
    def take(self, kind: str, data: dict[str, Any]) -> bool:
        over = super().take(kind, data)
        if kind == "executing" and over:
            raise Over("success", outputs=self.outputs)
        return False


if __name__ == "__main__":
    sys.exit(main(TrustsTheNull))
