"""version -> Era: the facts that hold in each ComfyUI.

No other room compares versions; it asks an era for a fact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from comfyrec.errors import UsageError
from comfyrec.versions.facts import (
    FACTS,
    FIRST_RELEASE,
    LATEST,
    Release,
    as_text,
    next_release,
)
from comfyrec.wording import did_you_mean

__all__ = [
    "DEFAULT_VERSION",
    "ERAS",
    "NEWEST_KNOWN",
    "RECORDED",
    "Era",
    "era_of",
    "eras_between",
    "generation_of",
    "is_beyond_known",
    "oldest_with",
]

DEFAULT_VERSION: Final = "0.33.0"


class Era(msgspec.Struct, frozen=True):
    """What servers of one version do. ``era.has(fact)`` asks for a row of ``FACTS``."""

    version: str
    release: Release
    facts: frozenset[str]

    @property
    def reported(self) -> str:
        """The version as the server says it of itself: with a patch number, even of ``0.33``."""
        if not re.fullmatch(r"\d+\.\d+", self.version):
            return self.version
        recorded = [one for one in RECORDED if one.startswith(f"{self.version}.")]
        return recorded[-1] if recorded else f"{self.version}.0"

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

    def with_text(self, text: str) -> Era:
        """The same era with one fact as ``NAME=on`` or ``NAME=off`` says.

        Raises:
            UsageError: there is no such fact, or it is neither on nor off.
        """
        name, _, value = text.partition("=")
        if value not in ("on", "off"):
            raise UsageError("write NAME=on or NAME=off")
        return self.switched(name, on=value == "on")

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
        if self.has("replacements_flag"):
            flags["node_replacements"] = True
        if self.has("assets_flag"):
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
    facts = frozenset(fact.name for fact in FACTS if fact.holds_in(release))
    return Era(version=version, release=release, facts=facts)


@lru_cache(maxsize=256)  # asked anew for each fresh server
def _release(version: str) -> Release:
    if re.fullmatch(r"2024(-0[1-7])?(-\d\d)?", version):
        return (0, 0, 0)
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+a-z].*)?", version)
    if match is None:
        raise UsageError(
            f"comfyui version {version!r} is not a version: give one like 0.27.0 or 2024-07 "
            f"(recorded generations: {', '.join(RECORDED)}; the newest known is {NEWEST_KNOWN})"
        )
    major, minor, patch = match.groups()
    # '0.3' alone means its last patch, as people say it.
    return (int(major), int(minor), int(patch) if patch is not None else LATEST)


def is_beyond_known(era: Era) -> bool:
    """Whether an era is newer than the newest release that anything is known of."""
    return era.release > _release(NEWEST_KNOWN) and era.release[:2] != _release(NEWEST_KNOWN)[:2]


def eras_between(first: Era, last: Era) -> tuple[Era, ...]:
    """The way from one era to another: both, and one for each release between that changed facts.

    It runs from newer to older ones where ``first`` is the newer one. Where an era has facts
    switched, those of its version as it was released come next to it.
    """
    low, high = sorted((first.release, last.release))
    changed = {fact.first for fact in FACTS}
    changed |= {next_release(fact.last) for fact in FACTS if fact.last is not None}
    between = [era_of(as_text(release)) for release in sorted(changed) if low < release < high]
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
