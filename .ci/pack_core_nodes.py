"""Write core_nodes.jsonl.gz anew: VERSION=FILE ..., each FILE what GET /object_info answered."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fake_server.nodes import core_nodes


def main() -> None:
    pairs = [argument.partition("=") for argument in sys.argv[1:]]
    generations = {version: json.loads(Path(file).read_bytes()) for version, _, file in pairs}
    path = Path(core_nodes.__file__).with_name(core_nodes.FILE)
    path.write_bytes(core_nodes.pack(generations))


if __name__ == "__main__":
    main()
