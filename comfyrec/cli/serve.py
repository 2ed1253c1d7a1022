"""Act as a ComfyUI server: replay a cassette, or play scenarios."""

from __future__ import annotations

import argparse
import gc
import math
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from comfyrec.cli._engine_options import dated, engine_options, replayed_nodes
from comfyrec.cli._frontend import choose_for_people, with_page
from comfyrec.cli._lifetime import when_parent_ends, when_stdin_closes
from comfyrec.cli._ready import prepare_ready_file, ready_file
from comfyrec.cli._server_flags import HintsShown, add_node_flags
from comfyrec.cli._timing_flags import (
    add_timing_flags,
    other_workers,
    what_is_where,
)
from comfyrec.cli._versions import print_versions
from comfyrec.cli._watch_flags import add_watch_flags, watched, watching_of
from comfyrec.control import controlled
from comfyrec.errors import UsageError
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.make_source import changed_by, choices_of, replay_of
from comfyrec.testing.settings import PluginSettings
from comfyrec.versions import DEFAULT_VERSION
from comfyrec.wording import shortened_list
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source, scenarios_over
from fake_server.scenarios import Choice, choose
from fake_server.server.clock import MAX
from fake_server.source import Source
from fake_server.surfaces.registry import NATIVE, choose_surface, surface_names

if TYPE_CHECKING:
    from comfyrec.timeline import Timeline

# Those of the player, which a server that replays nothing starts without; a test holds them equal.
MATCHES = ("graph", "structure", "shape", "renumbered", "overlap", "any")
UNMATCHED = ("simulate", "next", "refuse")
WORKERS_MAX = 64
PORT_MAX: Final = 65_535
COMPLAINTS_SHOWN_MAX: Final = 20
WAIT_S: Final = 30.0
"""Of a wait over the control plane that names no limit; a person may look at the server by hand."""
_MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec serve``."""
    parser.set_defaults(told_by="serve", usual_speed="1")
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="a cassette to replay, or a bundled one's name")
    add_server_flags(parser)
    group = parser.add_argument_group("for whoever starts it")
    add = group.add_argument
    add("--print", choices=("text", "json"), default="text", help="how it says that it is ready")
    add(
        "--ready-file",
        type=Path,
        metavar="FILE",
        help="write url, ws_url and pid to FILE as JSON once it is ready; it is removed at the end",
    )
    add_watch_flags(parser)
    parser.add_argument(
        "--view",
        nargs="?",
        const="say",
        choices=("say", "open"),
        help="say where its page is, which shows live what it does; 'open' opens a browser there",
    )
    add("--exit-with-parent", action="store_true", help="end when the process that started it does")
    add("--exit-on-stdin-close", action="store_true", help="end when its standard input is closed")


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say what is served, and how; all but FILE."""
    add = parser.add_argument
    add(
        "--scenario",
        action="append",
        default=[],
        metavar="NAME[:k=v,...]",
        help="what happens or goes wrong (default: success); may be given several times",
    )
    add(
        "--surface",
        action="append",
        default=[],
        metavar="NAME[:k=v,...]",
        help=f"which API is spoken: {', '.join(surface_names())} (default: {NATIVE}); may be given "
        "several times",
    )
    add("--host", default="127.0.0.1", metavar="H", help="address to listen on (%(default)s)")
    add(
        "--port",
        default="8188",
        metavar="P",
        help="port to listen on (%(default)s); 0 picks a free one",
    )
    add(
        "--speed",
        metavar="N|max|auto",
        help="how fast virtual time goes: 1 as real time, 10 ten times as fast, max without any "
        "waiting, auto max but 1 in scenarios about waiting (1; for 'with' auto)",
    )
    add(
        "--step",
        action="store_true",
        help="virtual time stands still until POST /__fake__/time moves it",
    )
    add(
        "--seed",
        default="0",
        metavar="N",
        help="of the ids and pictures that it makes up (%(default)s)",
    )
    add_node_flags(add)
    add(
        "--comfyui-version",
        default=None,
        metavar="V",
        help=f"which ComfyUI it is ({DEFAULT_VERSION}); 'list' prints what is known of each",
    )
    add(
        "--fact",
        action="append",
        default=[],
        metavar="NAME=on|off",
        help="turn one known difference between versions on or off; '--comfyui-version list' names "
        "them",
    )
    add(
        "--tasks",
        action="store_true",
        help="also serve the task interface (/task_create, /task_result_query, /task_cancel)",
    )
    add_timing_flags(add)
    replay = parser.add_argument_group("when a cassette is replayed")
    replay.add_argument("--idle-time-limit", metavar="S", help="longest pause, in seconds")
    replay.add_argument(
        "--strict", action="store_true", help="requests that the cassette does not have fail"
    )
    replay.add_argument(
        "--match",
        choices=MATCHES,
        help="how similar a prompt must be to a recorded one (overlap; structure with --strict)",
    )
    replay.add_argument(
        "--unmatched",
        choices=UNMATCHED,
        help="what to do with a prompt that is like no recorded one (simulate)",
    )
    replay.add_argument(
        "--volatile",
        action="append",
        metavar="INPUT",
        help="an input that --match structure ignores (seeds, file name prefixes); may be given "
        "several times",
    )
    _add_server_options(parser)


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    """Options that ComfyUI itself has, under its names."""
    group = parser.add_argument_group("as on ComfyUI's own command line")
    add = group.add_argument
    add("--enable-cors-header", nargs="?", const="*", metavar="ORIGIN", help="allow other origins")
    add("--max-upload-size", metavar="MB", help="largest request body (100)")
    add("--multi-user", action="store_true", help="several users, distinguished by a header")
    add("--enable-compress-response-body", action="store_true", help="gzip JSON and text")
    caches = group.add_mutually_exclusive_group()
    for const, text in (
        ("classic", "keep the results of the last prompt"),
        ("none", "run every node of every prompt"),
    ):
        caches.add_argument(
            f"--cache-{const}", action="store_const", dest="cache", const=const, help=text
        )
    caches.add_argument("--cache-lru", metavar="N", help="keep the N results used last")
    assets = group.add_mutually_exclusive_group()
    assets.add_argument("--enable-assets", action="store_true", help="assets are on")
    assets.add_argument(
        "--disable-assets",
        action="store_true",
        help="assets are off, as they are anyway before 0.41",
    )
    add("--base-directory", type=Path, metavar="DIR", help="keep files in DIR instead of in memory")
    add("--frontend", action="store_true", help="serve the real web page (needs its package)")


# --- values ----------------------------------------------------------------------------------


def _number(flag: str, text: str | None, *, least: float = 0.0, beyond: bool = True) -> float:
    """A flag's number, above ``least`` or at least that."""
    try:
        number = float(text or 0)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < least or (beyond and number == least):
        bound = "above" if beyond else "from"
        raise UsageError(f"{flag} {text}: give a number {bound} {least:g}")
    return number


def _whole(flag: str, text: str, *, least: int = 0, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:20]) <= most:
        raise UsageError(f"{flag} {text}: give a whole number from {least} to {most}")
    return int(text)


def _speed(arguments: argparse.Namespace) -> float | None:
    if arguments.step and arguments.speed is not None:
        raise UsageError("--step and --speed cannot be combined; give one of them")
    if arguments.step:
        return 0.0
    speed = arguments.speed or arguments.usual_speed
    if speed == "auto":
        return None
    if speed == "max":
        return MAX
    try:
        return _number("--speed", speed)
    except UsageError:
        raise UsageError(f"--speed {speed}: give a number above 0, max or auto") from None


# --- run -----------------------------------------------------------------------------------------


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    if arguments.comfyui_version == "list":
        print_versions()
        return 0
    if arguments.ready_file is not None:
        prepare_ready_file(arguments.ready_file)
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    watching = watching_of(arguments, say=partial(_tell, arguments))
    server, sentence = started(arguments)
    with (
        closing(server),
        ExitStack() as others,
        watched(server, watching),
        ready_file(arguments.ready_file, server.handle),
    ):
        if arguments.exit_with_parent:
            when_parent_ends(stopped.set)
        if arguments.exit_on_stdin_close:
            when_stdin_closes(stopped.set)
        if arguments.view:
            if arguments.print == "json":
                _tell(arguments, f"what it does is shown at {server.handle.url}/__fake__/ui/")
            if arguments.view == "open":
                import webbrowser

                webbrowser.open(f"{server.handle.url}/__fake__/ui/")
        more = [others.enter_context(closing(one)) for one in other_workers(arguments)]
        said = what_is_where([server, *more], sentence, arguments.print)
        if arguments.print == "text":
            said += f"\nWhat it does is shown at {server.handle.url}/__fake__/ui/"
        # In one write, and print makes two: who reads a line has the other at hand.
        print(f"{said}\n", end="", flush=True)
        stopped.wait()
        complain(arguments, server)
    return 0


def started(arguments: argparse.Namespace) -> tuple[ComfyUI, str]:
    """Start what the flags describe; gives it, and a sentence that says what is where.

    Raises:
        ComfyrecError: a flag's value cannot be used.
    """
    _convert(arguments)
    choices = [choose(text) for text in arguments.scenario]
    arguments.surface = tuple(map(choose_surface, arguments.surface))
    options = engine_options(arguments)
    settings = PluginSettings(
        scenarios=tuple(choices),
        cassette=arguments.file,
        speed=arguments.speed,
        seed=arguments.seed,
        timeout_s=WAIT_S,
        idle_limit_s=0,  # whoever leaves a client connected over night finds it so
    )
    arguments.again = partial(_server, arguments, options, settings)
    server: ComfyUI = arguments.again(arguments.port, arguments.seed)
    _say_what_does_nothing(arguments)
    # What is there by now stays; the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    return server, f"{_what(arguments, choices, options)} at {server.url}"


def _server(
    arguments: argparse.Namespace,
    options: ServerOptions,
    settings: PluginSettings,
    port: int,
    seed: int,
) -> ComfyUI:
    return controlled(
        replace(settings, seed=seed),
        make=_maker(arguments, options),
        host=arguments.host,
        port=port,
        body_limit=round((arguments.max_upload_size or 100) * _MIB),
    )


def complain(arguments: argparse.Namespace, server: ComfyUI) -> None:
    """Print what was to happen and did not, as far as it was not printed when it came up."""
    told: set[str] = getattr(arguments, "told", set())
    left = [sentence for sentence in server.complaints if sentence not in told]
    for sentence in shortened_list(left, COMPLAINTS_SHOWN_MAX):
        _tell(arguments, sentence)


def _tell_once(arguments: argparse.Namespace, sentence: str) -> None:
    """Say something when it comes up, up to a bound; the rest is said at the end."""
    told = arguments.__dict__.setdefault("told", set())
    if sentence not in told and len(told) < COMPLAINTS_SHOWN_MAX:
        told.add(sentence)
        _tell(arguments, sentence)


def _tell(arguments: argparse.Namespace, sentence: str) -> None:
    print(f"comfyrec {arguments.told_by}: {sentence}", file=sys.stderr)


_OF_NODES: Final = {
    "object_info": "--object-info",
    "models": "--models",
    "learn": "--learn",
    "unknown_nodes": "--unknown-nodes",
}
_OF_THE_ENGINE: Final = {
    "timing": "--timing",
    "comfyui_version": "--comfyui-version",
    "fact": "--fact",
    "enable_cors_header": "--enable-cors-header",
    "multi_user": "--multi-user",
    "enable_compress_response_body": "--enable-compress-response-body",
    "cache": "--cache-classic or --cache-none",
    "cache_lru": "--cache-lru",
    "enable_assets": "--enable-assets",
    "disable_assets": "--disable-assets",
    "base_directory": "--base-directory",
}
_OF_REPLAY: Final = {
    "idle_time_limit": "--idle-time-limit",
    "strict": "--strict",
    "match": "--match",
    "unmatched": "--unmatched",
    "volatile": "--volatile",
}


def _say_what_does_nothing(arguments: argparse.Namespace) -> None:
    """Whoever gives a flag means it; scripts may give all of them always."""
    replayed = arguments.file is not None
    flags = _OF_THE_ENGINE if replayed else _OF_REPLAY
    if replayed and not _simulates(arguments):
        flags = _OF_NODES | flags
    for name, flag in flags.items():
        if getattr(arguments, name) in (None, False, [], "refuse"):
            continue
        why = (
            f"{arguments.file} is replayed as it was recorded"
            if replayed
            else "it is for a cassette that is replayed, and none is named"
        )
        _tell(arguments, f"{flag} changes nothing here: {why}")


def _simulates(arguments: argparse.Namespace) -> bool:
    """Whether a replay runs prompts that were not recorded."""
    return not arguments.strict and arguments.unmatched in (None, "simulate")


def _convert(arguments: argparse.Namespace) -> None:
    """Texts of the command line -> the values they stand for."""
    arguments.port = _whole("--port", arguments.port, most=PORT_MAX)
    arguments.seed = _whole("--seed", arguments.seed, most=2**64 - 1)
    arguments.workers = _whole("--workers", arguments.workers, least=1, most=WORKERS_MAX)
    if arguments.workers > 1 and not arguments.tasks:
        if arguments.timing is None or arguments.told_by == "with":
            with_timing = "" if arguments.told_by == "with" else ", or with --timing"
            raise UsageError(f"--workers goes with --tasks{with_timing}: give both, or neither")
        if arguments.port and arguments.port + arguments.workers - 1 > PORT_MAX:
            raise UsageError(f"--port {arguments.port}: give one that has --workers more behind it")
    if arguments.frontend:
        choose_for_people(arguments)
    arguments.speed = _speed(arguments)
    if arguments.cache_lru is not None:
        arguments.cache_lru = _whole("--cache-lru", arguments.cache_lru, least=1, most=10_000)
    if arguments.max_upload_size is not None:
        arguments.max_upload_size = _number("--max-upload-size", arguments.max_upload_size)
    if arguments.idle_time_limit is not None:
        limit = _number("--idle-time-limit", arguments.idle_time_limit, beyond=False)
        arguments.idle_time_limit = limit


def _maker(
    arguments: argparse.Namespace, options: ServerOptions
) -> Callable[[PluginSettings], Source]:
    """Settings -> what is served, of this server and of those that it makes on demand."""
    file = arguments.file
    said: set[str] = set()
    own_player = _player(arguments) if file is not None else None

    def make(settings: PluginSettings) -> Source:
        today = dated(arguments, options)
        choices, own = choices_of(settings), changed_by(settings, today)
        if settings.cassette is None:
            played = partial(scenario_source, choices, own)
            shown = partial(HintsShown, command=arguments.told_by, said=said)
            return _behind_tasks(arguments, lambda: shown(played()))
        # The cassette of the command line is read once, and replayed as its flags say.
        player: Callable[[], Source] = partial(replay_of, settings)
        if settings.cassette == file and own_player is not None:
            player = own_player
        if today.frontend is not None:
            player = partial(with_page, player, today)
        if not choices and not options.surfaces:
            return _behind_tasks(arguments, player)
        seed, surfaces = settings.seed, options.surfaces
        under = partial(
            scenarios_over, choices, player, seed=seed, surfaces=surfaces, epoch_ms=today.epoch_ms
        )
        return _behind_tasks(arguments, under)

    return make


def _behind_tasks(arguments: argparse.Namespace, make: Callable[[], Source]) -> Source:
    """A source, with the task interface before it where that was asked for."""
    if not arguments.tasks:
        return make()
    from fake_server.surfaces.task_server import Sequencer

    return Sequencer.before(make, workers=arguments.workers, seed=arguments.seed)


def _what(arguments: argparse.Namespace, choices: Sequence[Choice], options: ServerOptions) -> str:
    under = ", ".join(choice.title for choice in choices)
    seen = f" with surface {', '.join(one.name for one in options.surfaces)}"
    seen = seen if options.surfaces else ""
    if arguments.file is not None:
        return f"Replaying {arguments.file}{f' under {under}' if under else ''}{seen}"
    return f"Playing {under or 'success'} as ComfyUI {options.era.version}{seen}"


# --- the recording ------------------------------------------------------------------------------


def _timeline(name: str) -> Timeline:
    """A cassette, read as far as it goes; what is damaged is said, and served without.

    Large bodies stay out of the memory: they go from file to socket.
    """
    from comfyrec.cassette.files.body_file import BodyFile
    from comfyrec.cli.terminal.output import opened, said
    from comfyrec.timeline import Timeline

    with opened(name, of_workflow="write --learn {}") as reader:
        timeline = Timeline.build(reader, store=BodyFile())
        said(reader, "serve")
    return timeline


def _player(arguments: argparse.Namespace) -> Callable[[], Source]:
    """Gives players of the cassette; it is read once."""
    from fake_server.replay import Player

    timeline = _timeline(arguments.file)
    limit = arguments.idle_time_limit
    options: dict[str, Any] = {
        "strict": arguments.strict,
        "match": arguments.match,
        "idle_time_limit_us": None if limit is None else round(limit * 1_000_000),
        "seed": arguments.seed,
        "notify": partial(_tell_once, arguments),
        "takes_stored": True,
        "nodes": replayed_nodes(arguments, timeline) if _simulates(arguments) else None,
    }
    if arguments.unmatched:
        options["unmatched"] = arguments.unmatched
    if arguments.volatile:
        options["volatile"] = frozenset(arguments.volatile)
    return lambda: Player(timeline, **options)
