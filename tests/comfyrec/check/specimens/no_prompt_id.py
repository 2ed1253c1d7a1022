"""Wrong: it compares no prompt_id: the first end it sees is its own (K4)."""

from __future__ import annotations

import sys
from typing import Any

from tests.comfyrec.check.specimens.right import ENDS, Client, Over, main


class NoPromptId(Client):
    def is_ours(self, kind: str, data: Any) -> bool:
        return isinstance(data, dict)

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        over = super().take(kind, data)
        if over and data.get("prompt_id") != self.prompt_id:
            failed = kind in ENDS - {"execution_success", "execution_complete"}
            raise Over("error" if failed else "success", outputs=self.outputs)
        return over


if __name__ == "__main__":
    sys.exit(main(NoPromptId))
