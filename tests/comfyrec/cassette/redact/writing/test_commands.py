"""A flag of one letter has a password behind it in some commands, and a port in others."""

from __future__ import annotations

import pytest

from comfyrec.cassette.redact.writing.commands import password_behind


def found(line: bytes, flag: bytes) -> bytes | None:
    span = password_behind(line, line.rindex(flag))
    return line[span[0] : span[1]] if span else None


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        (b"sshpass -p hunter2x ssh h", b" -p"),
        (b"env A=1 /usr/bin/sshpass -p 'hunter2x' ssh", b" -p"),
        (b'["sshpass", "-p", "hunter2x"]', b'"-p'),
        (b"mysqldump -u joe -phunter2x db", b" -p"),
        (b"curl -ujoe:hunter2x http://h", b" -u"),
        (b"a; redis-cli -h x -a hunter2x", b" -a"),
        (b"make\\nunzip -P hunter2x a.zip", b" -P"),
    ],
)
def test_a_password_is_seen(line: bytes, flag: bytes) -> None:
    assert found(line, flag) == b"hunter2x"


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        (b"ssh -p hunter2x", b" -p"),
        (b"sshpass -e ssh; ssh -p hunter2x", b" -p"),
        (b"sshpass -e ssh\\nssh -p hunter2x", b" -p"),
        (b"mysql -p hunter2x", b" -p"),
        (b"redis-cli -p 6380", b" -p"),
        (b"docker run -u1000:1000 x", b" -u"),
        (b"sshpass -p $PASSWORD ssh", b" -p"),
        (b"sshpass -p 1234 ssh", b" -p"),
        (b"unzip -p hunter2x.zip", b" -p"),
    ],
)
def test_others_stay(line: bytes, flag: bytes) -> None:
    assert found(line, flag) is None
