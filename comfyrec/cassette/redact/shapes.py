"""Keys of well-known services: told wherever they stand by how they look."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["KEY_PAIR", "SHAPES", "Shape"]


class Shape(NamedTuple):
    """Keys of a well-known service, told wherever they stand by how they look."""

    redaction: str
    starts: tuple[bytes, ...]
    """What they begin with."""
    rest: re.Pattern[bytes]
    """What follows."""
    must_be_random: bool = False
    """The start is one that words have too."""
    starts_with_key: bool = True
    """False: the start is an address, or the number of an account, and stays."""
    before: re.Pattern[bytes] | None = None
    """What stands before the start and belongs to the key."""


def _shape(
    starts: str,
    rest: bytes,
    *,
    must_be_random: bool = False,
    key: bool = True,
    before: bytes = b"",
) -> Shape:
    begins = tuple(start.encode() for start in starts.split())
    head = re.compile(before + rb"\Z") if before else None
    return Shape("secret", begins, re.compile(rest), must_be_random, key, head)


SHAPES: Final = (
    _shape("sk- rk- pk-", rb"[\w-]{16,}", must_be_random=True),
    _shape("sk-proj- sk-ant- sk-or-v1- sk-svcacct- sk-admin-", rb"(?=[\w-]*[0-9])[\w-]{20,}"),
    _shape("sk_", rb"[A-Za-z0-9]{40,}", must_be_random=True),
    _shape("sk_live_ sk_test_ rk_live_ rk_test_ whsec_", rb"[A-Za-z0-9+/=]{12,}"),
    _shape("hf_", rb"[A-Za-z0-9]{16,}", must_be_random=True),
    _shape("ghp_ gho_ ghu_ ghs_ ghr_", rb"[A-Za-z0-9]{20,}"),
    _shape("github_pat_", rb"\w{20,}"),
    _shape("glpat- gldt- glrt- glptt- glsoat- glcbt- glft-", rb"[\w-]{20,}"),
    _shape("comfyui-", rb"[0-9a-f]{32,}"),
    _shape("AKIA ASIA", rb"[0-9A-Z]{16}(?![0-9A-Z])"),
    _shape("AIza", rb"[\w-]{30,}"),
    _shape("ya29.", rb"[\w-]{20,}"),
    _shape("GOCSPX- 1//0", rb"[\w-]{24,}", must_be_random=True),
    _shape("xoxa- xoxb- xoxp- xoxr- xoxs- xapp- xoxe- xoxe.", rb"[A-Za-z0-9.-]{10,}"),
    _shape("npm_ gsk_ nvapi- pypi- rpa_ tgp_v1_", rb"(?=[\w-]*[0-9])[A-Za-z0-9_-]{30,}"),
    _shape("r8_ key_ fw_ dop_v doo_v", rb"[A-Za-z0-9_-]{30,}", must_be_random=True),
    _shape("xai- pplx- luma- tvly- tskey- dckr_pat_", rb"[A-Za-z0-9_-]{20,}", must_be_random=True),
    _shape("sbp_ pcsk_ lin_api_ ntn_ dapi ABSK", rb"[A-Za-z0-9_-]{30,}", must_be_random=True),
    _shape("msy_ tsk_ csk- lsv2_pt_ lsv2_sk_ phx_", rb"[A-Za-z0-9_-]{30,}", must_be_random=True),
    _shape("cfut_ cfat_ cfk_ vcp_ vca_ vci_ vck_ vcr_", rb"\w{24,}", must_be_random=True),
    _shape("glsa_ glc_ sntrys_ sntryu_ PMAK-", rb"[\w+/=-]{30,}", must_be_random=True),
    _shape("figd_ figo_ nfp_ pscale_tkn_ pscale_pw_", rb"[\w-]{30,}", must_be_random=True),
    _shape("shpat_ shpca_ shppa_ shpss_ NRAK- HRKU-", rb"[A-Za-z0-9-]{24,}", must_be_random=True),
    _shape("jina_", rb"[A-Za-z0-9_-]{30,}"),
    _shape("ak- as- wk- ws-", rb"[A-Za-z0-9]{20,24}(?![\w-])", must_be_random=True),
    _shape("$apr1$ $2a$ $2b$ $2y$ $argon2", rb"[\w./$=,+-]{20,}"),
    _shape("$1$ $5$ $6$", rb"(?:rounds=[0-9]+\$)?[\w./]{1,16}\$[\w./]{22,86}"),
    # Of a bot of Discord: its number in base64, the time (which says G, X or Y), and the rest.
    _shape(
        ".G .X .Y",
        rb"[\w-]{5}\.[\w-]{27,40}(?![\w-])",
        before=rb"(?<![\w-])[MNO][\w-]{22,30}",
    ),
    _shape("ATATT3 ATCTT3", rb"[\w=-]{40,}"),
    _shape("AGE-SECRET-KEY-1", rb"[A-Z0-9]{40,}"),
    _shape("dp.pt. dp.st. dp.sa. dp.ct.", rb"[A-Za-z0-9_.-]{30,}", must_be_random=True),
    _shape("pat", rb"[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _shape("SG. hvs. hvb.", rb"[A-Za-z0-9_.-]{30,}", must_be_random=True),
    _shape("LTAI AKID", rb"[A-Za-z0-9]{16,}(?![A-Za-z0-9])", must_be_random=True),
    _shape("eyJ", rb"[\w-]{8,}\.(?:eyJ[\w-]{8,}\.[\w-]*|[\w-]*(?:\.[\w-]{8,}){3})"),
    _shape(
        "hooks.slack.com/ discord.com/api/webhooks/ discordapp.com/api/webhooks/"
        " hooks.zapier.com/hooks/ .webhook.office.com/ /with/key/ api.day.app/ sctapi.ftqq.com/"
        " /open-apis/bot/v2/hook/",
        rb"[\w@/.-]{20,}",
        key=False,
    ),
    _shape(":AA", rb"[\w-]{32,33}(?![\w-])", must_be_random=True, key=False),
    _shape("api.telegram.org/bot", rb"[0-9]{6,}:[\w-]{30,}", key=False),
)
"""One row for each kind of key."""
KEY_PAIR: Final = re.compile(rb":(?<=-[0-9a-f]{12}:)[0-9a-f]{32}(?![0-9a-f])")
"""Of fal.ai: the id of a key, a UUID, and the key behind it."""
