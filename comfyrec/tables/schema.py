"""The tables that recordings become: their columns, what each holds, and the version of it all.

Every engine reads them alike: four types, times as whole microseconds (Unix time where a name ends
in ``_at_us``, else a length), null where the recording does not say.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

__all__ = ["PARTITIONS", "TABLES", "TABLES_VERSION", "Column", "Type"]

TABLES_VERSION: Final = 1
"""Moves when a column changes its meaning or goes; new columns do not move it."""

PARTITIONS: Final = ("day", "server", "version")
"""The columns that name the folders of exported files, outermost first."""

Type = Literal["text", "int", "float", "bool"]


class Column(msgspec.Struct, frozen=True):
    """One column of a table."""

    name: str
    type: Type
    meaning: str


def _columns(*rows: tuple[str, Type, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


_EVERY: Final = _columns(
    ("recording", "text", "Which recording: the same for each copy of it, in either encoding"),
    ("day", "text", "UTC day on which it happened, `2026-12-01`"),
    ("server", "text", "Host and port of the upstream, other signs than `A-Za-z0-9._-` as `-`"),
    ("version", "text", "ComfyUI's, as stated, or the oldest that fits what it did"),
)

TABLES: Final[dict[str, tuple[Column, ...]]] = {
    "sessions": _EVERY
    + _columns(
        ("tables_version", "int", "Version of these tables"),
        ("source", "text", "Name of the file"),
        ("tool", "text", "What recorded it"),
        ("upstream", "text", "Address of the server as recorded"),
        ("redacted", "text", "Classes of redaction, joined by commas"),
        ("started_at_us", "int", "Time of the first record"),
        ("duration_us", "int", "From the first record to the last"),
        ("version_stated", "bool", "False: nobody asked the server for its version"),
        ("os", "text", "As `/system_stats` said"),
        ("python", "text", "As `/system_stats` said"),
        ("pytorch", "text", "As `/system_stats` said"),
        ("devices", "text", "Names of the devices, joined by commas"),
        ("records", "int", "Records of the recording"),
        ("requests", "int", "HTTP requests, upgrades included"),
        ("sockets", "int", "WebSocket connections"),
        ("prompts", "int", "Prompts that were accepted or that frames tell of"),
        ("refused", "int", "`POST /prompt` that were not accepted"),
        ("violations", "int", "Rows in `violations`; null when that table was not asked for"),
        ("whole", "bool", "False: the end of the recording is missing"),
    ),
    "prompts": _EVERY
    + _columns(
        ("prompt", "int", "Number in the recording, from 0"),
        ("prompt_id", "text", "The server's id"),
        ("client_id", "text", "Of whoever submitted it"),
        ("outcome", "text", "`success`, `error`, `interrupted`, `deleted`, `unknown`"),
        ("submitted_at_us", "int", "When its POST began"),
        ("started_at_us", "int", "When `execution_start` came"),
        ("ended_at_us", "int", "When its outcome was said"),
        ("queue_wait_us", "int", "From the POST to the start"),
        ("run_us", "int", "From the start to the end"),
        ("silence_before_end_us", "int", "From the last message about it to its end; without an "
         "end, to the end of the recording"),
        ("nodes", "int", "Nodes of its graph"),
        ("nodes_run", "int", "Node runs that were not cached"),
        ("nodes_cached", "int", "Nodes that were cached"),
        ("megapixels", "float", "The largest width times height times batch in its graph"),
        ("previews", "int", "Preview pictures"),
        ("files", "int", "Files that its outputs name"),
        ("listeners", "int", "Sockets that were told about it"),
        ("error_type", "text", "Class of the exception"),
        ("error_message", "text", "The server's words, at most 2,000 characters"),
        ("error_node_id", "text", "Node that failed"),
        ("error_class_type", "text", "Class of that node"),
    ),
    "node_runs": _EVERY
    + _columns(
        ("prompt", "int", "Number of its prompt in the recording"),
        ("prompt_id", "text", "The server's id of the prompt"),
        ("node_id", "text", "Id in the graph"),
        ("class_type", "text", "Its class; empty when the graph is not known"),
        ("cached", "bool", "It did not run: its result was there"),
        ("started_at_us", "int", "When it began; null when cached"),
        ("run_us", "int", "How long it ran; null when cached or not over, and for jobs of Comfy "
         "API v2, whose progress passes over short nodes"),
        ("run_of_class", "int", "1 for the first run of its class in the recording, 2, ..."),
        ("steps", "float", "The maximum of its progress, where it is above 1"),
        ("megapixels", "float", "That of its prompt"),
        ("previews", "int", "Preview pictures"),
        ("files", "int", "Files that it named"),
    ),
    "events": _EVERY
    + _columns(
        ("place", "int", "Place of the record in the recording, from 0"),
        ("happened_at_us", "int", "When"),
        ("socket", "int", "Number of the socket in the recording"),
        ("client", "text", "Id under which the server knows the socket's client"),
        ("side", "text", "Who did it: `client` or `server`"),
        ("kind", "text", "`opened`, `message`, `ping` or `closed`"),
        ("type", "text", "Of a message, its event type"),
        ("prompt", "int", "Number of the prompt that it is about"),
        ("prompt_id", "text", "Its id"),
        ("node_id", "text", "The node that it is about"),
        ("bytes", "int", "Size of the message"),
        ("words", "text", "What it says, at most 500 characters"),
    ),
    "http": _EVERY
    + _columns(
        ("exchange", "int", "Number in the recording, from 0"),
        ("conn", "int", "Number of the TCP connection"),
        ("asked_at_us", "int", "When the request began"),
        ("method", "text", "Of the request"),
        ("path", "text", "Decoded, without query and without `/api` in front"),
        ("route", "text", "Method and path, ids as `{id}`"),
        ("status", "int", "Of the answer; null: none was recorded"),
        ("wait_us", "int", "From the end of the request to the beginning of the answer"),
        ("took_us", "int", "From the beginning of the request to the end of the answer"),
        ("request_bytes", "int", "Body of the request"),
        ("response_bytes", "int", "Body of the answer"),
        ("complete", "bool", "Whether the answer came whole"),
        ("cut_by", "text", "Who ended the connection before the answer was whole"),
    ),
    "violations": _EVERY
    + _columns(
        ("happened_at_us", "int", "When; null: it is of the recording as a whole"),
        ("kind", "text", "The rule, or `unheard`, `cut`, `unanswered`, `unreadable`"),
        ("severity", "text", "`breaks`: the server's order does not hold; `warns`"),
        ("sentence", "text", "In words"),
        ("prompt", "int", "Number of the prompt that it is about"),
        ("prompt_id", "text", "Its id"),
        ("socket", "int", "Number of the socket"),
        ("exchange", "int", "Number of the HTTP exchange"),
    ),
}  # fmt: skip
"""Table -> columns. The first four are in every table."""
