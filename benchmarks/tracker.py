"""What the client's tracker costs per event beyond decoding it.

    python benchmarks/tracker.py [--json] [--quick]

A run of 40 nodes with 20 progress steps each is fed to a session as it comes from the socket; the
same messages are only decoded for comparison. The difference is what routing, progress and telling
cost. With ``telling`` somebody listens, and looks at the type and the overall progress of each.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from time import perf_counter_ns

from comfyrec import events
from comfyrec.client import session, session_inputs
from comfyrec.client.http.requests import Accepted
from comfyrec.client.settings import ClientSettings

NODES, STEPS = 40, 20
PROMPT = "6c5d0f5e-0a1b-4c6e-9d55-000000000001"


def run_of_a_prompt() -> list[str]:
    """The messages of one prompt, without its end."""
    ids = [str(n) for n in range(NODES)]
    messages = [
        said("execution_start", timestamp=1),
        said("execution_cached", nodes=ids[:2], timestamp=1),
    ]
    touched: dict[str, object] = {}
    for node in ids[2:]:
        messages.append(said("executing", node=node, display_node=node))
        for step in range(1, STEPS + 1):
            touched[node] = entry(node, step)
            messages.append(said("progress_state", nodes=dict(list(touched.items())[-3:])))
            messages.append(said("progress", value=step, max=STEPS, node=node))
        output = {"images": [{"filename": f"{node}.png", "subfolder": "", "type": "output"}]}
        messages.append(said("executed", node=node, display_node=node, output=output))
    return messages


def said(type: str, **data: object) -> str:
    return json.dumps({"type": type, "data": {**data, "prompt_id": PROMPT}})


def entry(node: str, step: int) -> dict[str, object]:
    state = "finished" if step == STEPS else "running"
    names = ("display_node_id", "real_node_id", "node_id")
    ids = dict.fromkeys(names, node)
    return {"value": step, "max": STEPS, "state": state, "prompt_id": PROMPT, **ids}


def decoding(messages: list[str]) -> Callable[[], None]:
    """Decode, and look at what a tracker has to look at to decode no less than it does."""

    def work() -> None:
        for message in messages:
            event = events.decode(message)
            if type(event) is events.Executed:
                _ = event.data

    return work


def tracking(messages: list[str], *, telling: bool) -> Callable[[], None]:
    def work() -> None:
        sut = session.ClientSession(ClientSettings(), new_id=lambda: "c")
        sut.start(0)
        sut.handle(session_inputs.SocketOpened(), 1)
        sut.handle(session_inputs.SubmitStarted(), 2)
        nodes = tuple(str(n) for n in range(NODES))
        sut.handle(session_inputs.PromptAccepted(Accepted(PROMPT, 0, {}), nodes, telling), 3)
        now = 4
        for message in messages:
            now += 10
            for action in sut.handle(session_inputs.MessageReceived(message), now):
                event = action.event
                _ = event.type, event.progress.nodes_progress

    return work


def best_ns(work: Callable[[], None], rounds: int) -> int:
    """The fastest round: what the machine's other work adds is not the tracker's."""
    best = sys.maxsize
    for _ in range(rounds):
        begun = perf_counter_ns()
        work()
        best = min(best, perf_counter_ns() - begun)
    return best


def measure(rounds: int) -> dict[str, float]:
    """Microseconds per event."""
    messages = run_of_a_prompt()
    alone = best_ns(decoding(messages), rounds)
    figures = {"events": float(len(messages)), "decoding_us": alone / len(messages) / 1000}
    for name, telling in (("silent", False), ("telling", True)):
        whole = best_ns(tracking(messages, telling=telling), rounds)
        figures[f"{name}_beyond_decoding_us"] = (whole - alone) / len(messages) / 1000
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a few rounds only")
    arguments = parser.parse_args()
    figures = measure(3 if arguments.quick else 40)
    if arguments.json:
        print(json.dumps({**figures, "python": platform.python_version()}))
        return 0
    print(f"Python {platform.python_version()} on {platform.machine()}, best of the rounds")
    for name, figure in figures.items():
        print(f"{name:>28}  {figure:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
