"""version -> Era: what each ComfyUI generation does, as a table of first releases.

protocol.md, section 12: a fact belongs to every release from the one that brought it on. So one
table of first releases answers for any version, also for those nobody has recorded. No other module
compares versions; it asks an era for a fact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from comfyrec.errors import UsageError
from comfyrec.wording import did_you_mean

__all__ = [
    "DEFAULT_VERSION",
    "ERAS",
    "FACTS",
    "FIRST_RELEASE",
    "NEWEST_KNOWN",
    "RECORDED",
    "Era",
    "Fact",
    "era_of",
    "eras_between",
    "generation_of",
    "is_beyond_known",
    "oldest_with",
]

DEFAULT_VERSION: Final = "0.33.0"


class Fact(msgspec.Struct, frozen=True):
    """One thing that a client can see of a server, and since when."""

    name: str
    first: tuple[int, int, int]
    """The first release that has it, read in upstream's history."""
    says: str
    """One line for a person."""
    seen: bool = True
    """It was captured from a real server; False: it was only read."""


# In the order of their first releases. Facts of 0.27.0 and 0.33.0 that nobody looked for in the
# releases between the recorded generations may be older than they seem.
FACTS: Final[tuple[Fact, ...]] = (
    # Every known release has these; servers that only resemble ComfyUI may not.
    Fact("null_executing", (0, 0, 0), "the last frame of a prompt is executing with a null node"),
    Fact("sid_in_status", (0, 0, 0), "the first status on a socket has the client's id as sid"),
    Fact("success_event", (0, 0, 3), "execution_success is sent, and events have timestamps"),
    Fact(
        "display_node",
        (0, 1, 0),
        "display_node in frames, meta in the history, executed for cached outputs",
    ),
    Fact(
        "long_mismatch",
        (0, 1, 0),
        "type mismatches are told as received_type(A) mismatch input_type(B)",
    ),
    Fact("origin_guard", (0, 2, 3), "an Origin other than a loopback Host is refused with 403"),
    Fact("options_everywhere", (0, 3, 0), "OPTIONS answers 200 on any path"),
    Fact("internal_routes", (0, 3, 0), "logs frames, /internal/* and /models"),
    Fact("value_wrapper", (0, 3, 27), '{"__value__": ...} stands for a literal'),
    Fact(
        "error_objects",
        (0, 3, 28),
        "no_prompt and the like are objects, node_errors is an object",
    ),
    Fact("text_frames", (0, 3, 34), "binary frames of type 3 carry text"),
    Fact(
        "frontend_routes",
        (0, 3, 40),
        "/i18n, /workflow_templates, /v2/userdata and /internal/files",
    ),
    Fact("error_tips", (0, 3, 42), "exception_message ends with a line feed and a tip"),
    Fact(
        "progress_state",
        (0, 3, 45),
        "progress_state, feature flags, /features and binary frames of type 4",
    ),
    Fact("client_prompt_id", (0, 3, 45), "a client may choose the prompt id"),
    Fact("partial_targets", (0, 3, 48), "partial_execution_targets chooses the outputs to run"),
    Fact("targeted_interrupt", (0, 3, 57), "POST /interrupt takes a prompt_id"),
    Fact("history_offset", (0, 3, 60), "GET /history takes an offset"),
    Fact("previews_indented", (0, 3, 65), "PreviewAny writes lists and objects over several lines"),
    Fact("global_subgraphs", (0, 3, 67), "/global_subgraphs"),
    Fact(
        "lazy_unlinked",
        (0, 3, 67),
        "a lazy node does not see cached inputs before it asks for them",
    ),
    Fact(
        "cached_needs_client",
        (0, 3, 68),
        "the history of cached outputs is empty without a client_id",
    ),
    Fact("expand_again", (0, 3, 68), "an expansion may bring ids that are there already"),
    Fact("create_time", (0, 3, 69), "extra_data has create_time"),
    Fact("template_routes", (0, 3, 71), "/templates is a route, not a folder"),
    Fact(
        "user_errors",
        (0, 3, 76),
        "400 for names that no user can have, 403 for moves to outside",
    ),
    Fact("mask_preview_animated", (0, 3, 77), 'MaskPreview shows "animated"'),
    Fact("cors_patch", (0, 4, 0), "PATCH is among the methods of CORS"),
    Fact(
        "preview_method",
        (0, 5, 0),
        "extra_data.preview_method chooses the previews of one prompt",
    ),
    Fact("jobs", (0, 6, 0), "/api/jobs"),
    Fact("stills_unsaid", (0, 7, 0), 'a moving picture of one frame is saved without "animated"'),
    Fact("manager_flag", (0, 8, 0), "extension.manager is among the server's feature flags"),
    Fact("job_cancelled", (0, 9, 0), "jobs have the status cancelled; failed before"),
    Fact("throttle", (0, 9, 2), "progress is sent at most every 100 ms and 0.5 percent"),
    Fact(
        "missing_node_type",
        (0, 12, 0),
        "an unknown class is refused as missing_node_type; invalid_prompt before",
    ),
    Fact(
        "node_replacement",
        (0, 14, 0),
        "retired classes are replaced, /node_replacements lists them",
    ),
    Fact("assets_events", (0, 17, 0), "assets.seed.* frames, with assets on"),
    Fact("model_types", (0, 17, 0), "model files and YAML have media types"),
    Fact("no_store", (0, 18, 0), "scripts and indexes are sent with no-store; no-cache before"),
    Fact("intermediate_outputs", (0, 19, 0), "nodes with intermediate outputs send executed"),
    Fact("fetch_site_guard", (0, 19, 0), "Sec-Fetch-Site: cross-site is refused with 403"),
    Fact("cycle_check", (0, 20, 0), "dependency cycles are refused before the run"),
    Fact("marked_files", (0, 20, 0), '/internal/files lists "a.png [output]"'),
    Fact("counts_before_the_dot", (0, 21, 0), "a_00001.txt counts as number 1 of a"),
    Fact("reprs_in_lists", (0, 21, 0), "value_not_in_list writes the value as repr"),
    Fact("ram_cache", (0, 23, 0), "results are kept as memory allows; one prompt long before"),
    Fact("audio_bare_numbers", (0, 25, 0), "audio is saved as a_00001.flac; a_00001_.flac before"),
    Fact("uuid_prompt_ids", (0, 25, 0), "a prompt id that is not a UUID is refused"),
    Fact(
        "usage_source",
        (0, 25, 0),
        "the header Comfy-Usage-Source is kept; deploy_environment in /system_stats",
    ),
    Fact("job_cancel", (0, 26, 0), "POST /api/jobs/{id}/cancel"),
    Fact(
        "model_type_tags",
        (0, 27, 0),
        "supports_model_type_tags is among the server's feature flags",
    ),
    Fact(
        "asset_flags",
        (0, 27, 0),
        "node_replacements and assets are among the server's feature flags",
    ),
    Fact(
        "view_nosniff",
        (0, 27, 0),
        "/view sends nosniff and stricter types; console lines have levels",
    ),
    Fact("preview_checks", (0, 27, 0), "/experiment/models/preview checks what is asked for"),
    Fact("userdata_milliseconds", (0, 27, 0), "times of user files are whole milliseconds"),
    Fact(
        "cached_history_again",
        (0, 28, 0),
        "the history of cached outputs is filled without a client_id again",
    ),
    Fact(
        "view_no_store",
        (0, 30, 0),
        "/view of files that might run: no-store, Vary, SVG inline as an image",
    ),
    Fact("user_css", (0, 30, 0), "/userdata/user.css is text/css, inline", seen=False),
    Fact(
        "text_ranks_last",
        (0, 30, 0),
        "texts come after pictures as the preview of a job",
        seen=False,
    ),
    Fact("previewable_count", (0, 32, 0), "jobs have previewable_outputs_count"),
    Fact("datasets_folder", (0, 33, 0), "there is a model folder datasets"),
    Fact("newer_packages", (0, 33, 0), "/system_stats names the packages of 0.33.0"),
    Fact(
        "previews_unescaped",
        (0, 33, 0),
        "PreviewAny writes letters outside ASCII as they are",
        seen=False,
    ),
    Fact("activity", (0, 38, 0), "progress_state entries may have an activity", seen=False),
    Fact(
        "asset_per_prompt",
        (0, 38, 0),
        "with assets on, each prompt that shows a file makes a new asset of it",
        seen=False,
    ),
    Fact("emitted_once", (0, 38, 0), "a cached node is shown once for each prompt", seen=False),
    Fact(
        "job_workflow_always",
        (0, 38, 0),
        "a single job has its workflow while it waits or runs",
        seen=False,
    ),
    Fact(
        "workflow_metadata",
        (0, 40, 0),
        "POST /prompt takes workflow_metadata, and the frames of the prompt carry it",
        seen=False,
    ),
    Fact("asset_export", (0, 40, 0), "POST /api/assets/export makes a zip of assets", seen=False),
    Fact("assets_on", (0, 41, 0), "assets are on by default, and files have ids", seen=False),
    Fact(
        "assets_reworked",
        (0, 41, 0),
        "assets lose asset_hash, is_immutable and metadata_filter; the tag missing is the system's",
        seen=False,
    ),
)
FIRST_RELEASE: Final = {fact.name: fact.first for fact in FACTS}
"""Fact -> the first release that has it."""


class Era(msgspec.Struct, frozen=True):
    """What servers of one version do. ``era.has(fact)`` asks for a row of ``FIRST_RELEASE``."""

    version: str
    release: tuple[int, int, int]
    facts: frozenset[str]

    def switched(self, fact: str, *, on: bool) -> Era:
        """The same era with one fact more or less.

        Raises:
            UsageError: there is no such fact; the nearest is named.
        """
        if fact not in FIRST_RELEASE:
            raise UsageError(
                f"there is no fact {fact!r} of ComfyUI versions; "
                f"{did_you_mean(fact, FIRST_RELEASE, otherwise=_LISTED)}"
            )
        facts = self.facts | {fact} if on else self.facts - {fact}
        return msgspec.structs.replace(self, facts=facts)

    def has(self, fact: str) -> bool:
        """Whether this era has that fact; ``AssertionError`` for a name that is not a fact."""
        assert fact in FIRST_RELEASE, f"no fact of an era: {fact}"
        return fact in self.facts

    @property
    def server_flags(self) -> dict[str, object]:
        """The server's feature flags, without ``max_upload_size`` (protocol.md, section 3)."""
        flags: dict[str, object] = {"supports_preview_metadata": True}
        if self.has("model_type_tags"):
            flags["supports_model_type_tags"] = True
        if self.has("manager_flag"):
            flags["extension"] = {"manager": {"supports_v4": True}}
        if self.has("asset_flags"):
            flags["node_replacements"] = True
            flags["assets"] = self.has("assets_on")
        return flags


NEWEST_KNOWN: Final = "0.46.0"
"""The newest release that anything is known of, by its release notes."""
_LISTED: Final = "'comfyrec serve --comfyui-version list' lists them"
RECORDED: Final = ("2024-07", "0.3.10", "0.3.40", "0.3.64", "0.8.2", "0.27.0", "0.33.0")
"""The generations that were recorded from real servers."""
ERAS: Final = (*RECORDED, "0.38.0", "0.40.0", "0.41.0")
"""The recorded generations, and those that were only read."""


@lru_cache(maxsize=64)
def era_of(version: str = DEFAULT_VERSION) -> Era:
    """The era of a version: ``0.27.0``, ``v0.3.64``, ``0.8`` (its latest) or ``2024-07``.

    Raises:
        UsageError: it is not a version of ComfyUI.
    """
    version = version.lower().removeprefix("v")
    release = _release(version)
    facts = frozenset(fact.name for fact in FACTS if fact.first <= release)
    return Era(version=version, release=release, facts=facts)


@lru_cache(maxsize=256)  # asked anew for each fresh server
def _release(version: str) -> tuple[int, int, int]:
    if re.fullmatch(r"2024(-0[1-7])?(-\d\d)?", version):
        return (0, 0, 0)
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+a-z].*)?", version)
    if match is None:
        raise UsageError(
            f"comfyui version {version!r} is not a version: give one like 0.27.0 or 2024-07 "
            f"(recorded generations: {', '.join(RECORDED)})"
        )
    major, minor, patch = match.groups()
    # '0.3' alone means its last patch, as people say it.
    return (int(major), int(minor), int(patch) if patch is not None else 9_999)


def is_beyond_known(era: Era) -> bool:
    """Whether an era is newer than the newest release that anything is known of."""
    return era.release > _release(NEWEST_KNOWN) and era.release[:2] != _release(NEWEST_KNOWN)[:2]


def eras_between(first: Era, last: Era) -> tuple[Era, ...]:
    """The way from one era to another: both, and one for each release between that changed facts.

    It runs from newer to older ones where ``first`` is the newer one. Where an era has facts
    switched, those of its version as it was released come next to it.
    """
    low, high = sorted((first.release, last.release))
    releases = sorted({fact.first for fact in FACTS if low < fact.first < high})
    between = [era_of(".".join(map(str, release))) for release in releases]
    if first.release > last.release:
        between.reverse()
    way = [first, era_of(first.version), *between, era_of(last.version), last]
    return tuple(era for at, era in enumerate(way) if at == 0 or era.facts != way[at - 1].facts)


def oldest_with(fact: str) -> str:
    """The oldest of ``ERAS`` that has a fact of ``FIRST_RELEASE``."""
    return next(version for version in ERAS if era_of(version).has(fact))


def generation_of(era: Era, versions: Iterable[str]) -> str:
    """The newest of some versions that is not newer than an era; the oldest if all are."""
    there = sorted(versions, key=_release)
    older = [one for one in there if _release(one) <= era.release]
    return older[-1] if older else there[0]
