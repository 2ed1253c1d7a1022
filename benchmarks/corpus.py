"""Seeded traffic of a ComfyUI socket, for the benchmarks: text messages as a server writes them.

The mix follows recordings of a 0.27 server: every step of a sampler sends the state of all nodes
so far and a progress; an extension pushes its figures now and then. ``progress_state`` makes up
half of the messages and nine tenths of the bytes.
"""

from __future__ import annotations

import json
import random
from typing import Any

PREVIEW_BYTES = 25_000


class Session:
    """Collects the messages of prompts, as (type, bytes)."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._now = 1_795_218_023_681
        self.messages: list[tuple[str, bytes]] = []

    def say(self, name: str, **data: Any) -> None:
        self.messages.append((name, json.dumps({"type": name, "data": data}).encode()))

    def prompt(self, nodes: int, samplers: dict[int, int], *, cached: int = 0) -> None:
        """One prompt of so many nodes; ``samplers`` maps a node's place to its steps."""
        prompt_id = f"{self._random.getrandbits(32):08x}-0000-4000-8000-{nodes:012d}"
        ids = [str(10 + place) for place in range(nodes)]
        state: dict[str, dict[str, Any]] = {}
        self._status(1)
        self._timed("execution_start", prompt_id=prompt_id)
        self._timed("execution_cached", nodes=ids[:cached], prompt_id=prompt_id)
        for place, node in enumerate(ids[cached:], cached):
            self._state(prompt_id, state, node, 0.0, 1.0)
            self.say("executing", node=node, display_node=node, prompt_id=prompt_id)
            steps = samplers.get(place, 0)
            for step in range(1, steps + 1):
                self._state(prompt_id, state, node, step, steps)
                self.say("progress", value=step, max=steps, prompt_id=prompt_id, node=node)
                if step % 8 == 0:
                    self._monitor()
            if place == nodes - 1:
                self._executed(prompt_id, node)
            self._state(prompt_id, state, node, steps or 1.0, steps or 1.0)
        self._timed("execution_success", prompt_id=prompt_id)
        self._status(0)
        self.say("executing", node=None, prompt_id=prompt_id)

    def _status(self, remaining: int) -> None:
        self.say("status", status={"exec_info": {"queue_remaining": remaining}})

    def _timed(self, name: str, **data: Any) -> None:
        self._now += self._random.randint(1, 900)
        self.say(name, **data, timestamp=self._now)

    def _state(
        self, prompt_id: str, state: dict[str, dict[str, Any]], node: str, value: float, most: float
    ) -> None:
        state[node] = {
            "value": value,
            "max": most,
            "state": "finished" if value == most else "running",
            "node_id": node,
            "prompt_id": prompt_id,
            "display_node_id": node,
            "parent_node_id": None,
            "real_node_id": node,
        }
        self.say("progress_state", prompt_id=prompt_id, nodes=state)

    def _executed(self, prompt_id: str, node: str) -> None:
        name = f"ComfyUI_{self._random.randint(1, 99999):05d}_.png"
        files = [{"filename": name, "subfolder": "", "type": "output"}]
        output = {"images": files}
        self.say("executed", node=node, display_node=node, output=output, prompt_id=prompt_id)

    def _monitor(self) -> None:
        used = self._random.randint(0, 2**34)
        gpu = {"gpu_utilization": used % 100, "vram_total": 25757220864, "vram_used": used}
        self.say(
            "crystools.monitor",
            cpu_utilization=used % 1000 / 10,
            ram_total=67185545216,
            ram_used=used,
            device_type="cuda",
            gpus=[gpu],
        )
        self.say("cm-queue-status", status="in_progress", total_count=7, done_count=used % 7)


def texts(seed: int = 1) -> list[tuple[str, bytes]]:
    """A session of small and large prompts: (type, message)."""
    session = Session(seed)
    session.prompt(9, {5: 20})
    session.prompt(9, {5: 20}, cached=8)
    session.prompt(24, {12: 20, 17: 10})
    session.prompt(40, {20: 30, 31: 12}, cached=6)
    return session.messages


def frames(seed: int = 1, *, count: int = 40) -> list[bytes]:
    """Previews with metadata."""
    chance = random.Random(seed)
    metadata = json.dumps(
        {
            "node_id": "15",
            "prompt_id": "00000000-0000-4000-8000-000000000009",
            "display_node_id": "15",
            "parent_node_id": None,
            "real_node_id": "15",
            "image_type": "image/jpeg",
        }
    ).encode()
    head = b"\x00\x00\x00\x04" + len(metadata).to_bytes(4, "big") + metadata
    return [head + b"\xff\xd8" + chance.randbytes(PREVIEW_BYTES) for _ in range(count)]
