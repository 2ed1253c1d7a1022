"""A replay with ComfyUI's own web page: what the page asks for, and the recording does not have.

The recording decides what happened: prompts, queue, history, files, node classes. The page's own
affairs (its files, settings, user data, lists of models) are answered as a simulated server does,
unless they were recorded. The page's files are recorded all or not at all: those of two releases do
not go together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from comfyrec.timeline import Timeline
from fake_server.options import ServerOptions
from fake_server.replay.player import Player
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Action, Happened, Request, RequestReceived, Wrapper
from fake_server.storage.memory import StoredFile

__all__ = ["PageOverReplay"]

_OF_THE_REPLAY: Final = frozenset(
    {
        "features", "free", "history", "interrupt", "jobs", "object_info", "prompt", "queue",
        "system_stats", "upload", "view", "ws",
    }
)  # fmt: skip
"""Routes whose answers follow from a recording."""
_CHANGED_BY_THE_PAGE: Final = frozenset({"settings", "userdata", "users"})
_SCRIPT: Final = "extensions/comfyrec/recorded.js"
_PROMPTS: Final = "extensions/comfyrec/recorded.json"
_OPENS_A_PROMPT: Final = b"""\
// Opens a recorded prompt as a workflow: the first one, or that of ?recorded=N.
import { app } from "/scripts/app.js";

const PATIENCE_MS = 20000, STEP_MS = 200;

async function open() {
  const recorded = await (await fetch("/extensions/comfyrec/recorded.json")).json();
  const number = Number(new URLSearchParams(location.search).get("recorded") ?? 1);
  const one = recorded[number - 1];
  if (!one) return;
  const name = `recorded ${number} of ${recorded.length}`;
  if (one.workflow) await app.loadGraphData(one.workflow, true, true, name);
  else await app.loadApiJson(one.prompt, name);
}

app.registerExtension({
  name: "comfyrec.recorded",
  // The page opens its own workflow after this; ours comes once that has settled.
  async setup() {
    let before = null, same = 0, waited = 0;
    const look = setInterval(() => {
      waited += STEP_MS;
      const now = app.graph;
      same = now && now === before ? same + 1 : 0;
      before = now;
      if (same < 6 && waited < PATIENCE_MS) return;
      clearInterval(look);
      open();
    }, STEP_MS);
  },
});
"""


class PageOverReplay(Wrapper):
    """A replay, and beside it a server for what is the page's own affair.

    Args:
        player: replays the recording.
        options: with a ``frontend``; the recording says what nodes there are.
    """

    def __init__(self, player: Player, options: ServerOptions) -> None:
        super().__init__(player)
        assert options.frontend is not None
        frontend, script = _with_recorded_prompts(options.frontend, player.timeline)
        scripts = (*(options.extension_scripts or ()), script)
        self._page = SimulatedServer(replace(options, frontend=frontend, extension_scripts=scripts))
        asked = {(one.method, _path(one.asked)) for one in player.timeline.exchanges}
        if not any(path.startswith("/assets/") and path.endswith(".js") for _, path in asked):
            asked -= {("GET", path) for path in ("/", "/index.html")}
        self._recorded = asked

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """A request for the page goes to its server, all else to the replay."""
        if isinstance(happened, RequestReceived) and self._is_of_the_page(happened.request):
            return self._page.handle(happened, now)
        return self.inner.handle(happened, now)

    def _is_of_the_page(self, request: Request) -> bool:
        path = _path(request)
        if (request.method, path) in self._recorded:
            return False
        word = path.removeprefix("/v2").split("/")[1:2]
        route = word[0] if word else ""
        if request.method in ("GET", "HEAD"):
            return route not in _OF_THE_REPLAY
        return route in _CHANGED_BY_THE_PAGE


def _path(request: Request) -> str:
    """Without ``/api`` in front."""
    parts = request.parts
    return "/" + "/".join(parts.segments) if parts.segments else parts.path


def _with_recorded_prompts(
    frontend: Callable[[str], StoredFile | None], timeline: Timeline
) -> tuple[Callable[[str], StoredFile | None], str]:
    """The files of a frontend and a script that opens what was recorded; and the script's path."""
    prompts = [
        {"prompt": one.graph, "workflow": _workflow(one.extra_data)}
        for one in timeline.prompts
        if one.graph
    ]
    added = {
        _SCRIPT: StoredFile(_OPENS_A_PROMPT, 0),
        _PROMPTS: StoredFile(json.dumps(prompts).encode(), 0),
    }

    def found(name: str) -> StoredFile | None:
        return added.get(name) or frontend(name)

    return found, f"/{_SCRIPT}"


def _workflow(extra_data: dict[str, Any]) -> Any:
    """What the page that posted it had open, where it was the page."""
    info = extra_data.get("extra_pnginfo")
    workflow = info.get("workflow") if isinstance(info, dict) else None
    return workflow if isinstance(workflow, dict) and workflow.get("nodes") else None
