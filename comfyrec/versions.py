"""version -> Era: what each ComfyUI generation does, as a table of first releases.

PROTOCOL.md, section 12: a fact belongs to every release from the one that brought it on. So one
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

__all__ = [
    "DEFAULT_VERSION",
    "ERAS",
    "FIRST_RELEASE",
    "Era",
    "era_of",
    "generation_of",
    "oldest_with",
]

DEFAULT_VERSION: Final = "0.27.0"

# fact -> the first release that has it.
FIRST_RELEASE: Final[dict[str, tuple[int, int, int]]] = {
    "success_event": (0, 0, 3),  # execution_success, and timestamps in the other events
    "display_node": (0, 1, 0),  # display_node, history meta, executed for cached outputs
    "long_mismatch": (0, 1, 0),  # received_type(A) mismatch input_type(B); A != B before
    "origin_guard": (0, 2, 3),
    "options_everywhere": (0, 3, 0),  # OPTIONS answers 200 on any path
    "internal_routes": (0, 3, 0),  # logs frames, /internal/*, /models
    "value_wrapper": (0, 3, 27),  # {"__value__": ...}
    "error_objects": (0, 3, 28),  # no_prompt and its like as objects, node_errors as {}
    "text_frames": (0, 3, 34),
    "frontend_routes": (0, 3, 40),  # /i18n, /workflow_templates, /v2/userdata, /internal/files
    "error_tips": (0, 3, 42),  # the newline and the tip behind exception_message
    "progress_state": (0, 3, 45),  # and feature flags, binary type 4, /features
    "client_prompt_id": (0, 3, 45),  # any string, until uuid_prompt_ids
    "partial_targets": (0, 3, 48),
    "targeted_interrupt": (0, 3, 57),
    "history_offset": (0, 3, 60),
    "previews_indented": (0, 3, 65),  # PreviewAny writes lists and objects over several lines
    "global_subgraphs": (0, 3, 67),
    "lazy_unlinked": (0, 3, 67),  # a lazy node does not see cached inputs before it asks for them
    "cached_needs_client": (0, 3, 68),  # history of cached outputs is empty without a client_id
    "expand_again": (0, 3, 68),  # an expansion may bring ids that are there already
    "create_time": (0, 3, 69),
    "template_routes": (0, 3, 71),  # /templates asks a route, no folder
    "user_errors": (0, 3, 76),  # 400 for names no user can have, 403 for moves to outside
    "mask_preview_animated": (0, 3, 77),  # MaskPreview is written against the newer interface
    "cors_patch": (0, 4, 0),
    "preview_method": (0, 5, 0),
    "jobs": (0, 6, 0),
    "stills_unsaid": (0, 7, 0),  # a moving picture of one frame is saved without "animated"
    "manager_flag": (0, 8, 0),  # extension.manager among the server's feature flags
    "job_cancelled": (0, 9, 0),  # the status cancelled; failed before
    "throttle": (0, 9, 2),
    "missing_node_type": (0, 12, 0),  # invalid_prompt before
    "node_replacement": (0, 14, 0),
    "assets_events": (0, 17, 0),
    "model_types": (0, 17, 0),  # media types of model files and YAML
    "no_store": (0, 18, 0),  # of scripts and indexes; no-cache before
    "intermediate_outputs": (0, 19, 0),
    "fetch_site_guard": (0, 19, 0),
    "cycle_check": (0, 20, 0),
    "marked_files": (0, 20, 0),  # "a.png [output]" in the list of /internal/files
    "counts_before_the_dot": (0, 21, 0),  # a_00001.txt counts as number 1 of a
    "reprs_in_lists": (0, 21, 0),  # value_not_in_list writes the value as repr
    "ram_cache": (0, 23, 0),  # the default; classic before
    "audio_bare_numbers": (0, 25, 0),  # a_00001.flac; a_00001_.flac before
    "uuid_prompt_ids": (0, 25, 0),
    "usage_source": (0, 25, 0),
    "job_cancel": (0, 26, 0),
    "model_type_tags": (0, 27, 0),  # among the server's feature flags
    "asset_flags": (0, 27, 0),  # node_replacements and assets, among the same
    # Recorded at 0.27.0 and not at 0.8.2; nobody has looked between.
    "view_nosniff": (0, 27, 0),  # and stricter headers of files, level marks in the console
    "preview_checks": (0, 27, 0),  # of what is asked of /experiment/models/preview
    "userdata_milliseconds": (0, 27, 0),  # times of user files as whole milliseconds
    "cached_history_again": (0, 28, 0),  # history of cached outputs is filled without a client_id
    "view_no_store": (0, 30, 0),  # files that might run: no-store, Vary, SVG inline as an image
    "user_css": (0, 30, 0),  # read: /userdata/user.css is text/css, inline
    "text_ranks_last": (0, 30, 0),  # read: texts come after pictures as the preview of a job
    "previewable_count": (0, 32, 0),  # previewable_outputs_count in every job
    # Seen at 0.33.0, and not at 0.27.0; nobody has looked between.
    "datasets_folder": (0, 33, 0),  # among the model folders
    "newer_packages": (0, 33, 0),  # the versions in /system_stats
    "previews_unescaped": (0, 33, 0),  # read: PreviewAny writes letters outside ASCII as they are
    # About 0.38, read and not run.
    "activity": (0, 38, 0),
    "assets_on": (0, 38, 0),
    "emitted_once": (0, 38, 0),
    "job_workflow_always": (0, 38, 0),
}

_FACTS: Final = tuple(FIRST_RELEASE)


class Era(msgspec.Struct, frozen=True):
    """What servers of one version do. ``era.has(fact)`` asks for a row of ``FIRST_RELEASE``."""

    version: str
    release: tuple[int, int, int]
    facts: frozenset[str]

    def has(self, fact: str) -> bool:
        """Whether this era has that fact; ``AssertionError`` for a name that is no fact."""
        assert fact in FIRST_RELEASE, f"no fact of an era: {fact}"
        return fact in self.facts

    @property
    def server_flags(self) -> dict[str, object]:
        """The server's feature flags, without ``max_upload_size`` (PROTOCOL.md, section 3)."""
        flags: dict[str, object] = {"supports_preview_metadata": True}
        if self.has("model_type_tags"):
            flags["supports_model_type_tags"] = True
        if self.has("manager_flag"):
            flags["extension"] = {"manager": {"supports_v4": True}}
        if self.has("asset_flags"):
            flags["node_replacements"] = True
            flags["assets"] = self.has("assets_on")
        return flags


# The generations that were recorded, and the one that was read.
ERAS: Final = ("2024-07", "0.3.10", "0.3.40", "0.3.64", "0.8.2", "0.27.0", "0.33.0", "0.38.0")


@lru_cache(maxsize=64)
def era_of(version: str = DEFAULT_VERSION) -> Era:
    """The era of a version: ``0.27.0``, ``v0.3.64``, ``0.8`` (its latest), or ``2024-07``.

    Raises:
        UsageError: it is no version of ComfyUI.
    """
    release = _release(version)
    facts = frozenset(fact for fact in _FACTS if FIRST_RELEASE[fact] <= release)
    return Era(version=version.removeprefix("v"), release=release, facts=facts)


def _release(version: str) -> tuple[int, int, int]:
    if re.fullmatch(r"2024(-0[1-7])?(-\d\d)?", version):
        return (0, 0, 0)
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+a-z].*)?", version)
    if match is None:
        raise UsageError(
            f"comfyui version {version!r} is not a version: give one like 0.27.0 or 2024-07 "
            f"(recorded generations: {', '.join(ERAS)})"
        )
    major, minor, patch = match.groups()
    # '0.3' alone means its last patch, as people say it.
    return (int(major), int(minor), int(patch) if patch is not None else 9_999)


def oldest_with(fact: str) -> str:
    """The oldest recorded generation that has a fact of ``FIRST_RELEASE``."""
    return next(version for version in ERAS if era_of(version).has(fact))


def generation_of(era: Era, versions: Iterable[str]) -> str:
    """The newest of some versions that is not newer than an era; the oldest if all are."""
    there = sorted(versions, key=_release)
    older = [one for one in there if _release(one) <= era.release]
    return older[-1] if older else there[0]
