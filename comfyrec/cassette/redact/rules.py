"""The rules of redaction, each of them once: in which place, under which name or in which shape.

A rule has a class (``secret``, ``identity``, ``content``), the places where it holds, and the kind
of value that it takes out. ``NAMES``, ``SHAPES`` and ``TELLING`` are the list. What is quicker than
a rule for secrets is made from it: ``WAKE`` finds, in one pass, every spot where some rule could
hold, and says of most texts that there is none.

A name is judged by its words: ``secretKey``, ``SECRET_KEY`` and ``secret-key`` are secret and key.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from comfyrec.cassette.redact.search.literal_search import Spots
from comfyrec.cassette.redact.shapes import SHAPES
from comfyrec.cassette.redact.values import (
    UUID,
    is_nothing,
    is_number,
    is_random,
    looks_like_credential,
    stands_out,
)
from comfyrec.cassette.redact.writing.commands import FLAGS

__all__ = [
    "MARKS",
    "NAMES",
    "STARTS",
    "STEMS",
    "TELLING",
    "WAKE",
    "Need",
    "Place",
    "holds_credentials",
    "is_credential_in",
    "is_secret",
    "may_hold_secret",
    "need_of",
    "told_by_name",
]


def _words(listed: str) -> list[str]:
    return listed.split()


class Place(enum.Enum):
    """Where a name and its value stand."""

    HEADER = "the fields of an HTTP head, trailers too"
    QUERY = "the parameters of an address, behind ? or #, and the fields of a form"
    COOKIE = "the cookies of Cookie and Set-Cookie"
    MEMBER = "a member of a JSON object or of what is written like one; a pair of name and value"
    WORDS = "a text in which a name stands before = or :"


class Need(enum.IntEnum):
    """What a value must be, under a name, to be taken out."""

    ANY_TEXT = 1
    """The name says that it is a credential: any value that does not say otherwise."""
    RANDOM = 2
    """The name says that it may be one: only what no person would write."""


class NameRule(NamedTuple):
    """Names that hold a credential: one of these runs of words stands in them."""

    redaction: str
    places: frozenset[Place]
    words: tuple[str, ...]
    need: Need
    kind: str = ""
    """Of identity and content: what the value is, which says how its stand-in looks."""


_ALL: Final = frozenset(Place)
_HTTP: Final = frozenset({Place.HEADER, Place.QUERY, Place.COOKIE})
_IN_QUERY: Final = frozenset({Place.QUERY})
_IN_HEADER: Final = frozenset({Place.HEADER})
_IN_MEMBER: Final = frozenset({Place.MEMBER})
_TOLD: Final = frozenset({Place.MEMBER, Place.QUERY})

NAMES: Final = (
    NameRule("secret", _ALL, (
        "api key", "apikey", "access key", "accesskey", "private key", "privatekey", "secret key",
        "secretkey", "auth key", "authkey", "client key", "signing key", "encryption key",
        "license key", "service key", "account key", "master key", "admin key", "user key",
        "hf key", "openai key", "x key", "token", "id token", "password", "passwd", "passphrase",
        "passcode", "pass phrase", "pass word", "pwd", "secret", "authorization",
        "credential", "bearer", "jwt",
    ), Need.ANY_TEXT),
    NameRule("secret", _HTTP, (
        "key", "auth", "session", "session id", "sessionid", "cookie", "signature", "sig",
        "authentication", "auth header", "api keys", "secrets", "passwords", "credentials", "pat",
        "sid", "jsessionid", "phpsessid", "sessid",
    ), Need.ANY_TEXT),
    NameRule("secret", _IN_HEADER, (
        "cf access client id", "cf access client secret", "api keys", "tokens", "secrets",
        "credentials", "cookies", "pass", "protection bypass", "app check", "appcheck",
    ), Need.ANY_TEXT),
    NameRule("secret", _IN_QUERY, (
        "policy", "key pair", "x amz", "x goog", "pass", "pw", "code verifier", "client assertion",
        "hdnts", "hdnea", "hdntl",
    ), Need.ANY_TEXT),
    NameRule("secret", _IN_QUERY, (
        "code", "ticket", "hmac", "otp", "hm", "sign", "st", "resourcekey", "resource key",
    ), Need.RANDOM),
    NameRule("secret", frozenset({Place.MEMBER, Place.WORDS}), (
        "key", "keys", "api keys", "tokens", "secrets", "passwords", "credentials", "cookies",
        "auth", "session", "session id", "sessionid", "cookie", "signature", "pass",
        "authentication", "auth header", "pat",
    ), Need.RANDOM),
    NameRule("secret", _ALL, ("civitai",), Need.RANDOM),
)  # fmt: skip
"""One row for each kind of name. The words of a row are in lower case, with a space between."""
TELLING: Final = (
    NameRule("identity", _TOLD, (
        "client id", "clientid", "sid", "prompt id", "prompt ids", "job id", "job ids", "task id",
        "consumer id", "miner id", "worker id", "user id", "owner id", "workflow id", "session id",
        "request id", "machine id", "device id", "installation id", "trace id",
    ), Need.ANY_TEXT, "id"),
    NameRule("identity", _TOLD, (
        "user", "users", "username", "user name", "owner", "author", "email", "mail", "login",
        "account", "usage source", "consumer", "miner", "creator", "created by", "comfy user",
    ), Need.ANY_TEXT, "user"),
    NameRule("identity", _TOLD, (
        "host", "hostname", "host name", "server name", "ip", "ip address", "remote addr", "peer",
        "upstream", "base url", "server url", "domain", "machine name", "computer name",
        "server address",
    ), Need.ANY_TEXT, "host"),
    NameRule("identity", _TOLD, (
        "cwd", "home", "base path", "base dir", "root path", "working directory", "absolute path",
        "full path", "abs path", "file path",
    ), Need.ANY_TEXT, "path"),
    NameRule("identity", _IN_MEMBER, (
        "os", "platform", "python version", "pytorch version", "torch version", "kernel", "gpu",
        "comfyui version", "frontend version", "templates version", "gpu name", "device name",
        "hardware", "cpu name", "driver version",
    ), Need.ANY_TEXT, "device"),
    NameRule("identity", _IN_HEADER, (
        "host", "origin", "referer", "location", "content location", "destination", "forwarded",
        "x forwarded", "real ip", "client ip", "connecting ip", "remote addr", "original host",
        "x original", "link", "refresh", "access control allow origin",
    ), Need.ANY_TEXT, "host"),
    NameRule("identity", _IN_HEADER, ("comfy user", "from", "remote user", "x user", "x email",
        "x auth request", "authenticated user", "user id", "x request id", "cf ray", "x client",
    ), Need.ANY_TEXT, "user"),
    NameRule("identity", _IN_HEADER, ("user agent", "server", "via", "x powered by", "x served by",
        "x backend", "x cache", "sec ch ua",
    ), Need.ANY_TEXT, "agent"),
    NameRule("content", _TOLD, (
        "text", "texts", "prompt", "prompts", "positive", "negative", "caption", "captions",
        "instruction", "instructions", "question", "note", "notes", "comment", "lyrics", "tags",
        "wildcard", "wildcards", "exception message", "details", "received value", "content",
        "answer", "reply", "story", "subject", "summary", "string", "value str", "message body",
    ), Need.ANY_TEXT, "text"),
    NameRule("content", _TOLD, ("title", "titles", "workflow name", "display title"),
        Need.ANY_TEXT, "title"),
    NameRule("content", _TOLD, (
        "filename", "file name", "file", "files", "subfolder", "image", "images", "video", "videos",
        "audio", "mask", "ckpt name", "lora name", "vae name", "clip name", "unet name",
        "model name", "control net name", "filename prefix", "path", "paths", "folder", "thumbnail",
        "url", "image url", "result url", "output url", "original ref", "dest", "directory",
        "embedding", "preview image", "dir",
    ), Need.ANY_TEXT, "name"),
)  # fmt: skip
"""The same for what tells of people, machines and content; the first row that fits counts."""

_BEHIND: Final = frozenset(
    _words(
        "alg algorithm budget class cost count counter counts desc description dim dims "
        "digest disabled dropout embedding embeddings enabled end env expiration expires expiry "
        "field fields file filename files fingerprint format frame frames hash header headers "
        "help hint id ids image "
        "index idx input inputs interpretation kind label len length lengths lifetime limit "
        "limits loader location manager max merge merging method min mode name names node "
        "normalization num number of output outputs padding path paths per placeholder policy "
        "prefix price prob probs prompt provider rate ratio required rotation rules scale "
        "scheme settings size start state status stop storage store strength style suffix text "
        "title tokenizer tooltip ttl type types uri url usage used valid validity variable "
        "version vocab weight weights widget window"
    )
)
"""Words behind that of a credential that make the name one of something else: ``token_count``."""
_OF_WHOM: Final = frozenset(
    _words(
        "a admin again anthropic api app aws azure b backup bot cloud civitai client comfy "
        "comfyui confirm confirmation current dev env fal gemini github gitlab google hf "
        "huggingface ideogram key live kling local luma main minimax new old openai org org1 "
        "optional pika plain primary prod production raw repeat replicate runpod runway s "
        "secondary server service stability staging str string test user value v x"
    )
)
"""Words behind that of a credential that only say whose it is: ``api_key_comfy_org``. With any
other word behind it, a name may be of something else (``secret_garden``): the value decides."""
_BEFORE_TOKEN: Final = frozenset(
    _words(
        "added bos class cls concept continuation count eos finish image init initializer input "
        "instance learned mask max min n neg new next num output pad padding page per "
        "placeholder pos prompt sep special start stop end style sub text total trigger unk "
        "vocab activation keyword"
    )
)
"""Words before ``token`` that make it a piece of text, or of a list that comes in pages."""
_LAST_WORDS: Final = tuple(
    word
    for rule in NAMES
    if rule.places == _ALL and rule.need is Need.ANY_TEXT
    for word in rule.words
    if " " not in word and len(word) >= 5
)
"""A name may be written without a sign between its words: ``mytoken``, ``userpassword``."""

_BEFORE_KEY: Final = frozenset(
    _words(
        "arrow cache composite cursor data dedupe dict foreign group hash hot i idempotency index "
        "input key lookup lora map meta model modifier node object output partition primary public "
        "publishable row shift short sort state sticky storage tab translation unique weight"
    )
)
"""Words before ``key`` that make it the name of a thing, or a half that may be known."""
_WHATEVER_FOLLOWS: Final = ("x amz", "x goog")
_GENERIC: Final = frozenset(_words("key auth session cookie signature sig policy pass pat sid"))
"""Names of credentials by themselves, in an address; in longer names they may be of other things:
``sort_key``."""
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HARMLESS_HEADERS: Final = frozenset(
    _words(
        "sec-websocket-key sec-websocket-accept sec-websocket-version idempotency-key "
        "surrogate-key public-key-pins origin-agent-cluster keep-alive x-key-frame"
    )
)
_HARMLESS_HEADER: Final = re.compile(r"\Aaccess-control-|rate-?limit")
_LETTERS: Final = re.compile(r"[A-Za-z]+")
_NAME_CHARACTERS_MAX: Final = 128


@lru_cache(maxsize=8192)
def need_of(name: str, place: Place) -> Need | None:
    """What a value under this name, in this place, must be to be a credential; None: never."""
    if len(name) > _NAME_CHARACTERS_MAX:
        return None
    words = [word.lower() for word in _WORD.findall(name)]
    if place is Place.HEADER and (
        name.lower() in _HARMLESS_HEADERS or _HARMLESS_HEADER.search(name.lower())
    ):
        return None
    found = [
        need
        for rule in NAMES
        if place in rule.places
        for run in rule.words
        if (need := _need_of_run(words, run, rule.need, place)) is not None
    ]
    last = _LETTERS.findall(name)[-1:]
    if last and last[0].lower().endswith(_LAST_WORDS) and not _BEFORE_TOKEN & set(words):
        found.append(Need.ANY_TEXT)
    return min(found, default=None)


def _need_of_run(words: list[str], run: str, need: Need, place: Place) -> Need | None:
    """What a value must be, if a run of words stands in a name and makes it a credential's."""
    parts = run.split(" ")
    for at in range(len(words) - len(parts) + 1):
        if words[at : at + len(parts)] != parts:
            continue
        behind = set(words[at + len(parts) :])
        if run in _WHATEVER_FOLLOWS:
            return need
        before = set(words[:at])
        if behind & _BEHIND or (run == "token" and _BEFORE_TOKEN & before):
            continue
        if run in ("key", "keys") and _BEFORE_KEY & before:
            continue
        if behind - _OF_WHOM or (
            place is Place.QUERY and run in _GENERIC and len(words) > len(parts)
        ):
            return Need.RANDOM
        return need
    return None


_NOT_TOLD: Final = frozenset(
    _words(
        "bytes class count dtype encoder encoders format generator group height hint id index "
        "input kind length limit max min mode model node number num order output params policy "
        "projection proxy rate ratio scale settings shape size sort sorting state status strength "
        "tokens type types upload used version weight width"
    )
)
"""Words beside that of a text or file that make it the name of something else:
``text_encoder``."""


@lru_cache(maxsize=8192)
def told_by_name(name: str, place: Place) -> str:
    """The kind of what stands under a name in a place: of identity first, else of content; empty
    where the name says nothing."""
    if not name or len(name) > _NAME_CHARACTERS_MAX:
        return ""
    words = [word.lower() for word in _WORD.findall(name)]
    for rule in TELLING:
        if place in rule.places and any(_is_run(words, run, rule, place) for run in rule.words):
            return rule.kind
    return ""


def _is_run(words: list[str], run: str, rule: NameRule, place: Place) -> bool:
    parts = run.split(" ")
    if place is Place.HEADER or (rule.redaction == "identity" and len(parts) == 1):
        if len(parts) == 1:
            return words == parts
        return any(words[at : at + len(parts)] == parts for at in range(len(words)))
    for at in range(len(words) - len(parts) + 1):
        if words[at : at + len(parts)] == parts:
            others = {*words[:at], *words[at + len(parts) :]}
            return rule.redaction == "identity" or not others & _NOT_TOLD
    return False


def is_secret(name: str, value: bytes, place: Place) -> bool:
    """Whether a value is a credential, by its name, its place and what it looks like."""
    need = need_of(name, place)
    if need is None:
        return False
    if need is Need.RANDOM:
        if "cookie" in name.lower():  # sid=...; theme=dark
            return any(is_random(one.split(b"=", 1)[-1].strip()) for one in value.split(b";"))
        return is_random(value) and not _IS_NAMED_SO.fullmatch(value)
    if place is Place.WORDS:
        return stands_out(value)
    if place is Place.MEMBER:
        if name.lower() in _LICENSES:
            return is_random(value) or _GROUPS.fullmatch(value) is not None
        if name.lower() in _PLAIN_WORDS and (
            not stands_out(value) or (_NAME_OF_MODEL.fullmatch(value) and not is_random(value))
        ):
            return False
        return looks_like_credential(value)
    if place is Place.QUERY:
        if name.lower() in _GENERIC and _WORD_OR_TWO.fullmatch(value):
            return False  # as in an example: ?key=value
        return not is_nothing(value) and not (is_number(value) and len(value) < _CODE_DIGITS_MIN)
    return not is_nothing(value) and not (place is Place.HEADER and is_number(value))


_CONTAINERS: Final = frozenset(
    _words("secret secrets password passwords credential credentials token tokens api_keys apikeys")
)


def holds_credentials(name: str) -> bool:
    """Whether the texts in an object of this name are credentials, whatever their own names are:
    ``{"secrets": {"openai": ...}}``."""
    words = [word.lower() for word in _WORD.findall(name)]
    last = "_".join(words[-2:]) if words[-1:] == ["keys"] else "".join(words[-1:])
    return last in _CONTAINERS and need_of(name, Place.MEMBER) is not None


def is_credential_in(container: str, name: str, value: bytes) -> bool:
    """Whether a text in such an object is a credential: not an id, a hash or the name of one."""
    words = {word.lower() for word in _WORD.findall(name)}
    if words & _BEHIND or UUID.fullmatch(value):
        return False
    if "token" in container.lower():
        return is_random(value) and not _IS_NAMED_SO.fullmatch(value)
    return stands_out(value) and not _IS_NAMED_SO.fullmatch(value)


_PLAIN_WORDS: Final = frozenset(("token", "bearer"))
"""Members that hold ordinary words as well: the one that a model was trained with ("ohwx man"),
who carries something."""
_LICENSES: Final = frozenset(("license_key", "licensekey", "license-key", "license key"))
"""Members that hold what was bought, or the name of the terms: ``cc-by-nc-4.0``."""
_GROUPS: Final = re.compile(rb"(?=[A-Z-]*[0-9])[0-9A-Z]{4,8}(?:-[0-9A-Z]{4,8}){2,}")
"""As license keys are written."""
_NAME_OF_MODEL: Final = re.compile(
    rb"[A-Za-z][\w.-]*/[A-Za-z][\w.-]*|(?=.*[a-z])[A-Za-z]\w{1,7}(?:-\w{1,7}){3,}"
)
"""Of a model whose words are counted: ``google/gemma-3-12b-it``, ``CLIP-ViT-H-14-laion2B``."""
_WORD_OR_TWO: Final = re.compile(rb"[A-Za-z]{1,11}[0-9]?")
_IS_NAMED_SO: Final = re.compile(
    UUID.pattern
    + rb"(?:[:/#.][A-Za-z]{0,24}[0-9]{0,6})*"
    + rb"|(?:[A-Za-z]+[._:-])*(?:[0-9a-f]{8,16}|[0-9A-F]{8,16})"
)
"""So are prompts, and models and commits by the first digits of their hashes; a name that is only
a hint does not make a secret of one."""
_CODE_DIGITS_MIN: Final = 6
"""Fewer digits in an address are a number of something, not a one-time code."""


# --- quick looks ---------------------------------------------------------------------------------

MARKS: Final = (b"://", b"basic ", b"-----begin", b" -u ", b"--user ", b"--user=", *FLAGS)
"""What else begins something to take out: a login in an address or behind the flag of a client, a
scheme, a private key, a flag that may have a password."""


def _anchor(run: str) -> str:
    """Of a run of words the one that is looked for: itself the name of a credential if one is,
    else the longest."""
    words = run.split(" ")
    named = [word for word in words if word in _SINGLE_WORDS]
    return max(named or words, key=len)


_SINGLE_WORDS: Final = {run for rule in NAMES for run in rule.words if " " not in run}


def _shortest(words: Iterable[str]) -> list[bytes]:
    """Those that hold no other of them: who finds these, finds all."""
    every = set(words)
    short = (w for w in every if not any(other != w and other in w for other in every))
    return sorted(word.encode() for word in short)


STEMS: Final = _shortest(
    _anchor(run) for rule in NAMES if not rule.places <= _HTTP for run in rule.words
)
"""In lower case: one of them stands in every name that a rule takes for that of a credential, in
JSON and in texts."""
_IN_ADDRESSES: Final = [
    word.encode() + b"="
    for word in _words("sig policy sid hdnts hdnea hdntl code ticket hmac otp hm sign")
] + [b"amz-", b"goog-", b"verifier", b"assertion"]
"""What stands, besides, in the names of parameters that are secret in addresses only."""

STARTS: Final = {start.lower(): shape for shape in SHAPES for start in shape.starts}
"""In lower case: with what keys of well-known services begin."""
WAKE: Final = Spots((*STEMS, *_IN_ADDRESSES, *STARTS, *MARKS))
"""In a text in lower case: every spot where a rule may hold, but for names that are escaped."""
_WAKE_WITHOUT_DIGITS: Final = Spots(
    (
        *STEMS,
        *_IN_ADDRESSES,
        *(
            start.translate(None, b"0123456789")
            for start, shape in STARTS.items()
            if shape.before is None
        ),
        *MARKS,
        b"\\u",
        b"%",
    )
)


_PAIR_WITHOUT_DIGITS: Final = re.compile(rb"-[a-f]*:[a-f]")
_BOT_WITHOUT_DIGITS: Final = re.compile(rb"\.[GXY][\w-]{0,5}\.[\w-]{12}")
"""What has no start that is rare: of a key of fal.ai and of a bot."""


def may_hold_secret(skeleton: bytes) -> bool:
    """Whether some rule could find something in a text of which this is left when its digits are
    taken out."""
    return (
        _WAKE_WITHOUT_DIGITS.any_in(skeleton.lower())
        or _PAIR_WITHOUT_DIGITS.search(skeleton) is not None
        or _BOT_WITHOUT_DIGITS.search(skeleton) is not None
    )
