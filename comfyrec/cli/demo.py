"""Record, replay and compare one run: a client, the recording proxy and an embedded server."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from comfyrec.client.progress_event import ProgressEvent
from comfyrec.client.result import Result
from comfyrec.client.shells.blocking import Client
from comfyrec.errors import CassetteExists, UsageError
from comfyrec.events.endings import prompt_ending
from comfyrec.testing.make_source import make_source
from comfyrec.testing.recording import Recording
from comfyrec.testing.settings import PluginSettings
from comfyrec.wording import plural, shortened
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.server.clock import MAX
from fake_server.server.thread import serve

SPEED: Final = 4.0
"""Life-like, but nobody wants to wait for a demonstration."""
TIMEOUT_S: Final = 60.0
DIFFERENCES_SHOWN_MAX: Final = 5
_OF_NO_PROMPT: Final = ("status", "feature_flags")
"""What a server tells every client, or answers to the client's own flags."""

WORKFLOW: Final[dict[str, Any]] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286, "steps": 12, "cfg": 7.0, "sampler_name": "euler",
            "scheduler": "normal", "denoise": 1.0, "model": ["4", 0], "positive": ["6", 0],
            "negative": ["7", 0], "latent_image": ["5", 0],
        },
    },
    "4": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "v1-5-pruned-emaonly-fp16.safetensors"},
    },
    "5": {"class_type": "EmptyLatentImage",
          "inputs": {"width": 256, "height": 256, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode",
          "inputs": {"text": "a lighthouse made of magnetic tape", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage",
          "inputs": {"filename_prefix": "comfyrec", "images": ["8", 0]}},
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``comfyrec demo``."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where to save the cassette (default: a new temporary folder)",
    )
    parser.add_argument(
        "--learn",
        nargs="+",
        default=[],
        metavar="FILE",
        help="run the first workflow of these files, folders or patterns instead of a built-in one",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def run(arguments: argparse.Namespace) -> int:
    """Record, replay, compare, and print what happened."""
    if arguments.overwrite and arguments.output is None:
        raise UsageError("--overwrite has no effect without --output; give both")
    cassette = arguments.output or Path(tempfile.mkdtemp(prefix="comfyrec-demo-")) / "demo.jsonl"
    if cassette.is_file() and cassette.stat().st_size and not arguments.overwrite:
        raise CassetteExists(str(cassette))
    options, workflow = _learned(arguments.learn)
    recorded = _record(cassette, workflow, options, overwrite=arguments.overwrite)
    replayed = _replay(cassette, workflow)
    differences = compare(recorded, replayed)
    for line in _summary(recorded, cassette, len(workflow)):
        print(line)
    if differences:
        print(f"Replayed to the same client: {plural(len(differences), 'DIFFERENCE').upper()}")
        for line in differences[:DIFFERENCES_SHOWN_MAX]:
            print(f"  {line}")
        return 1
    count = len(_about_the_prompt(replayed))
    print(f"Replayed to the same client: {count} of {count} events equal, in the same order "
          f"(ids aside), and the same picture.")  # fmt: skip
    for line in _what_next(cassette):
        print(line)
    return 0


class Seen:
    """What the client saw of one run."""

    def __init__(self, events: list[ProgressEvent], result: Result, pictures: list[bytes]) -> None:
        self.events, self.result, self.pictures = events, result, pictures


def _learned(paths: Sequence[str]) -> tuple[ServerOptions, Mapping[str, Any]]:
    """How the server is started, and what it runs."""
    if not paths:
        return ServerOptions(), WORKFLOW
    from comfyrec.testing.workflow_files import with_learned

    options, found = with_learned(ServerOptions(), paths)
    if not found.prompts:
        raise UsageError(f"--learn {paths[0]}: there is no workflow in it to run")
    where, workflow = found.prompts[0]
    print(f"{str(found).capitalize()}. Running {where}.")
    return options, workflow


def _watch(url: str, workflow: Mapping[str, Any]) -> Seen:
    events: list[ProgressEvent] = []
    with Client(url) as client:
        result = client.run(dict(workflow), on_event=events.append, timeout_s=TIMEOUT_S)
        pictures = [client.fetch(file) for file in result.files]
    return Seen(events, result, pictures)


def _record(
    cassette: Path, workflow: Mapping[str, Any], options: ServerOptions, *, overwrite: bool
) -> Seen:
    source = scenario_source([choose("lifelike")], options)
    with (
        serve(source, speed=SPEED) as server,
        Recording(server.url, cassette, overwrite=overwrite) as proxy,
    ):
        return _watch(proxy.url, workflow)


def _replay(cassette: Path, workflow: Mapping[str, Any]) -> Seen:
    with serve(make_source(PluginSettings(cassette=cassette)), speed=MAX) as server:
        return _watch(server.url, workflow)


# --- comparing -------------------------------------------------------------------------------


def compare(recorded: Seen, replayed: Seen) -> list[str]:
    """Where two runs differ, event by event, ids aside; empty when nowhere."""
    first, second = _normal(recorded), _normal(replayed)
    found = [
        f"event {number}: {_short(was)} came as {_short(now)}"
        for number, (was, now) in enumerate(zip(first, second, strict=False), 1)
        if was != now
    ]
    if len(first) != len(second):
        found.append(f"{len(first)} events were recorded, {len(second)} replayed")
    if recorded.result.outcome != replayed.result.outcome:
        found.append(f"outcome {recorded.result.outcome} became {replayed.result.outcome}")
    if recorded.pictures != replayed.pictures:
        found.append("the pictures differ")
    return found


def _normal(seen: Seen) -> list[str | bytes]:
    """Each message with this run's ids replaced by their names."""
    names = {seen.result.prompt_id: "<prompt_id>", seen.events[0].client_id: "<client_id>"}

    def without_ids(message: str | bytes) -> str | bytes:
        for own, name in names.items():
            if isinstance(message, str):
                message = message.replace(own, name)
            else:
                message = message.replace(own.encode(), name.encode())
        return message

    return [without_ids(message) for message in _about_the_prompt(seen)]


def _about_the_prompt(seen: Seen) -> list[str | bytes]:
    """The server's messages about the prompt, up to its end.

    A client tells of the others only once it knows its prompt: which of them come before the answer
    to its POST is a race that nobody can win (protocol.md section 4).
    """
    found: list[str | bytes] = []
    for event in seen.events:
        if event.message is not None and event.type not in _OF_NO_PROMPT:
            found.append(event.message)
            if prompt_ending(event.type, partial(getattr, event, "data")):
                break
    return found


def _short(message: str | bytes) -> str:
    if isinstance(message, bytes):
        return f"a binary message of {len(message)} bytes"
    return shortened(message, 80)


# --- words -----------------------------------------------------------------------------------


def _summary(recorded: Seen, cassette: Path, nodes_count: int) -> list[str]:
    messages = _about_the_prompt(recorded)
    previews = sum(isinstance(message, bytes) for message in messages)
    nodes = [json.loads(m) for m in messages if isinstance(m, str) and '"executing"' in m]
    ran = sum(frame["data"].get("node") is not None for frame in nodes)
    size = f"{cassette.stat().st_size / 1024:.0f} KB"
    return [
        f"Recorded one run of {plural(nodes_count, 'node')} through the proxy: "
        f"{recorded.result.outcome}.",
        f"  {plural(ran, 'node')} executed, {plural(len(messages) - previews, 'text message')}, "
        f"{plural(previews, 'preview')}, "
        f"{plural(len(recorded.pictures), 'picture')}.",
        f"  Cassette: {cassette} ({size})",
    ]


def _what_next(cassette: Path) -> list[str]:
    return [
        "Try next:",
        f"  comfyrec info {cassette}",
        f"  comfyrec serve {cassette}          (then connect your own client)",
        "  comfyrec record --upstream URL -o session.crec    (with a real ComfyUI)",
    ]
