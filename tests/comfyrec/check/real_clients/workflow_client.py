"""PyPI comfyui-workflow-client 0.1.0, its websocket class, as a command: URL WORKFLOW OUT."""

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

from comfyuiclient import ComfyUIClientAsync


async def main(url: str, workflow: str, out: str) -> None:
    client = ComfyUIClientAsync(urlsplit(url).netloc, workflow)
    await client.connect()
    try:
        found = await client.generate(["Result"])
    finally:
        await client.close()
    for name, result in found.items():
        if isinstance(result, list):  # a node's text takes the place of its pictures
            (Path(out) / f"{name}.txt").write_text("\n".join(map(str, result)))
        else:
            result.save(Path(out) / f"{name}.png")


asyncio.run(main(*sys.argv[1:]))
