"""``--comfyui-version`` and ``--fact``: what is known of each ComfyUI, and how to switch it."""

from __future__ import annotations

from collections.abc import Sequence

from comfyrec.errors import UsageError
from comfyrec.versions import (
    DEFAULT_VERSION,
    FACTS,
    NEWEST_KNOWN,
    RECORDED,
    Era,
    era_of,
    is_beyond_known,
    oldest_with,
)

__all__ = ["chosen_era", "print_versions", "with_assets"]


def chosen_era(version: str | None, facts: Sequence[str], command: str = "serve") -> Era:
    """The era that the flags name.

    Args:
        version: the value of ``--comfyui-version``, None for the default.
        facts: values of ``--fact``, each ``NAME=on`` or ``NAME=off``.
        command: whose flags they are; it says so where nothing is known of the version.

    Raises:
        UsageError: not a version, no such fact, or neither on nor off.
    """
    era = era_of(version or DEFAULT_VERSION)
    if is_beyond_known(era):
        # What a terminal needs is not imported before there is something to say.
        from comfyrec.cli.terminal.output import tell

        tell(
            command,
            f"nothing is known of ComfyUI {era.version}; it is played as {NEWEST_KNOWN}, "
            f"the newest release that anything is known of",
        )
    for text in facts:
        try:
            era = era.with_text(text)
        except UsageError as error:
            raise UsageError(f"--fact {text}: {error}") from None
    return era


def with_assets(era: Era, *, on: bool, off: bool) -> Era:
    """The era with ``--enable-assets`` or ``--disable-assets``.

    Raises:
        UsageError: they are to be on, and that version has none; or it has them always.
    """
    if (on or off) and era.has("assets_always"):
        flag = "--enable-assets" if on else "--disable-assets"
        raise UsageError(
            f"{flag}: ComfyUI {era.version} has assets on always, and no such flag; leave it out"
            + ("" if on else ", or give --fact assets_always=off")
        )
    if on and not era.has("assets_events"):
        raise UsageError(
            f"--enable-assets: ComfyUI {era.version} has no assets; "
            f"give --comfyui-version {oldest_with('assets_events')} or a newer one"
        )
    return era.switched("assets_on", on=on) if on or off else era


def print_versions() -> None:
    """Print what is known of each version: facts by first release, seen ones and read ones."""
    # What a terminal needs is not imported before there is something to say.
    from comfyrec.cli.terminal.output import wrapped

    print(f"Recorded generations: {', '.join(RECORDED)}.")
    print(f"Default: {DEFAULT_VERSION}.")
    print(f"Newest release that anything is known of: {NEWEST_KNOWN}.")
    print(
        "A fact belongs to every release from its first one on; the few that ended have\n"
        "their last one too. In brackets stands where it was learned; 'only read' marks\n"
        "what was never captured. --fact NAME=on|off switches one.\n"
    )
    for fact in FACTS:
        text = f"{fact.name}: {fact.says} ({fact.origin})"
        print("\n".join(wrapped(f"{fact.first_text:8}", text)))
