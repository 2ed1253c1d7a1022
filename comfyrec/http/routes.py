"""The routes of a ComfyUI server: the one table of which there are, since when, and below what.

protocol.md, sections 1 and 6 to 11. Custom nodes add others, which cannot be listed here.
"""

from __future__ import annotations

from typing import Final

import msgspec

from comfyrec.http.request import Target

__all__ = [
    "FIRST_SEGMENTS",
    "ROUTES",
    "STATIC_FOLDERS",
    "Route",
    "is_announced",
    "is_question",
    "shows_state",
]


class Route(msgspec.Struct, frozen=True):
    """One route: in ``path``, ``{name}`` stands for one segment, ``{name:uuid}`` for one that is a
    UUID, and ``{name*}`` for all the rest."""

    method: str
    path: str
    """Without ``/api`` in front."""
    since: str | None = None
    """The fact of a version (``comfyrec.versions``) that brought it; None: it was always there."""
    api: bool | None = None
    """True: only below ``/api``. False: never there. None: with and without."""
    shows_state: bool = False
    """Its answer says how prompts stand: clients ask it when they hear nothing."""
    announced: bool = False
    """A request that changes something here makes the server send frames about just that."""

    @property
    def first_segment(self) -> str:
        """What it has in common with the other routes of its family."""
        return self.path.split("/")[1]


_ASSETS: Final = {
    "asset_lists": ("GET /assets", "GET /assets/{id:uuid}", "GET /tags"),
    "asset_changes": (
        "POST /assets", "POST /assets/from-hash", "HEAD /assets/hash/{hash}", "POST /assets/seed",
        "PUT /assets/{id:uuid}", "DELETE /assets/{id:uuid}", "GET /assets/{id:uuid}/content",
        "POST /assets/{id:uuid}/tags", "DELETE /assets/{id:uuid}/tags",
    ),
    "assets_events": ("GET /assets/seed/status", "POST /assets/seed/cancel", "POST /assets/prune"),
    "asset_refine": ("GET /assets/tags/refine",),
    "asset_export": ("POST /assets/export", "GET /assets/exports/{name}", "GET /tasks/{id:uuid}"),
}  # fmt: skip
"""By the fact that brought them."""

ROUTES: Final = (
    Route("GET", "/ws"),
    Route("GET", "/"),
    # the worker
    Route("GET", "/prompt", shows_state=True),
    Route("POST", "/prompt"),
    Route("GET", "/queue", shows_state=True),
    Route("POST", "/queue"),
    Route("GET", "/history", shows_state=True),
    Route("GET", "/history/{prompt_id}", shows_state=True),
    Route("POST", "/history"),
    Route("POST", "/interrupt"),
    Route("POST", "/free"),
    Route("GET", "/jobs", "jobs", api=True, shows_state=True),
    Route("GET", "/jobs/{job_id}", "jobs", api=True, shows_state=True),
    Route("POST", "/jobs/{job_id}/cancel", "job_cancel", api=True),
    Route("POST", "/jobs/cancel", "job_cancel", api=True),
    Route("GET", "/node_replacements", "node_replacement"),
    # files
    Route("GET", "/view"),
    Route("GET", "/view_metadata/{folder}"),
    Route("POST", "/upload/image"),
    Route("POST", "/upload/mask"),
    # what there is
    Route("GET", "/object_info"),
    Route("GET", "/object_info/{class_type}"),
    Route("GET", "/embeddings"),
    Route("GET", "/models", "internal_routes"),
    Route("GET", "/models/{folder}", "internal_routes"),
    Route("GET", "/experiment/models", "internal_routes"),
    Route("GET", "/experiment/models/{folder}", "internal_routes"),
    Route("GET", "/experiment/models/preview/{folder}/{index}/{file*}", "internal_routes"),
    Route("GET", "/extensions"),
    Route("GET", "/system_stats"),
    Route("GET", "/features", "progress_state"),
    Route("GET", "/i18n", "i18n"),
    Route("GET", "/workflow_templates", "workflow_templates"),
    Route("GET", "/global_subgraphs", "global_subgraphs"),
    Route("GET", "/global_subgraphs/{subgraph_id}", "global_subgraphs"),
    # users
    Route("GET", "/users"),
    Route("POST", "/users"),
    Route("GET", "/settings"),
    Route("POST", "/settings"),
    Route("GET", "/settings/{setting}"),
    Route("POST", "/settings/{setting}"),
    Route("GET", "/userdata"),
    Route("GET", "/v2/userdata", "v2_userdata"),
    Route("GET", "/userdata/{file}"),
    Route("POST", "/userdata/{file}"),
    Route("DELETE", "/userdata/{file}"),
    Route("POST", "/userdata/{file}/move/{destination}"),
    *(
        Route(method, path, fact, api=True, announced=True)
        for fact, routes in _ASSETS.items()
        for method, path in map(str.split, routes)
    ),
    Route("GET", "/templates/{path*}", "template_routes", api=False),
    # an application of its own: no /api, and no static files behind it
    Route("GET", "/internal/logs", "internal_routes", api=False),
    Route("GET", "/internal/logs/raw", "internal_routes", api=False),
    Route("PATCH", "/internal/logs/subscribe", "internal_routes", api=False, announced=True),
    Route("GET", "/internal/folder_paths", "internal_routes", api=False),
    Route("GET", "/internal/files/{directory}", "internal_files", api=False),
)

STATIC_FOLDERS: Final = frozenset(
    ("assets", "cursor", "docs", "extensions", "fonts", "lib", "scripts", "templates")
)
"""First segments of the files of the web frontend, and of the packages that it loads."""

FIRST_SEGMENTS: Final = frozenset(route.first_segment for route in ROUTES) - {""}
"""First segments of ComfyUI's own routes, ``/api`` left out."""

_ANNOUNCED: Final = frozenset(route.first_segment for route in ROUTES if route.announced)
_STATE: Final = tuple(
    (route.path.split("/")[1:], route.api) for route in ROUTES if route.shows_state
)


def is_announced(target: Target) -> bool:
    """Whether frames may tell of a change that is asked for here: those of custom nodes' routes,
    and of the few of ComfyUI that do so."""
    first = target.first_segment
    return first not in FIRST_SEGMENTS or first in _ANNOUNCED


def shows_state(method: str, target: Target) -> bool:
    """Whether the answer says how prompts stand: history, queue, jobs."""
    return method == "GET" and any(
        len(pattern) == len(target.segments)
        and pattern[0] == target.first_segment
        and (target.prefixed or api is not True)
        for pattern, api in _STATE
    )


_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
# The task interface asks for everything by POST, for what came of a task as well.
_ASKED_BY_POST: Final = frozenset(("task_result_query",))


def is_question(method: str, path: str) -> bool:
    """Whether a request changes nothing on the server."""
    return method in _SAFE_METHODS or (
        method == "POST" and path.rpartition("/")[2] in _ASKED_BY_POST
    )
