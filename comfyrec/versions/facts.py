"""The table of facts: what a client can see of a server, in which releases, and how we know.

protocol.md, section 12. A fact belongs to every release from its first to its last one, so one
table answers for any version, also for those nobody has recorded. Facts are as fine as the changes
of upstream that brought them, so that each can be switched for itself.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["FACTS", "FIRST_RELEASE", "LATEST", "Fact", "Release", "as_text", "next_release"]

Release = tuple[int, int, int]

LATEST: Final = 9_999
"""In the place of a patch: the latest of its minor release, whatever its number is."""


class Fact(msgspec.Struct, frozen=True):
    """One thing that a client can see of a server: in which releases, and how that is known."""

    name: str
    first: Release
    """The first release that has it."""
    says: str
    """One line for a person."""
    source: str
    """Where it was learned: the change of upstream, and the capture or golden that shows it."""
    last: Release | None = None
    """The last release that has it; None while it still holds."""
    seen: bool = True
    """It was captured from a real server; False: it was only read."""

    def holds_in(self, release: Release) -> bool:
        """Whether a release has it."""
        return self.first <= release and (self.last is None or release <= self.last)

    @property
    def first_text(self) -> str:
        """``0.27.0``; ``always`` where every known release has it."""
        return as_text(self.first) if any(self.first) else "always"

    @property
    def last_text(self) -> str:
        """``0.27``; empty while it holds."""
        return "" if self.last is None else as_text(self.last)

    @property
    def origin(self) -> str:
        """In which releases, and how that is known: ``since 0.6.0; upstream #11054; ...``."""
        since = f"since {self.first_text}" if any(self.first) else "always"
        until = f" and up to {self.last_text}" if self.last else ""
        return f"{since}{until}; {'' if self.seen else 'only read: '}{self.source}"


def as_text(release: Release) -> str:
    """``0.27.0``, or ``0.27`` for the latest of its patches."""
    major, minor, patch = release
    return f"{major}.{minor}" if patch == LATEST else f"{major}.{minor}.{patch}"


def next_release(release: Release) -> Release:
    """The one that may come next: of the same minor release unless that was its latest."""
    major, minor, patch = release
    return (major, minor + 1, 0) if patch == LATEST else (major, minor, patch + 1)


_READ_0_38: Final = "read in upstream files of about 0.38, which may be of a branch"

# In the order of their first releases. "captured" and "golden" are of the generations that were
# recorded; a golden is one of tests/parity. Three facts of the generation 0.27.0 came to a release
# only with 0.28.0: what was recorded is upstream's master between the two, which says 0.27.0.
# fmt: off
FACTS: Final[tuple[Fact, ...]] = (
    # Every known release has these; servers that only resemble ComfyUI may not.
    Fact("null_executing", (0, 0, 0), "the last frame of a prompt is executing with a null node",
         "upstream commit d52ed407; captured from 2024-07"),
    Fact("sid_in_status", (0, 0, 0), "the first status on a socket has the client's id as sid",
         "upstream commit 5c55c933; captured from 2024-07"),
    Fact("success_event", (0, 0, 3), "execution_success is sent, and events have timestamps",
         "upstream #4076; captured from 0.3.10"),
    Fact("display_node", (0, 1, 0),
         "display_node in frames, meta in the history, executed for cached outputs",
         "upstream #2666; captured from 0.3.10"),
    Fact("long_mismatch", (0, 1, 0),
         "type mismatches are told as received_type(A) mismatch input_type(B)",
         "upstream #2666 and #5900; captured from 0.3.10"),
    Fact("origin_guard", (0, 2, 3), "an Origin other than a loopback Host is refused with 403",
         "upstream commit 3ab3516e; captured from 0.3.10"),
    Fact("options_everywhere", (0, 3, 0), "OPTIONS answers 200 on any path",
         "upstream commit 3ab3516e; captured from 0.3.10"),
    Fact("internal_routes", (0, 3, 0), "logs frames, /internal/* and /models",
         "upstream #4690, #4846 and #5396; captured from 0.3.10"),
    Fact("workflow_templates", (0, 3, 11), "/workflow_templates",
         "upstream #6193; captured from 0.3.64, and absent in 0.3.10"),
    Fact("i18n", (0, 3, 13), "/i18n", "upstream #6558; captured from 0.3.64"),
    Fact("internal_files", (0, 3, 15), "/internal/files/{directory}",
         "upstream #6790; captured from 0.3.64"),
    Fact("value_wrapper", (0, 3, 27), '{"__value__": ...} stands for a literal',
         "upstream #7197; captured from 0.27.0"),
    Fact("error_objects", (0, 3, 28), "no_prompt and the like are objects, so is node_errors",
         "upstream #7423; captured from 0.3.64"),
    Fact("v2_userdata", (0, 3, 31), "/v2/userdata", "upstream #7817; captured from 0.3.64"),
    Fact("text_frames", (0, 3, 34), "binary frames of type 3 carry text",
         "upstream #8018; captured from 0.3.64"),
    Fact("error_tips", (0, 3, 42), "exception_message ends with a line feed and a tip",
         "upstream #8574; captured from 0.27.0"),
    Fact("progress_state", (0, 3, 45),
         "progress_state, feature flags, /features and binary frames of type 4",
         "upstream #8830; captured from 0.3.64"),
    Fact("client_prompt_id", (0, 3, 45), "a client may choose the prompt id",
         "upstream #8189; captured from 0.27.0"),
    Fact("frontend_version", (0, 3, 46), "/system_stats has required_frontend_version",
         "upstream #8875; captured from 0.3.64"),
    Fact("partial_targets", (0, 3, 48), "partial_execution_targets chooses the outputs to run",
         "upstream #9123; captured from 0.27.0"),
    Fact("model_file_dates", (0, 3, 49), "/experiment/models/{folder} has sizes and dates of files",
         "upstream #8792; captured from 0.3.64"),
    Fact("model_patches_folder", (0, 3, 52), "there is a model folder model_patches",
         "upstream #9470; captured from 0.3.64"),
    Fact("bad_filenames", (0, 3, 52), "user files with names that cannot be written: 400, not 500",
         "upstream #9434", seen=False),
    Fact("audio_encoders_folder", (0, 3, 53), "there is a model folder audio_encoders",
         "upstream #9548; captured from 0.3.64"),
    Fact("targeted_interrupt", (0, 3, 57), "POST /interrupt takes a prompt_id",
         "upstream #9607; captured from 0.8.2"),
    Fact("history_offset", (0, 3, 60), "GET /history takes an offset",
         "upstream #9977; captured from 0.3.64"),
    Fact("templates_version", (0, 3, 61), "/system_stats has the versions of the templates",
         "upstream #9089; captured from 0.3.64"),
    Fact("previews_indented", (0, 3, 65), "PreviewAny writes lists and objects over several lines",
         "upstream #10307", seen=False),
    Fact("global_subgraphs", (0, 3, 67), "/global_subgraphs",
         "upstream #10438; captured from 0.8.2"),
    Fact("lazy_unlinked", (0, 3, 67),
         "a lazy node does not see cached inputs before it asks for them",
         "upstream #10440", seen=False),
    Fact("cached_needs_client", (0, 3, 68),
         "the history of cached outputs is empty without a client_id",
         "upstream #10454, mended by #14939; captured from 0.8.2", last=(0, 27, LATEST)),
    Fact("history_of_shown", (0, 3, 68),
         "the history has what its prompt showed; what the cache holds of its nodes before",
         "upstream #10454", seen=False),
    Fact("expand_again", (0, 3, 68), "an expansion may bring ids that are there already",
         "upstream #10499", seen=False),
    Fact("create_time", (0, 3, 69), "extra_data has create_time",
         "upstream #10741; captured from 0.8.2"),
    Fact("template_routes", (0, 3, 71), "/templates is a route, not a folder",
         "upstream #10791; captured from 0.27.0"),
    Fact("latent_upscale_folder", (0, 3, 71), "there is a model folder latent_upscale_models",
         "upstream #10819; captured from 0.8.2"),
    Fact("user_errors", (0, 3, 76),
         "400 for names that no user can have, 403 for moves to outside",
         "upstream #10966; captured from 0.27.0"),
    Fact("mask_preview_animated", (0, 4, 0), 'MaskPreview shows "animated"',
         "upstream #10669", seen=False),
    Fact("cors_patch", (0, 4, 0), "PATCH is among the methods of CORS",
         "upstream #11066; captured from 0.27.0"),
    Fact("manager_flag", (0, 4, 0), "extension.manager is among the server's feature flags",
         "upstream #7555; captured from 0.8.2"),
    Fact("platform_names", (0, 4, 0), "/system_stats says linux, win32 or darwin; posix before",
         "upstream #7555; captured from 0.8.2"),
    Fact("preview_method", (0, 5, 0),
         "extra_data.preview_method chooses the previews of one prompt",
         "upstream #11261; captured from 0.27.0"),
    Fact("hidden_files", (0, 5, 0), "/internal/files leaves out names that begin with a dot",
         "upstream #11191", seen=False),
    Fact("jobs", (0, 6, 0), "/api/jobs", "upstream #11054; captured from 0.8.2"),
    Fact("stills_unsaid", (0, 7, 0), 'a moving picture of one frame is saved without "animated"',
         "upstream #11206", seen=False),
    Fact("job_cancelled", (0, 9, 0), "jobs have the status cancelled; failed before",
         "upstream #11680; captured from 0.27.0"),
    Fact("asset_lists", (0, 9, 0), "GET /api/assets, /api/assets/{id} and /api/tags",
         "upstream #11315; captured from 0.9.2"),
    Fact("assets_always", (0, 9, 0), "the asset routes answer without any flag",
         "upstream #11315, ended by #12621; captured from 0.9.2", last=(0, 16, LATEST)),
    Fact("asset_tag_types", (0, 9, 0), "the tags of /api/tags have a type",
         "upstream #11315, ended by #14248", last=(0, 24, LATEST), seen=False),
    Fact("throttle", (0, 9, 2), "progress is sent at most every 100 ms and 0.5 percent",
         "upstream #11504; golden 0.33.0"),
    Fact("missing_node_type", (0, 12, 0),
         "an unknown class is refused as missing_node_type; invalid_prompt before",
         "upstream #12194; captured from 0.27.0"),
    Fact("asset_changes", (0, 12, 0),
         "assets are uploaded, changed, tagged, deleted and searched for over HTTP",
         "upstream #12125", seen=False),
    Fact("node_replacement", (0, 14, 0),
         "retired classes are replaced, /node_replacements lists them",
         "upstream #12014; captured from 0.27.0"),
    Fact("replacements_flag", (0, 14, 0),
         "node_replacements is among the server's feature flags",
         "upstream #12014; captured from 0.27.0"),
    Fact("assets_events", (0, 17, 0), "assets.seed.* frames, with assets on",
         "upstream #12621; captured from 0.27.0"),
    Fact("assets_flag", (0, 17, 0), "assets is among the server's feature flags",
         "upstream #12621; captured from 0.27.0"),
    Fact("model_types", (0, 17, 0), "model files and YAML have media types",
         "upstream #12621", seen=False),
    Fact("asset_shape", (0, 18, 0), "all asset routes show an asset with the same fields",
         "upstream #12863; captured from 0.27.0"),
    Fact("asset_refine", (0, 18, 0), "/api/assets/tags/refine",
         "upstream #12863", seen=False),
    Fact("no_store", (0, 18, 0), "scripts and indexes are sent with no-store; no-cache before",
         "upstream #12911; captured from 0.27.0"),
    Fact("intermediate_outputs", (0, 19, 0), "nodes with intermediate outputs send executed",
         "upstream #13048; captured from 0.27.0"),
    Fact("fetch_site_guard", (0, 19, 0), "Sec-Fetch-Site: cross-site is refused with 403",
         "upstream #13261; captured from 0.27.0"),
    Fact("cycle_check", (0, 20, 0), "dependency cycles are refused before the run",
         "upstream #13169; captured from 0.27.0"),
    Fact("marked_files", (0, 20, 0), '/internal/files lists "a.png [output]"',
         "upstream #13305; captured from 0.27.0"),
    Fact("frame_interpolation_folder", (0, 20, 0),
         "there is a model folder frame_interpolation",
         "upstream #13258; captured from 0.27.0"),
    Fact("optical_flow_folders", (0, 21, 0),
         "there are model folders optical_flow and background_removal",
         "upstream #13403 and #12747; captured from 0.27.0"),
    Fact("counts_before_the_dot", (0, 21, 0), "a_00001.txt counts as number 1 of a",
         "upstream #13722", seen=False),
    Fact("reprs_in_lists", (0, 21, 0), "value_not_in_list writes the value as repr",
         "upstream #13484", seen=False),
    Fact("userdata_milliseconds", (0, 21, 0), "times of user files are whole milliseconds",
         "upstream #12996; captured from 0.27.0"),
    Fact("package_versions", (0, 22, 0), "/system_stats has comfy_package_versions",
         "upstream #13875; captured from 0.27.0"),
    Fact("geometry_folder", (0, 22, 0), "there is a model folder geometry_estimation",
         "upstream #13878; captured from 0.27.0"),
    Fact("ram_cache", (0, 23, 0), "results are kept as memory allows; one prompt long before",
         "upstream #13802; captured from 0.27.0"),
    Fact("detection_folder", (0, 23, 0), "there is a model folder detection",
         "upstream #14025; captured from 0.27.0"),
    Fact("asset_hash_twice", (0, 23, 0), "an asset has its hash as hash and as asset_hash",
         "upstream #13739", seen=False),
    Fact("asset_cursors", (0, 25, 0), "pages of assets have a next_cursor",
         "upstream #14014", seen=False),
    Fact("audio_bare_numbers", (0, 25, 0), "audio is saved as a_00001.flac; a_00001_.flac before",
         "upstream #13871", seen=False),
    Fact("uuid_prompt_ids", (0, 25, 0), "a prompt id that is not a UUID is refused",
         "upstream #13998; captured from 0.27.0"),
    Fact("usage_source", (0, 25, 0),
         "the header Comfy-Usage-Source is kept; deploy_environment in /system_stats",
         "upstream #14404 and #14402; captured from 0.27.0"),
    Fact("job_cancel", (0, 26, 0), "POST /api/jobs/{id}/cancel",
         "upstream #14493; captured from 0.27.0"),
    Fact("model_type_tags", (0, 27, 0),
         "supports_model_type_tags is among the server's feature flags",
         "upstream #14511, released with 0.28.0; captured from 0.27.0"),
    Fact("view_nosniff", (0, 27, 0),
         "/view sends nosniff and stricter types; console lines have levels",
         "upstream #14734, released with 0.28.0; captured from 0.27.0"),
    Fact("preview_checks", (0, 27, 0), "/experiment/models/preview checks what is asked for",
         "upstream #14734, released with 0.28.0; captured from 0.27.0"),
    Fact("model_extensions", (0, 27, 0), "/experiment/models names the extensions of files",
         "upstream #14797, released with 0.28.0; captured from 0.27.0"),
    Fact("view_no_store", (0, 30, 0),
         "/view of files that might run: no-store, Vary, SVG inline as an image",
         "upstream #15149; golden 0.33.0"),
    Fact("user_css", (0, 30, 0), "/userdata/user.css is text/css, inline",
         "upstream #15000", seen=False),
    Fact("text_ranks_last", (0, 30, 0), "texts come after pictures as the preview of a job",
         "upstream #14681", seen=False),
    Fact("datasets_folder", (0, 30, 0), "there is a model folder datasets",
         "upstream #14807; captured from 0.33.0"),
    Fact("previewable_count", (0, 32, 0), "jobs have previewable_outputs_count",
         "upstream #15148; captured from 0.33.0"),
    Fact("newer_packages", (0, 33, 0), "/system_stats names the packages of 0.33.0",
         "captured from 0.33.0; what 0.28 to 0.32 name is not known"),
    Fact("previews_unescaped", (0, 33, 0), "PreviewAny writes letters outside ASCII as they are",
         "upstream #15513", seen=False),
    Fact("activity", (0, 38, 0), "progress_state entries may have an activity", _READ_0_38,
         seen=False),
    Fact("asset_per_prompt", (0, 38, 0),
         "with assets on, each prompt that shows a file makes a new asset of it", _READ_0_38,
         seen=False),
    Fact("emitted_once", (0, 38, 0), "a cached node is shown once for each prompt", _READ_0_38,
         seen=False),
    Fact("job_workflow_always", (0, 38, 0),
         "a single job has its workflow while it waits or runs", _READ_0_38, seen=False),
    Fact("workflow_metadata", (0, 40, 0),
         "POST /prompt takes workflow_metadata, and the frames of the prompt carry it",
         "upstream #16763 and the release notes of 0.40.0", seen=False),
    Fact("asset_export", (0, 40, 0), "POST /api/assets/export makes a zip of assets",
         "upstream #16578 and the release notes of 0.40.0", seen=False),
    Fact("assets_on", (0, 41, 0), "assets are on by default, and files have ids",
         "upstream #16884 and the release notes of 0.41.0", seen=False),
    Fact("assets_reworked", (0, 41, 0),
         "assets lose asset_hash, is_immutable, metadata_filter; the tag missing is the system's",
         "read in upstream files newer than 0.33.0; that 0.41.0 has it first is a guess",
         seen=False),
)
# fmt: on
FIRST_RELEASE: Final = {fact.name: fact.first for fact in FACTS}
"""Fact -> the first release that has it."""
