"""What stands between a name without quotes and its value, in settings, commands and markup."""

from __future__ import annotations

import re
from typing import Final

from comfyrec.cassette.redact.values import UUID, is_random

__all__ = ["ASSIGN", "BARE", "ELEMENTS", "sign_behind"]

_BEFORE_BYTES: Final = 64
_RANDOM_BYTES_MIN: Final = 16

ASSIGN: Final = re.compile(rb"[ \t]{0,8}(?::=|=>|=|:|\x00)[ \t\x00]{0,8}")
BARE: Final = re.compile(rb"[^\s\"',;&\\{}\[\]()<>|\x00-\x1f]+")
"""A value without quotes."""
_FLAG_VALUE: Final = re.compile(rb"[ \t]+(?=[^\s\-=:])")
_COMMAND_BEFORE: Final = re.compile(
    rb"(?i)(?:\A|[\s;&\"']|\\[nrt])(?:env|arg|setx|setenv|login[ \t]+[^\s\\]{1,40})"
    rb"(?:\s|\\[nrt])+\Z"
)
"""Before a name whose value follows without a sign: in a Dockerfile, a shell, a netrc."""
# In YAML, apart:
# - name: HF_TOKEN
#   value: S
_NAME_LINE: Final = re.compile(rb"(?i)(?:name|key):[ \t]{1,8}\Z")
_VALUE_LINE: Final = re.compile(rb"(?i)(?:\s|\\[nr]){1,40}value:[ \t]{1,8}")
_ELEMENT: Final = re.compile(rb">(?=[^<>\r\n]{4,4096}</)")
_IN_PROPERTY_LIST: Final = re.compile(rb"(?i)</key>\s*<string>(?=[^<>\r\n]{4,4096}</)")
ELEMENTS: Final = (_ELEMENT, _IN_PROPERTY_LIST)
"""Signs behind which the value goes up to the end of an element."""
_SAID: Final = re.compile(rb"(?i)[ \t]+is:?[ \t]+(?=\S)")
_SIGN_IN_NAME: Final = re.compile(rb"[A-Za-z0-9][_-][A-Za-z0-9]")


def sign_behind(data: bytes, name: re.Match[bytes]) -> re.Match[bytes] | None:
    """What stands between a name and its value; None where no value follows."""
    return ASSIGN.match(data, name.end()) or _other_sign(data, name)


def _other_sign(data: bytes, name: re.Match[bytes]) -> re.Match[bytes] | None:
    """The same where it is neither = nor a colon."""
    stop = name.end()
    following = data[stop : stop + 1]
    before = data[max(0, name.start() - _BEFORE_BYTES) : name.start()]
    if following in (b"\r", b"\n", b"\\"):
        return _VALUE_LINE.match(data, stop) if _NAME_LINE.search(before) else None
    if following == b"]":  # config["api_key"] = ..., without its quotes
        return ASSIGN.match(data, stop + 1)
    if following == b">":
        return _ELEMENT.match(data, stop)
    if following == b"<":
        return _IN_PROPERTY_LIST.match(data, stop)
    if name[0][:1] == b"-" or _COMMAND_BEFORE.search(before):
        return _FLAG_VALUE.match(data, stop)
    return _sign_before_random(data, name)


def _sign_before_random(data: bytes, name: re.Match[bytes]) -> re.Match[bytes] | None:
    """What stands between a name and a value that is random: ``aws_secret_access_key S``, as an
    argument of a command; ``the password is S``."""
    sign = _SAID.match(data, name.end())
    if sign is None and _SIGN_IN_NAME.search(name[0]):
        sign = _FLAG_VALUE.match(data, name.end())
    value = BARE.match(data, sign.end()) if sign else None
    if value is None or len(value[0]) < _RANDOM_BYTES_MIN or UUID.fullmatch(value[0]):
        return None
    return sign if is_random(value[0]) else None
