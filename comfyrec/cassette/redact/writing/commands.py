"""Passwords in command lines: ``sshpass -p S``, ``mysql -pS``, ``redis-cli -a S``.

A flag of one letter says nothing by itself, so what it means is written down for each command.
"""

from __future__ import annotations

import re
from typing import Final

from comfyrec.cassette.redact.values import is_number, looks_like_credential

__all__ = ["FLAGS", "password_behind"]

FLAGS: Final = tuple(
    before + flag
    for before in (b" ", b"'", b'"')
    for flag in (b"-p", b"-a", b"-w", b"-u", b"-storepass", b"-keypass")
)
"""In lower case: what may stand before a password, in a shell and in a list of arguments."""
_LINE_BYTES_MAX: Final = 400
"""How far before a flag its command may stand."""
_DIGITS_MIN: Final = 6
"""Fewer are the number of a port or of a user."""

_APART: Final = rb"(?:[ \t]+|\\*[\"'],\s*\\*[\"'])"
"""Between two arguments."""
_VALUE: Final = rb"=?\\*[\"']?([^\s\"'\\|;&]{4,256})"
_GLUED, _APART_OR_GLUED = _VALUE, b"(?:%b)?%b" % (_APART, _VALUE)
_ROWS: Final = (
    ("sshpass mongosh mongodump mongorestore", b"-p" + _APART_OR_GLUED),
    ("docker login|podman login|registry login|az login", b"-p" + _APART_OR_GLUED),
    ("mysql mysqldump mysqladmin mariadb mariadb-dump 7z 7za 7zz unrar", b"-p" + _GLUED),
    ("curl", rb"-u(?:%b)?\\*[\"']?[\w.@+-]+:%b" % (_APART, _VALUE)),
    ("unzip zip", b"-P" + _APART_OR_GLUED),
    ("redis-cli", b"-a%b%b" % (_APART, _VALUE)),
    ("ldapsearch ldapadd ldapmodify", b"-w" + _APART_OR_GLUED),
    ("openssl", b"-pass(?:in|out)?%bpass:%b" % (_APART, _VALUE)),
    ("keytool jarsigner", b"-(?:store|key)pass%b%b" % (_APART, _VALUE)),
)
_BY_COMMAND: Final = {
    command.encode(): re.compile(behind)
    for commands, behind in _ROWS
    for command in (commands.split("|") if "|" in commands else commands.split())
}
_COMMAND: Final = re.compile(
    rb"(?:\A|[\s/\"'(`;&|]|\\[nrt])(%b)(?:\.exe)?(?=[\s\"'\\])"
    % b"|".join(map(re.escape, sorted(_BY_COMMAND, key=len, reverse=True))),
    re.IGNORECASE,
)
_END_OF_COMMAND: Final = re.compile(rb"[|;&\r\n]|\\[nr]")


def password_behind(data: bytes, at: int) -> tuple[int, int] | None:
    """Where a password stands behind a flag that begins at ``at``, by the command before it."""
    low = max(0, at - _LINE_BYTES_MAX)
    low = max((end.end() for end in _END_OF_COMMAND.finditer(data, low, at)), default=low)
    commands = _COMMAND.findall(data[low : at + 1])
    value = _BY_COMMAND[commands[-1].lower()].match(data, at + 1) if commands else None
    if value is None:
        return None
    is_short_number = is_number(value[1]) and len(value[1]) < _DIGITS_MIN
    if is_short_number or value[1].startswith(b"-") or not looks_like_credential(value[1]):
        return None
    return value.span(1)
