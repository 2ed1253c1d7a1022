"""The flags of ``comfyrec run``, and which of them go together."""

from __future__ import annotations

import argparse
from pathlib import Path

from comfyrec.cli._parser import AsWritten
from comfyrec.cli._redaction_flags import add_classes_flag
from comfyrec.client import address
from comfyrec.client.formatting import FormatError, check_format
from comfyrec.client.settings import seconds
from comfyrec.errors import UsageError

__all__ = ["add_arguments", "check_combination"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec run``."""
    parser.formatter_class = AsWritten
    parser.add_argument(
        "workflow",
        metavar="WORKFLOW",
        type=Path,
        help="a workflow file in API format or as the page saves it, or a picture that has one; "
        "- for stdin",
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help=f"default: the first that is set of {', '.join(address.ENVIRONMENT)}; "
        f"else 127.0.0.1:{address.DEFAULT_PORT}",
    )
    parser.add_argument(
        "--surface",
        choices=("native", "cloud", "v2"),
        help="which API the server speaks: ComfyUI's own, v1 of Comfy Cloud, which is the same "
        "with a key, or Comfy API v2 (default: as its answers tell; with --continuous one of the "
        "first two)",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask before running")
    parser.add_argument("--no-wait", action="store_true", help="submit, print the prompt id, exit")
    parser.add_argument("--no-progress", action="store_true", help="show no progress")
    parser.add_argument(
        "--json", action="store_true", help="events and the final report as JSON, one per line"
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="one line per event on standard output, such as '{type} {nodes_progress:.0%%}'",
    )
    _add_uploading(parser)
    _add_saving(parser)
    _add_limits(parser)
    _add_connection(parser)
    _add_continuous(parser)


def _add_saving(parser: argparse.ArgumentParser) -> None:
    saving = parser.add_argument_group("saving")
    saving.add_argument(
        "--save-images",
        metavar="DIR",
        type=Path,
        help="save all output files to DIR, as frame.000.png, frame.001.png, ...",
    )
    saving.add_argument(
        "--filepattern",
        metavar="P",
        default=None,
        help="names of saved files; ### or %%04d is the number, and a file of another kind keeps "
        "its suffix (frame.###.png)",
    )
    saving.add_argument(
        "--index-offset", metavar="N", type=int, default=None, help="number of the first file (0)"
    )
    saving.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _add_uploading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upload-images",
        metavar="DIR",
        nargs="?",
        const="",
        help="upload the files that load nodes name from DIR (default: the workflow's folder)",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits, in seconds (environment: COMFYREC_..._S)")
    limits.add_argument("--timeout", metavar="S", help="for the whole run (default: no limit)")
    limits.add_argument(
        "--idle-limit",
        metavar="S",
        help="how long it may be silent before the history is asked (5)",
    )
    limits.add_argument("--connect-timeout", metavar="S", help="wait for a server to start (10)")
    limits.add_argument("--request-timeout", metavar="S", help="one HTTP request (100)")
    limits.add_argument(
        "--patience", metavar="S", help="how long requests may fail before it gives up (10)"
    )
    limits.add_argument(
        "--grace",
        metavar="S",
        help="how long the prompt may be in neither queue nor history before it is lost (3)",
    )


def _add_connection(parser: argparse.ArgumentParser) -> None:
    connection = parser.add_argument_group("connection")
    connection.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help="sent with every request",
    )
    connection.add_argument(
        "--api-key",
        metavar="KEY",
        help="for partner nodes, sent as extra_data.api_key_comfy_org (environment: COMFY_API_KEY)",
    )
    connection.add_argument(
        "--client-id", metavar="ID", help="of the WebSocket, instead of a new one"
    )
    connection.add_argument("--insecure", action="store_true", help="accept any TLS certificate")
    connection.add_argument(
        "--ca-file", metavar="FILE", type=Path, help="accept certificates signed by this CA"
    )
    connection.add_argument(
        "--record", metavar="FILE", type=Path, help="record the run into a cassette"
    )
    add_classes_flag(
        connection,
        "with --record: what to replace in addition to secrets: identity, content, or both with a "
        "comma",
    )


def _add_continuous(parser: argparse.ArgumentParser) -> None:
    continuous = parser.add_argument_group("continuous mode")
    continuous.add_argument(
        "--continuous",
        action="store_true",
        help="serve the workflow over HTTP (run, upload, ...)",
    )
    continuous.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="address (127.0.0.1:8190; port 0 picks a free one)",
    )
    continuous.add_argument("--run-on-upload", action="store_true", help="run after each upload")
    continuous.add_argument(
        "--compat",
        action="store_true",
        help="plain texts and status codes of the older executor",
    )


def check_combination(arguments: argparse.Namespace) -> None:
    """Flags that contradict each other, before anything is sent."""
    given = {
        name: getattr(arguments, name.removeprefix("--").replace("-", "_"))
        for name in (
            "--no-wait", "--save-images", "--filepattern", "--index-offset", "--overwrite",
            "--continuous", "--listen", "--compat", "--run-on-upload", "--json", "--format",
            "--timeout", "--insecure", "--ca-file", "--no-progress", "--record",
        )
    }  # fmt: skip
    given["--surface v2"] = arguments.surface == "v2"
    given["--redact"] = arguments.redact or None
    for one, other in (
        ("--no-wait", "--save-images"),
        ("--no-wait", "--timeout"),
        ("--continuous", "--no-wait"),
        ("--continuous", "--save-images"),
        ("--json", "--format"),
        ("--no-progress", "--format"),
        ("--insecure", "--ca-file"),
        ("--continuous", "--surface v2"),
    ):
        if given[one] and given[other]:
            raise UsageError(f"{one} and {other} cannot be combined; give one of them")
    for flag, needed in (
        ("--filepattern", "--save-images"),
        ("--index-offset", "--save-images"),
        ("--overwrite", "--save-images"),
        ("--listen", "--continuous"),
        ("--compat", "--continuous"),
        ("--run-on-upload", "--continuous"),
        ("--redact", "--record"),
    ):
        # An offset of 0 is given, too.
        if given[flag] is not None and given[flag] is not False and not given[needed]:
            raise UsageError(f"{flag} has no effect without {needed}; give both")
    if arguments.redact:
        from comfyrec.cassette.redact.redactor import check_classes  # few runs are recorded

        check_classes(arguments.redact)
    _check_values(arguments)


def _check_values(arguments: argparse.Namespace) -> None:
    """Values that would be read only while the workflow runs, or be named as a program does."""
    for name in (
        "timeout",
        "idle_limit",
        "connect_timeout",
        "request_timeout",
        "patience",
        "grace",
    ):
        value = getattr(arguments, name)
        if value is not None:
            setattr(arguments, name, seconds(f"--{name.replace('_', '-')}", value))
    if arguments.format is not None:
        try:
            check_format(arguments.format)
        except FormatError as wrong:
            raise UsageError(f"--format {arguments.format}: {wrong}") from None
    folder = arguments.upload_images
    if folder and not Path(folder).is_dir():
        raise UsageError(f"--upload-images {folder}: there is no such folder; give one with files")
