"""Two more tables of traffic: command lines, binary encodings, objects of credentials, bots.

And what looks like them: terms of licenses, slots to fill in, masks, words of other languages.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.support.redaction_samples import Row, answer, answered_with, posted, target, told

__all__ = ["TOOL_HARMLESS", "TOOL_PLANTS"]

S24 = "tR7vB2nX9mQ4zL8kW3pJ6sD1"
S16 = "kW3pJ6sD1tR7vB2n"
S22 = "Hq5Wc8Zt1Lb6Ny3Xr9Kd4V"
S38 = "Zp4Xk9Tq2Wm7Rb3Vn8Lc5Yd1Hf6Gs0Ja4Ue9K"
HEX32 = "c0ffee1d5a7b49e2863f10d4b7a9e5c2"
HEX64 = HEX32 + HEX32[::-1]
UPPER = "7KQ2M9XTB3LNV6RJ8WYCZ5HPD4FG1SAE7UKQ2M9X"
UUID_KEY = "7d1f0c3e-58ab-4e29-9c64-b2f3a8150d7e"


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def logged(line: str) -> bytes:
    return as_json({"type": "logs", "data": {"entries": [{"m": line}]}})


def _cbor(name: str, value: str) -> bytes:
    return (
        b"\xa1" + bytes((0x60 + len(name),)) + name.encode() + b"x%c" % len(value) + value.encode()
    )


def _pair(name: str, value: str) -> bytes:
    """As Protocol Buffers write an entry of a map."""
    return b"\n%c%b\x12%c%b" % (len(name), name.encode(), len(value), value.encode())


def _bson(name: str, value: str) -> bytes:
    member = b"\2" + name.encode() + b"\0" + struct.pack("<i", len(value) + 1) + value.encode()
    return struct.pack("<i", len(member) + 6) + member + b"\0\0"


COMMANDS = [
    f"+ sshpass -p {S16} ssh root@h",
    f"sshpass -p'{S16}' scp a b",
    f"mysql -u root -p{S16} comfy < dump.sql",
    f"redis-cli -h r -a {S16} ping",
    f"docker login -u joe -p {S16} registry.example",
    f"7z x models.7z -p{S16}",
    f"unzip -P {S16} models.zip",
    f"ldapsearch -D cn=joe -w {S16} -b dc=x",
    f"openssl enc -d -passin pass:{S16} -in a",
    f"keytool -list -storepass {S16}",
    f"curl --user=joe:{S16} https://h",
    f"curl -ujoe:{S16} https://h",
    f"aws configure set aws_secret_access_key {S24}",
    f"ngrok config add-authtoken 2{S24}_{S22}",
    f"Your password is: {S24}",
    f"modal token set --token-id ak-{S22} --token-secret as-{S22}",
]


def _plants() -> Iterator[Row]:
    for line in COMMANDS:
        secret = next(one for one in (S24, S22, S16) if one in line)
        yield Row("command line", line.replace(secret, "S"), told(logged(line)), secret)
    arguments = ["sshpass", "-p", S16, "ssh", "h"]
    yield Row("command line", "list of arguments", posted(as_json({"args": arguments})), S16)
    for name, value in [
        ("object of secrets", {"secrets": {"openai": S24, "count": 2}}),
        ("list of secrets", {"secrets": [{"id": "x", "data": S24}]}),
        ("object of tokens", {"tokens": {"huggingface": S24}}),
        ("object of passwords", {"passwords": {"admin": S24}}),
        ("deep in credentials", {"credentials": {"huggingface": {"default": S24}}}),
        ("in a string", {"x": json.dumps({"secrets": {"a": S24}})}),
        ("a hint in the name", {"inputs": {"hf_access_token (optional)": S24}}),
        ("license key", {"license_key": S24}),
    ]:
        yield Row("object of credentials", name, posted(as_json(value)), S24)
        yield Row("told object", name, told(as_json({"type": "x", "data": value})), S24)
    for name, widget, secret in [
        ("bot of Discord", f"MTI3NTY4OTAxMjM0NTY3ODkw.GaBcDe.{S38}", S38),
        ("older bot of Discord", f"NzkyNzE1NDU0MTk2MDg4ODQy.X-hvzA.{S38[:27]}", S38[:27]),
        ("fal", f"{UUID_KEY}:{HEX32}", HEX32),
        ("Modal", f"as-{S22}", S22),
        ("Jina", f"jina_{HEX32}{S22}", S22),
        ("Groq", f"gsk_{UPPER}", UPPER),
        ("RunPod", f"rpa_{UPPER}", UPPER),
        ("OpenAI with one digit", "sk-proj-ugomrb7xoZJNqDBTUBbidNBd", "ugomrb7xoZJNqDBTUBbidNBd"),
        ("hash of a password", f"$2b$12${S22}{S24}", S24),
        ("hook of IFTTT", f"https://maker.ifttt.com/trigger/done/with/key/{S22}", S22),
    ]:
        value = {"nodes": [{"type": "Send", "widgets_values": ["a", widget]}]}
        yield Row("widget without a name", name, posted(as_json(value)), secret)
        yield Row("word in a log", name, told(logged(f"sent {widget} there")), secret)
    for name, body in [
        ("MessagePack", msgspec.msgpack.encode({"api_key": S24, "n": 1})),
        ("MessagePack, nested", msgspec.msgpack.encode({"data": [{"password": S24}]})),
        ("MessagePack, 8 bits of size", msgspec.msgpack.encode({"hf_token": "hf_" + S38 + S24})),
        ("MessagePack, 16 bits of size", msgspec.msgpack.encode({"session_token": S24 * 12})),
        ("MessagePack, bytes", msgspec.msgpack.encode({"secret": S24.encode()})),
        ("CBOR", _cbor("api_key", S24)),
        ("Protocol Buffers", _pair("api_key", S24)),
        ("BSON", _bson("api_key", S24)),
    ]:
        yield Row("binary body", name, posted(body, "application/octet-stream"), S24)
        yield Row("binary message", name, told(body, 2), S24)
    for name, written in [
        ("resourcekey", f"/proxy?url=x&resourcekey=0-{S24}"),
        ("sign", f"/gradio?__sign={S24}&__theme=dark"),
        ("hm", f"/a.png?ex=692d8f00&is=692c3d80&hm={HEX64}&"),
        ("st", f"/media?st={S24}&e=1764590000"),
    ]:
        secret = HEX64 if HEX64 in written else S24
        yield Row("target of a tool", name, target(written), secret)
        if name != "st":  # in a text it is the end of many words
            yield Row("address in a log", name, told(logged(f"GET https://h{written}")), secret)
    for name, text in [
        ("property list", f"<key>ApiToken</key><string>{S24}</string>"),
        ("field of a form", f'<input type="password" name="pw" value="{S24}">'),
        ("netrc in lines", f"machine civitai.com\nlogin joe\npassword {S24}\n"),
        ("htpasswd", f"joe:$apr1${S16[:8]}${S24}\n"),
    ]:
        yield Row("file of a tool", name, answer(text.encode(), "text/plain"), S24)


TOOL_PLANTS: list[Row] = list(_plants())


def _harmless() -> Iterator[Row]:
    for name, value in [
        ("terms", {"license": "apache-2.0", "license_key": "cc-by-nc-4.0"}),
        ("other terms", {"license_key": "creativeml-openrail-m", "licenseKey": "gpl-3.0-or-later"}),
        ("secrets in words", {"secrets": "the secrets of the forest, 8k"}),
        ("facts of secrets", {"secrets": {"count": 3, "enabled": True, "store": "keyring"}}),
        ("names of secrets", {"secrets": {"names": ["HF_TOKEN", "CIVITAI_TOKEN"]}}),
        ("ids of credentials", {"credentials": {"id": UUID_KEY, "hash": HEX32}}),
        ("tokens to fill", {"tokens": {"placeholder": "<s1><s2>", "bos": "<|im_start|>"}}),
        ("a word that is learnt", {"token": "<hrld3k>", "placeholder_token": "<s1>"}),
        ("a model", {"token": "CLIP-ViT-H-14-laion2B-s32B-b79K"}),
        ("slots", {"api_key": "<your token here>", "token": "YOUR_API_KEY", "secret": "changeme"}),
        (
            "masks",
            {"api_key": "sk-****************abcd", "hf_token": "hf_...", "token": "xxxxxxxx"},
        ),
        ("crossed out", {"api_key": "sk-xxxxxxxxxxxxxxxxxxxxxxxx"}),
        (
            "variables",
            {"api_key": "${OPENAI_API_KEY}", "token": "$HF_TOKEN", "secret": "{{ a.HF }}"},
        ),
        ("places", {"api_key": "env:OPENAI_API_KEY", "password": "os.environ['PW']"}),
        ("German", {"password": "Passwort", "apiKey": "API-Schlüssel"}),
        ("numbers of a bot", {"ver": "MTA0NzU.GaBcD.abc", "file": "rgthree.Gallery.safetensors"}),
        ("UUID and a word", {"key": f"{UUID_KEY}:output", "m": f"{UUID_KEY}: deadbeef"}),
        (
            "names with capitals",
            {"key": "EmptyMiniMaxH3LatentAV", "session": "getArrayU32FromWasm0"},
        ),
        ("list of names", {"class": "as-is ak-47 ws-protocol", "m": "as-needed wk-2 canvas-v2"}),
    ]:
        yield Row("JSON of a tool", name, posted(as_json(value)))
        yield Row("message of a tool", name, told(as_json({"type": "x", "data": value})))
    for line in [
        "python main.py -p 8188 --port 8188 -u nobody --user-directory /data/u1 -a none",
        "mkdir -p outputs/session2 && cp -p a1.png b2.png && grep -a token2 log.txt",
        "psql -p 5432 -U comfy2 db1",
        "ssh -p 22022 root@10.0.0.2 ls -a1",
        "redis-cli -p 6380 ping2",
        "mysql -p comfy2 -P 3306",
        "docker run -p 8188:8188 -u 1000:1000 comfy2",
        "docker login -u joe --password-stdin r2.example",
        "zip -r a1.zip b2 -x '*.png'",
        "curl -u 8 -o out1.png http://h/view?filename=a1.png",
        "the token is: required; the password is wrong, try again",
        "Skipping token_refiner 12 of 34, api_key missing",
        "2026-12-01T12:00:00-05:00: started",
    ]:
        yield Row("command line without a password", line, told(logged(line)))
    for name, line in [
        ("tokens left", "x-ratelimit-reset-tokens: 6m0s"),
        ("tokens of a model", "anthropic-ratelimit-tokens-remaining: 79000"),
    ]:
        yield Row("header of a tool", name, answered_with(line))
    yield Row("target without a secret", "key=nodes1", target("/customnode/getlist?key=nodes1"))
    packed = {"tokens": [1, 2], "key": "node1", "prompt": "token of love", "password": None}
    for name, body in [
        ("MessagePack", msgspec.msgpack.encode({**packed, "token": "STRING", "auth": True})),
        ("Protocol Buffers", _pair("token", "none")),
        ("CBOR", _cbor("key", "euler_ancestral")),
    ]:
        yield Row("binary body without a secret", name, posted(body, "application/octet-stream"))


TOOL_HARMLESS: list[Row] = list(_harmless())
