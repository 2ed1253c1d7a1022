"""The journal of a server -> what the report of a failing test tells: one line of diagnosis, and
the story of what happened, in virtual time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Session, Side, WsFrame
from comfyrec.show.narrative import bars
from comfyrec.show.summary import outcomes_in_words
from comfyrec.show.text import plain
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import Story, tell
from comfyrec.wire.frames import close_payload, frame_head
from comfyrec.wording import plural

__all__ = ["diagnosis", "records_of_journal", "story_lines", "story_of_journal"]

START_US: Final = 1
"""Virtual time begins at 0, which stands for "no time" in records."""
_FINDINGS_SHOWN: Final = 10
_TEXT, _BINARY, _CLOSE = 1, 2, 8


def story_of_journal(entries: Iterable[Mapping[str, Any]]) -> Story:
    """The story that a journal tells; what it has cut off or forgotten is missing."""
    return tell(Timeline.build(records_of_journal(entries)), whole=False)


def story_lines(story: Story) -> Iterator[str]:
    """Prompts as bars, then what is out of order."""
    yield plain(outcomes_in_words(story))
    yield from (plain(one) for one in bars(story) if one)
    for finding in story.findings[:_FINDINGS_SHOWN]:
        yield f"!! {finding.sentence}"


def diagnosis(story: Story, *, to_nobody: int = 0) -> str:
    """The most likely reason why a test that saw this has failed; ``""`` if nothing stands out.

    Args:
        story: what happened.
        to_nobody: messages that the server had for a client without a socket.
    """
    lost = f"; {plural(to_nobody, 'frame')} went to nobody" if to_nobody else ""
    for finding in story.findings:
        if finding.kind == "unheard":
            return f"{finding.sentence}{lost}"
    for prompt in story.prompts:
        if prompt.client_id is None:
            short = prompt.prompt_id[:8]
            return f"prompt {short} was posted without a client_id: no socket hears how it ends"
    if story.refusals:
        return f"POST /prompt was refused: {story.refusals[0].words}"
    for prompt in story.prompts:
        if prompt.failure is not None and not prompt.failure.blocked:
            words = " ".join(str(prompt.failure).split())
            return f"prompt {prompt.prompt_id[:8]} failed: {words}"
    if story.findings:
        return story.findings[0].sentence
    return f"{plural(to_nobody, 'frame')} went to nobody" if to_nobody else ""


# --- journal -> records ----------------------------------------------------------------------


def records_of_journal(entries: Iterable[Mapping[str, Any]]) -> list[AnyRecord]:
    """The entries of a journal as records; each socket and exchange is a connection of its own."""
    told = list(entries)
    refused = {entry["number"] for entry in told if entry["what"] == "answer"}
    records: list[AnyRecord] = [Session(0, START_US)]
    stopped = False
    for entry in told:
        stopped = stopped or entry["what"] == "fault"
        if stopped and entry["what"] == "left":
            entry = {**entry, "what": "cut"}  # the server's own doing
        for make, fields in _records(entry, refused):
            records.append(make(len(records), entry["t"] + START_US, **fields))
    return records


def _records(
    entry: Mapping[str, Any], answered: set[int]
) -> Iterator[tuple[type[AnyRecord], dict[str, Any]]]:
    number = entry.get("number", -1)
    match entry["what"]:
        case "request":
            yield HttpPart, _part(number, Side.CLIENT, _request_head(entry), entry)
        case "answer":
            head = f"HTTP/1.1 {entry['status']} \r\n\r\n".encode()
            yield HttpPart, _part(number, Side.SERVER, head, entry)
        case "upgrade":
            yield HttpPart, _part(number, Side.CLIENT, _request_head(entry), entry)
            if number not in answered:
                head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
                yield HttpPart, _part(number, Side.SERVER, head, {})
        case "received":
            yield WsFrame, _frame(number, Side.CLIENT, entry)
        case "sent":
            for socket in entry["sockets"]:
                yield WsFrame, _frame(socket, Side.SERVER, entry)
        case "closed" | "left":
            yield from _ended(entry, number)
        case "cut" | "dropped":
            side = Side.SERVER if entry["what"] == "cut" else Side.CLIENT
            yield Closed, {"conn": number, "side": side, "how": "reset"}


def _request_head(entry: Mapping[str, Any]) -> bytes:
    fields = [f"{name}: {value}" for name, value in entry["headers"]]
    lines = [f"{entry['method']} {entry['target']} HTTP/1.1", *fields, "", ""]
    return "\r\n".join(lines).encode("utf-8", "replace")


def _part(number: int, side: Side, head: bytes, entry: Mapping[str, Any]) -> dict[str, Any]:
    fields = {"conn": number, "side": side, "exchange": 0, "head": head}
    return {**fields, "body": _content(entry)}


def _frame(number: int, side: Side, entry: Mapping[str, Any]) -> dict[str, Any]:
    content = _content(entry)
    opcode = _TEXT if "text" in entry else _BINARY
    head = frame_head(opcode, len(content), masked=side is Side.CLIENT)
    return {"conn": number, "side": side, "head": head, "payload": content}


def _ended(
    entry: Mapping[str, Any], number: int
) -> Iterator[tuple[type[AnyRecord], dict[str, Any]]]:
    side = Side.SERVER if entry["what"] == "closed" else Side.CLIENT
    code = entry.get("code")
    if isinstance(code, int) and 1000 <= code < 5000 and code not in (1005, 1006):
        payload = close_payload(code, "")
        head = frame_head(_CLOSE, len(payload), masked=side is Side.CLIENT)
        yield WsFrame, {"conn": number, "side": side, "head": head, "payload": payload}
    elif code == 1006:
        yield Closed, {"conn": number, "side": side, "how": "reset"}


def _content(entry: Mapping[str, Any]) -> bytes:
    if "text" in entry:
        return str(entry["text"]).encode("utf-8", "surrogateescape")
    return bytes.fromhex(entry.get("head_hex", ""))
