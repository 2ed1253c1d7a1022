"""timeline -> what its answers and frames say about prompts, files and the server, as a whole.

The store from which questions are answered that nobody asked while recording.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from comfyrec.events.outputs import all_files_in
from comfyrec.http.request import loads_or_none
from comfyrec.timeline import Exchange, RecordedPrompt, Timeline
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.prompts import history_entries, is_terminal
from comfyrec.versions import Era
from fake_server.replay.live.live_state import LivePrompt
from fake_server.replay.live.uploads import File
from fake_server.replay.recorded.id_mapping import RecordedIds
from fake_server.replay.recorded.node_classes import NodeClasses, node_classes_of

__all__ = ["RecordedFacts"]


class RecordedFacts:
    """What a recording knows, whenever it came to know it.

    Args:
        timeline: the recording.
        recorded_ids: its ids.
        era: its generation of servers.
    """

    def __init__(self, timeline: Timeline, recorded_ids: RecordedIds, era: Era) -> None:
        self._timeline, self._recorded_ids, self._era = timeline, recorded_ids, era

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        return dict(history_entries(self._timeline.exchanges))

    @cached_property
    def _items(self) -> dict[str, list[Any]]:
        return {item[1]: item for item in _queue_items(self._timeline.exchanges)}

    @cached_property
    def files(self) -> dict[str, File]:
        """Name -> a file that was viewed whole."""
        return dict(_files(self._timeline.exchanges))

    @cached_property
    def file_names(self) -> frozenset[str]:
        """Every file that a prompt announced."""
        return frozenset(_file_names(self._timeline.prompts))

    def json_at(self, path: str) -> Any:
        """The last JSON that a recorded GET of that path answered, None if there is none."""
        found = None
        for exchange in self._timeline.exchanges:
            if exchange.method == "GET" and exchange.path == path and exchange.status == 200:
                found = exchange.response_json if exchange.response_json is not None else found
        return found

    def flags(self) -> dict[str, Any]:
        """The server's feature flags: as recorded, else as its era has them."""
        for socket in self._timeline.sockets:
            for message in socket.messages:
                if message.peek.type == "feature_flags":
                    flags = data_of(message.data)
                    if isinstance(flags, dict):
                        return flags
        return {**self._era.server_flags, "max_upload_size": 104_857_600}

    @cached_property
    def node_classes(self) -> NodeClasses:
        """The node classes of the recorded server."""
        return node_classes_of(self._timeline, self._era)

    # --- one prompt ----------------------------------------------------------------------------

    def item(self, live: LivePrompt) -> list[Any]:
        """[number, prompt_id, prompt, extra_data, outputs_to_execute], as /queue shows it."""
        recorded = self._items.get(live.prompt.prompt_id)
        if recorded is None and (entry := self._entries.get(live.prompt.prompt_id)):
            recorded = entry.get("prompt")
        if isinstance(recorded, list) and len(recorded) >= 5:
            extra, outputs = recorded[3], recorded[4]
        else:
            extra, outputs = live.prompt.extra_data, list(_sinks(live.prompt.graph))
        if live.rewriter is not None:
            outputs = live.rewriter.value(outputs, "nodes")
        return [
            live.number,
            live.live_id,
            live.graph,
            self.extra_data(live, extra if isinstance(extra, dict) else {}),
            outputs,
        ]

    def extra_data(self, live: LivePrompt, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """What the live client sent along, with what the recorded server added to it."""
        own = live.body.get("extra_data")
        own = own if isinstance(own, dict) else {}
        extra = {**own} if live.body else {**recorded}
        for name in ("client_id", "create_time"):
            if name in recorded:
                extra[name] = recorded[name]
        if live.client is not None:
            extra["client_id"] = live.client
        return extra

    def entry(self, live: LivePrompt) -> dict[str, Any]:
        """The history entry of a finished prompt."""
        recorded = self._entries.get(live.prompt.prompt_id)
        entry = self._renamed(live, recorded) if recorded else self._from_frames(live)
        if live.rewriter is not None:
            entry = live.rewriter.value(entry)
        entry["prompt"] = self.item(live)
        if live.interrupted is not None:
            self._cut_short(live, entry)
        return entry

    def _renamed(self, live: LivePrompt, recorded: Mapping[str, Any]) -> dict[str, Any]:
        text = json.dumps(recorded)
        ids = {live.prompt.prompt_id: live.live_id}
        entry: dict[str, Any] = loads_or_none(
            self._recorded_ids.renamed(text, lambda i: ids.get(i, i))
        )
        return entry

    def _from_frames(self, live: LivePrompt) -> dict[str, Any]:
        prompt = live.prompt
        good = prompt.outcome in ("success", "")
        entry: dict[str, Any] = {
            "prompt": [],
            "outputs": {**prompt.outputs},
            "status": {
                "status_str": "success" if good else "error",
                "completed": good,
                "messages": list(self._messages(live)),
            },
        }
        if self._era.has("display_node"):
            entry["meta"] = {node: _meta(node) for node in prompt.outputs}
        return entry

    def _messages(self, live: LivePrompt) -> Iterator[list[Any]]:
        said = set()
        for socket, part in live.prompt.frames:
            message = self._timeline.sockets[socket].messages[part]
            kind = message.peek.type
            if kind in said or not (kind in _IN_HISTORY or is_terminal(message)):
                continue
            said.add(kind)
            data = data_of(message.data)
            yield [kind, {**data, "prompt_id": live.live_id} if isinstance(data, dict) else data]

    def _cut_short(self, live: LivePrompt, entry: dict[str, Any]) -> None:
        done = set(live.done)
        messages = [m for m in entry["status"]["messages"] if m[0] in _IN_HISTORY]
        messages.append(["execution_interrupted", live.interrupted])
        entry["status"] = {"status_str": "error", "completed": False, "messages": messages}
        for part in ("outputs", "meta"):
            if isinstance(entry.get(part), dict):
                entry[part] = {node: v for node, v in entry[part].items() if node in done}


_IN_HISTORY: Final = ("execution_start", "execution_cached")


def _meta(node: str) -> dict[str, Any]:
    return {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}


def _sinks(graph: Mapping[str, Any]) -> Iterator[str]:
    """The nodes that nothing is made from: in a prompt that was accepted, its outputs."""
    nodes = [node for node in graph.values() if isinstance(node, dict)]
    inputs = [v for n in nodes if isinstance(n.get("inputs"), dict) for v in n["inputs"].values()]
    used = {str(v[0]) for v in inputs if isinstance(v, list) and len(v) == 2}
    return (node_id for node_id in graph if node_id not in used)


def _queue_items(exchanges: tuple[Exchange, ...]) -> Iterator[list[Any]]:
    asked = (e for e in exchanges if e.method == "GET" and e.path == "/queue")
    for exchange in asked:
        answer = exchange.response_json
        for items in answer.values() if isinstance(answer, dict) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, list) and len(item) >= 5 and isinstance(item[1], str):
                    yield item


def _files(exchanges: tuple[Exchange, ...]) -> Iterator[tuple[str, File]]:
    """Whole files by name; a preview of one, or a part, is none."""
    for exchange in exchanges:
        query = dict(exchange.query)
        if exchange.method != "GET" or exchange.path != "/view" or exchange.status != 200:
            continue
        response = exchange.response
        if response is None or response.omitted_bytes or {"preview", "channel"} & query.keys():
            continue
        if name := query.get("filename"):
            kind = response.header("Content-Type", "application/octet-stream")
            yield name, File(response.body, kind, response.stored)


def _file_names(prompts: tuple[RecordedPrompt, ...]) -> Iterator[str]:
    """Every file that a prompt announced."""
    for prompt in prompts:
        yield from (file.filename for file in all_files_in(prompt.outputs))
