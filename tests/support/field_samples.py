"""Two more tables of traffic, in the forms that services and tools of the field use.

Keys of hosted services, signed addresses, webhooks, settings of tools, logins; and names, hashes and
texts of workflows that look like them.
"""
# ruff: noqa: E501 - a sample stands in one line, as it does on the wire

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from tests.support.redaction_samples import (
    Row,
    answer,
    answered_with,
    asked_with,
    event,
    form_of,
    png,
    posted,
    target,
    told,
    told_by_client,
    told_deflated,
    told_in_fragments,
)

__all__ = ["FIELD_HARMLESS", "FIELD_PLANTS"]

HEX32 = "9f4c1e07ab52d8836e0b7f19c4d2a5e8"
HEX64 = "3b1f9e7c5a2d8046f1c7b3e9a5d1082764e0fb9c3d7a51e8f26b04c8d91ea375"
UUID_KEY = "7d1f0c3e-58ab-4e29-9c64-b2f3a8150d7e"
MIX40 = "Qw7Zt2Lk9XbV4nR8sPm3Jd6Hf1Gc5Ya0Te7Uo2Ki"
B64 = "wJ4rT9vXq2LmZ8nK5pB1sD7fG3hY6cA0eU+iO/tRkMw="
S40 = "kP3vN8xQ1zL6bW9tR4yM7cJ2"


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _plants() -> Iterator[Row]:
    for name, line, s in [
        ("fal", f"Authorization: Key {UUID_KEY}:{HEX32}", HEX32),
        ("BFL", f"x-key: {UUID_KEY}", UUID_KEY),
        ("ElevenLabs", f"xi-api-key: sk_{HEX32}{HEX32[:16]}", HEX32),
        ("Modal key", f"Modal-Key: wk-{S40}", S40),
        ("Modal secret", f"Modal-Secret: ws-{S40}", S40),
        ("Salad", f"Salad-Api-Key: salad_cloud_user_{S40}", S40),
        ("Baseten", f"Authorization: Api-Key {S40[:8]}.{MIX40}", MIX40),
        (
            "AWS v4",
            f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA4J7QZ2MV9XTB3KLN/20261201/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature={HEX64}",
            HEX64,
        ),
        (
            "Access cookie",
            f"Cookie: CF_Authorization={MIX40}; cf_clearance={S40}-1764-1.2.1.1",
            S40,
        ),
        ("webhook signature", f"X-Hub-Signature-256: sha256={HEX64}", HEX64),
        ("svix", f"webhook-signature: v1,{B64}", B64),
        ("stripe", f"Stripe-Signature: t=1764590000,v1={HEX64}", HEX64),
        ("RunPod", f"authorization: rpa_{MIX40.upper()}", MIX40.upper()),
        ("Vast", f"X-Vast-Api-Key: {HEX64}", HEX64),
        ("forward auth", f"X-Auth-Request-Access-Token: {S40}", S40),
        ("Vercel", f"X-Vercel-Protection-Bypass: {S40}", S40),
        (
            "oauth2 proxy cookie",
            f"Cookie: _oauth2_proxy={base64.b64encode(S40.encode()).decode()}|1764590000|{S40}",
            S40,
        ),
    ]:
        yield Row("header of a service", name, asked_with(line), s)
    for name, line, s in [
        (
            "signed place at S3",
            f"Location: https://b.s3.amazonaws.com/o/x.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA4J7QZ2MV9XTB3KLN%2F20261201%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20261201T120000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={HEX64}",
            HEX64,
        ),
        (
            "token of a session at S3",
            f"Location: https://b.r2.cloudflarestorage.com/o/x.png?X-Amz-Security-Token={quote(B64, safe='')}",
            quote(B64, safe=""),
        ),
        (
            "Azure",
            f"Location: https://a.blob.core.windows.net/c/x.png?sv=2024-11-04&se=2026-12-01T13%3A00%3A00Z&sr=b&sp=r&sig={quote(B64, safe='')}",
            quote(B64, safe=""),
        ),
        (
            "cookie of a bearer",
            f"Set-Cookie: __Secure-next-auth.session-token={MIX40}; Path=/; HttpOnly; SameSite=Lax",
            MIX40,
        ),
        (
            "Backblaze",
            f"Location: https://b2.civitai.com/file/m/x.safetensors?Authorization=3_20261201_{HEX32}&fileName=x.safetensors",
            HEX32,
        ),
        (
            "old S3",
            f"Location: https://b.s3.amazonaws.com/x.png?AWSAccessKeyId=AKIA4J7QZ2MV9XTB3KLN&Expires=1764590000&Signature={quote(B64, safe='')}",
            quote(B64, safe=""),
        ),
        (
            "Aliyun",
            f"Location: https://b.oss-cn-beijing.aliyuncs.com/x.png?OSSAccessKeyId=LTAI5tQ2mV9xTb3kLnZ7&Expires=1764590000&Signature={quote(B64, safe='')}",
            quote(B64, safe=""),
        ),
        (
            "Akamai",
            f"Location: https://cdn.example/x.png?hdnts=exp=1764590000~acl=/*~hmac={HEX64}",
            HEX64,
        ),
        ("refresh cookie of two", f"Set-Cookie: refresh={S40}; Path=/", S40),
    ]:
        yield Row("header of an answer of a service", name, answered_with(line), s)
    for name, t, s in [
        (
            "Civitai",
            f"/api/download/models/128713?type=Model&format=SafeTensor&token={HEX32}",
            HEX32,
        ),
        ("RunPod GraphQL", f"/graphql?api_key=rpa_{MIX40.upper()}", MIX40.upper()),
        (
            "JSON in a parameter",
            "/ws?clientId=abc&auth=" + quote(json.dumps({"token": S40}), safe=""),
            S40,
        ),
        (
            "JSON in another parameter",
            "/ws?clientId=abc&params=" + quote(json.dumps({"api_key": S40}), safe=""),
            S40,
        ),
        ("header in a parameter", f"/ws?clientId=abc&authorization=Bearer%20{S40}", S40),
        ("one-time code", f"/oauth/callback?code=4/0A{MIX40}&state=xyz", MIX40),
        ("code verifier", f"/oauth/token?code_verifier={MIX40}", MIX40),
        ("behind an empty parameter", f"/view?a=1&&token={S40}", S40),
        ("ticket", f"/ws?clientId=abc&ticket={S40}", S40),
        ("Jupyter", f"/proxy/8188/queue?token={HEX32}{HEX32[:16]}", HEX32),
        ("hmac", f"/view?filename=a.png&exp=1764590000&hmac={HEX64}", HEX64),
        (
            "HF signed",
            f"/x.safetensors?Expires=1764590000&Policy={B64.rstrip('=').replace('/', '_').replace('+', '-')}&Signature={S40}&Key-Pair-Id=K24J",
            S40,
        ),
    ]:
        yield Row("target of a service", name, target(t), s)
    for name, v, s in [
        ("fal key in settings", {"settings": {"fal_key": f"{UUID_KEY}:{HEX32}"}}, HEX32),
        ("FAL_KEY in environment", {"env": {"FAL_KEY": f"{UUID_KEY}:{HEX32}"}}, HEX32),
        (
            "headers of a job",
            {"input": {"webhook_headers": {"Authorization": f"Bearer {S40}"}}},
            S40,
        ),
        ("cookie of a job", {"headers": {"Cookie": f"session={S40}; theme=dark"}}, S40),
        (
            "webhook of Discord",
            {"webhook": f"https://discord.com/api/webhooks/1180000000000000001/{MIX40}{S40}"},
            MIX40,
        ),
        (
            "webhook of Slack",
            {"webhook_url": f"https://hooks.slack.com/services/T02AB3CD4/B05EF6GH7/{S40}"},
            S40,
        ),
        (
            "bot of Telegram",
            {"url": f"https://api.telegram.org/bot7123456789:AAH{MIX40[:32]}/sendPhoto"},
            MIX40[:32],
        ),
        (
            "settings of S3",
            {
                "s3Config": {
                    "accessId": "AKIA4J7QZ2MV9XTB3KLN",
                    "accessSecret": MIX40,
                    "bucketName": "b",
                }
            },
            MIX40,
        ),
        (
            "settings of boto",
            {"aws_access_key_id": "AKIA4J7QZ2MV9XTB3KLN", "aws_secret_access_key": MIX40},
            MIX40,
        ),
        (
            "connection of Azure",
            {
                "cs": f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={B64};EndpointSuffix=core.windows.net"
            },
            B64,
        ),
        ("Redis", {"broker": f"redis://:{S40}@10.0.0.2:6379/0"}, S40),
        ("Postgres", {"dsn": f"postgresql+asyncpg://comfy:{S40}@db:5432/comfy"}, S40),
        (
            "Firebase",
            {"idToken": S40, "refreshToken": "AMf-vBx" + MIX40, "expiresIn": "3600"},
            MIX40,
        ),
        (
            "presigned in an answer",
            {
                "url": f"https://b.s3.amazonaws.com/x.png?X-Amz-Signature={HEX64}",
                "fields": {"policy": B64},
            },
            HEX64,
        ),
        (
            "fields of a presigned post",
            {"fields": {"key": "o/x.png", "x-amz-signature": HEX64, "policy": B64}},
            HEX64,
        ),
        ("JSON of arguments", {"args": json.dumps(["--hf-token", S40])}, S40),
        ("widget of a node", {"inputs": {"civitai_token_optional": S40}}, S40),
        ("key of a node", {"inputs": {"api_key_str": f"sk-or-v1-{HEX64}"}}, HEX64),
        ("two halves", {"credentials": {"username": "joe", "value": S40}}, S40),
        ("auth of requests", {"auth": ["joe", S40]}, S40),
        ("auth object", {"auth": {"type": "bearer", "bearer": S40}}, S40),
        (
            "auth of Postman",
            {"auth": {"bearer": [{"key": "token", "value": S40, "type": "string"}]}},
            S40,
        ),
        ("curl in a note", {"text": f"curl -u joe:{S40} https://h/x"}, S40),
        ("curl with a cookie", {"text": f"curl -b 'session={S40}' https://h/x"}, S40),
        ("PowerShell", {"text": f'$env:HF_TOKEN = "{S40}"'}, S40),
        ("Python environment", {"text": f'os.environ["HF_TOKEN"] = "{S40}"'}, S40),
        ("docker", {"text": f"docker run -e CIVITAI_TOKEN={S40} -p 8188:8188 comfy"}, S40),
        ("Dockerfile", {"text": f"FROM x\nENV HF_TOKEN {S40}\nRUN y"}, S40),
        ("netrc", {"text": f"machine huggingface.co login joe password {S40}"}, S40),
        ("Kubernetes", {"text": f"env:\n  - name: HF_TOKEN\n    value: {S40}\n"}, S40),
        ("wget", {"text": f'wget --header="Authorization: Bearer {S40}" https://h/x'}, S40),
        (
            "failed download",
            {
                "exception_message": f"401 Client Error: Unauthorized for url: https://civitai.com/api/download/models/1?token={HEX32}"
            },
            HEX32,
        ),
        (
            "traceback",
            {"traceback": [f"  headers={{'Authorization': 'Bearer {S40}', 'Accept': '*/*'}}\n"]},
            S40,
        ),
        ("XML attributes", {"text": f'<add key="ApiKey" value="{S40}" />'}, S40),
        ("vast", {"vast_api_key": HEX64}, HEX64),
        ("oauth answer", {"access_token": S40, "token_type": "bearer", "expires_in": 3600}, S40),
    ]:
        yield Row("JSON of a service", name, posted(as_json(v)), s)
        yield Row("message of a service", name, told(as_json({"type": "x", "data": v})), s)
    for name, k in [
        ("Anthropic", "sk-ant-api03-" + MIX40 + S40),
        ("OpenRouter", "sk-or-v1-" + HEX64),
        ("Tripo", "tsk_" + MIX40),
        ("Meshy", "msy_" + MIX40),
        ("ElevenLabs", "sk_" + HEX32 + HEX32[:16]),
        ("Google refresh", "1//0g" + MIX40 + S40),
        ("Google client", "GOCSPX-" + MIX40[:28]),
        ("Atlassian", "ATATT3x" + MIX40 + MIX40),
        ("Slack app", "xapp-1-A02BC3DE4FG-5123456789012-" + HEX64),
        ("Shopify", "shpat_" + HEX32),
        ("Figma", "figd_" + MIX40),
        ("Sentry", "sntrys_" + MIX40 + S40),
        ("Grafana", "glsa_" + MIX40[:32] + "_1a2b3c4d"),
        ("PostHog", "phx_" + MIX40),
        ("LangSmith", "lsv2_pt_" + HEX32 + "_1a2b3c4d5e"),
        ("age", "AGE-SECRET-KEY-1" + MIX40.upper() + "QPZR4XVT"),
        ("Cloudflare user", "cfut_" + MIX40 + "1a2b3c4d"),
        ("DigitalOcean", "dop_v1_" + HEX64),
        ("Vercel", "vcp_" + MIX40),
        ("Netlify", "nfp_" + MIX40),
        ("npm", "npm_" + MIX40[:36]),
        ("Telegram", "7123456789:AAH" + MIX40[:32]),
        ("Notion", "ntn_" + MIX40),
        ("Airtable", "patQw7Zt2Lk9XbV4n." + HEX64),
        ("Doppler", "dp.pt." + MIX40),
        ("Slack hook", f"https://hooks.slack.com/services/T02AB3CD4/B05EF6GH7/{S40}"),
    ]:
        yield Row(
            "key of a service in words",
            name,
            told(as_json({"type": "logs", "data": {"entries": [{"m": f"sent {k} there"}]}})),
            k.rpartition("/")[2] if "/T02" in k else k,
        )
    for name, body, s in [
        (
            "payload of a hook",
            "payload=" + quote_plus(json.dumps({"text": "x", "token": S40})),
            S40,
        ),
        ("OAuth client", f"grant_type=client_credentials&client_id=a&client_secret={S40}", S40),
        ("OAuth code", f"grant_type=authorization_code&code={MIX40}&redirect_uri=x", MIX40),
        ("Twilio", f"AccountSid=AC{HEX32}&AuthToken={HEX32[::-1]}", HEX32[::-1]),
        ("login", f"username=joe&password={quote('p4ss w0rd&' + S40)}", S40),
        ("JSON twice", "data=" + quote_plus(json.dumps({"w": json.dumps({"api_key": S40})})), S40),
    ]:
        yield Row(
            "form of a service", name, posted(body.encode(), "application/x-www-form-urlencoded"), s
        )
    for name, parts, s in [
        ("extra data", (('name="extra_data"', as_json({"api_key_comfy_org": S40})),), S40),
        (
            "environment file",
            (('name="file"; filename=".env"', f"HF_TOKEN={S40}\nX=1\n".encode()),),
            S40,
        ),
        (
            "header of a part",
            (('name="image"; filename="a.png"\r\nX-Api-Key: ' + S40, png()),),
            S40,
        ),
        (
            "workflow in a picture",
            (
                (
                    'name="image"; filename="a.png"\r\nContent-Type: image/png',
                    png(workflow=json.dumps({"nodes": [{"properties": {"api_key": S40}}]})),
                ),
            ),
            S40,
        ),
        (
            "signed upload",
            (
                ('name="key"', b"o/x.png"),
                ('name="x-amz-signature"', HEX64.encode()),
                ('name="file"; filename="x.png"', png()),
            ),
            HEX64,
        ),
        (
            "policy of an upload",
            (
                ('name="policy"', base64.b64encode(as_json({"expiration": "2026"}) * 3)),
                ('name="file"; filename="x.png"', png()),
            ),
            base64.b64encode(as_json({"expiration": "2026"}) * 3).decode(),
        ),
        ("password", (('name="password"', b"correct-horse-9-battery"),), "correct-horse-9-battery"),
    ]:
        yield Row("multipart of a service", name, form_of(*parts), s)
    for name, said, s in [
        ("first message", told_by_client(as_json({"type": "auth", "token": S40})), S40),
        ("Socket.IO", told_by_client(b'42["auth",' + as_json({"token": S40}) + b"]"), S40),
        ("Socket.IO connect", told_by_client(b'40/comfy,{"token":"' + S40.encode() + b'"}'), S40),
        ("STOMP", told_by_client(f"CONNECT\nlogin:joe\npasscode:{S40}\n\n\0".encode()), S40),
        (
            "graphql",
            told_by_client(
                as_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {S40}"}})
            ),
            S40,
        ),
        ("bare bearer", told_by_client(f"Bearer {S40}".encode()), S40),
        (
            "feature flags",
            told_by_client(
                as_json(
                    {
                        "type": "feature_flags",
                        "data": {"supports_preview_metadata": True, "auth_token": S40},
                    }
                )
            ),
            S40,
        ),
        ("JSON lines", told_by_client(as_json({"a": 1}) + b"\n" + as_json({"apiKey": S40})), S40),
        (
            "signalr",
            told_by_client(as_json({"protocol": "json", "access_token": S40}) + b"\x1e"),
            S40,
        ),
        (
            "fragments",
            told_in_fragments(as_json({"type": "auth", "headers": {"x-api-key": S40}})),
            S40,
        ),
        ("deflated", told_deflated(as_json({"type": "auth", "headers": {"x-api-key": S40}})), S40),
        (
            "binary text",
            told(
                event(
                    3,
                    struct.pack(">I", 1)
                    + b"3"
                    + f"saved to https://a/x?sig={quote(B64, safe='')}".encode(),
                ),
                2,
            ),
            quote(B64, safe=""),
        ),
    ]:
        yield Row("socket of a service", name, said, s)


FIELD_PLANTS: list[Row] = list(_plants())

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def _harmless() -> Iterator[Row]:
    for name, v in [
        (
            "LoRA stack",
            {
                "inputs": {
                    "lora_01": "add-detail-xl_v2.safetensors",
                    "strength_01": 0.8,
                    "text": "<lora:Key_Visual_Style_v3:0.7>, <lyco:token2_pony:1>",
                }
            },
        ),
        ("LoRA without ending", {"lora_name": "keyframe-secret-style_b4x2k9", "token": "sks"}),
        (
            "AIR",
            {
                "air": "urn:air:flux1:lora:civitai:682349@763724",
                "civitai": "urn:air:sdxl:checkpoint:civitai:101055@128078",
            },
        ),
        (
            "civitai resources",
            {
                "civitaiResources": [{"type": "checkpoint", "modelVersionId": 128078}],
                "hashes": {"model": SHA[:10], "lora:add_detail": SHA[:12]},
            },
        ),
        (
            "A1111 parameters",
            {
                "parameters": 'a cat, secret: door\nNegative prompt: signature\nSteps: 20, Sampler: Euler a, Seed: 123456789012345, Model hash: 6ce0161689, Lora hashes: "add_detail: 7c6bad76eb54", Version: v1.10.1'
            },
        ),
        (
            "safetensors metadata",
            {
                "__metadata__": {
                    "modelspec.hash_sha256": "0x" + SHA,
                    "ss_tag_frequency": '{"token": {"sks dog": 12}}',
                    "sshs_model_hash": SHA,
                }
            },
        ),
        (
            "model metadata",
            {"model": {"sha256": SHA, "autov3": SHA[:12].upper(), "blake3": SHA[::-1]}},
        ),
        (
            "asset",
            {
                "id": "0f4e2b6a-3c1d-4f7a-8b2e-9d5c6a7f1e30",
                "asset_hash": "blake3:" + SHA,
                "tags": ["models", "loras"],
                "preview_id": None,
            },
        ),
        ("hash as key", {SHA: {"path": "loras/token.safetensors", "key": SHA[:10]}}),
        (
            "cache keys",
            {"cache_key": SHA, "key_hash": SHA, "cacheKey": SHA[:16], "input_signature": None},
        ),
        (
            "prompt about a password",
            {"text": "a sticky note with the words password: hunter2 on a monitor, photo"},
        ),
        (
            "prompt about keys",
            {"text": "golden key:1.3, skeleton key=old, API key sketch, token ring"},
        ),
        (
            "prompt about a bearer",
            {"text": "flag bearer marching, pall bearer, Bearer of Light 3000"},
        ),
        (
            "prompt about a cookie",
            {"text": "cookie=cute cat baker, session: golden hour, auth: none"},
        ),
        (
            "seeds",
            {
                "seed": 18446744073709551615,
                "noise_seed": "982451653982451653",
                "rand_token": 77,
                "secret_seed": 42,
            },
        ),
        ("subgraph", {"type": UUID_KEY, "key": "subgraph.9a13dd4e"}),
        (
            "UUIDs",
            {
                "prompt_id": "550e8400-e29b-41d4-a716-446655440000",
                "key": "9b2f1c3a-7d4e-4f6b-8a1c-2e3d4f5a6b7c",
                "session_id": "4fa85f64-5717-4562-b3fc-2c963f66afa6",
            },
        ),
        (
            "node names",
            {
                "1": {"class_type": "easy showAnything"},
                "2": {"class_type": "Text Multiline (Key)"},
                "3": {"class_type": "SecretSauce|pysssss"},
                "4": {"class_type": "GeminiAPIKeyLoader2"},
            },
        ),
        (
            "rgthree",
            {
                "inputs": {
                    "lora_1": {"on": True, "lora": "secret_style_v2.safetensors", "strength": 1},
                    "\u2795 Add Lora": "",
                }
            },
        ),
        (
            "properties",
            {
                "properties": {
                    "Node name for S&R": "TokenCounter",
                    "cnr_id": "comfy-core",
                    "ver": "0.3.64",
                    "aux_id": "kijai/ComfyUI-KJNodes",
                }
            },
        ),
        (
            "hash of a commit",
            {
                "ver": "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
                "key": "main",
                "aux_id": "x/ComfyUI-Auth",
            },
        ),
        (
            "links of a workflow",
            {
                "links": [[12, 3, 0, 7, 1, "TOKEN"], [13, 4, 0, 8, 0, "API_KEY"]],
                "extra": {"ds": {"scale": 0.8}},
            },
        ),
        (
            "widgets",
            {
                "widgets_values": [
                    "token",
                    "fixed",
                    982451653,
                    "dpmpp_2m_sde_gpu",
                    "sgm_uniform",
                    "password",
                ]
            },
        ),
        (
            "model names",
            {
                "key": "Qwen2.5-VL-7B-Instruct-AWQ",
                "token": "google/gemma-3-12b-it",
                "auth": "black-forest-labs/FLUX.2-dev",
            },
        ),
        (
            "GGUF",
            {
                "unet_name": "flux1-dev-Q4_K_S.gguf",
                "key": "t5-v1_1-xxl-encoder-Q5_K_M.gguf",
                "secret": "wan2.2_ti2v_5B_fp16.safetensors",
            },
        ),
        (
            "choices with odd names",
            {
                "required": {
                    "api_key_source": [["env", "input", "file"], {"default": "env"}],
                    "session": [["new", "keep2"], {}],
                }
            },
        ),
        (
            "combo v3",
            {
                "token_merging": [
                    "COMBO",
                    {"options": ["off", "ratio0.5", "tomesd2x"], "default": "off"},
                ]
            },
        ),
        (
            "settings",
            {
                "Comfy.Workflow.AutoSave": "off",
                "Comfy.Keybinding.UnsetBindings": [
                    {"commandId": "x", "combo": {"key": "F12x", "shift": True}}
                ],
                "pysssss.ShowImageKey": "b4",
            },
        ),
        (
            "key combos",
            [
                {"key": "ArrowLeft"},
                {"key": "k"},
                {"key": "Ctrl+Alt+F9"},
                {"keys": ["Ctrl", "Shift", "F10"]},
            ],
        ),
        (
            "tokens of a tokenizer",
            {
                "tokens": [49406, 320, 1125],
                "tokens_text": ["<|startoftext|>", "a</w>", "photo</w>"],
                "bos_token": "<s>",
                "token_ids": "49406,320,1125",
            },
        ),
        (
            "usage",
            {
                "usage": {
                    "prompt_tokens": 1024,
                    "completion_tokens": 88,
                    "total_tokens": 1112,
                    "cached_tokens": "1024",
                },
                "max_new_tokens": "4096",
            },
        ),
        (
            "pricing",
            {
                "api_node": True,
                "price_badge": {"depends_on": {"widgets": ["token_limit"]}, "expr": '{"usd":0.05}'},
                "auth_required": "true",
            },
        ),
        (
            "features",
            {
                "type": "feature_flags",
                "data": {
                    "supports_preview_metadata": True,
                    "max_upload_size": 104857600,
                    "extension": {"manager": {"supports_v4": True}},
                    "auth": "firebase",
                },
            },
        ),
        (
            "terminal log",
            {
                "entries": [
                    {
                        "t": "2026-12-01T12:00:00",
                        "m": "Using pytorch attention; token merging: 0.5; session started at 12:00:01; key=lora_unet_double_blocks_0_img_attn_proj",
                    }
                ]
            },
        ),
        (
            "lora keys not loaded",
            {
                "m": "lora key not loaded: lora_te1_text_model_encoder_layers_0_self_attn_k_proj.alpha\nlora key not loaded: diffusion_model.double_blocks.12.img_attn.qkv.lora_A.weight"
            },
        ),
        (
            "missing keys",
            {
                "m": "clip missing: ['text_projection.weight'] unet unexpected keys: ['v_pred', 'ztsnr'], missing key: vae.post_quant_conv.weight2"
            },
        ),
        (
            "git log",
            {
                "m": "Fetched token-merging @ a1b2c3d4e5f60718, HEAD is now at 9f8e7d6 fix: api key: show in settings"
            },
        ),
        (
            "pip",
            {
                "m": "Successfully installed tokenizers-0.21.4 huggingface-hub-0.34.4 pyjwt-2.10.1 secretstorage-3.3.3 cryptography-45.0.6"
            },
        ),
        (
            "download",
            {
                "url": "https://huggingface.co/Comfy-Org/z_image/resolve/a1b2c3d4e5f60718293a4b5c6d7e8f9012345678/split_files/vae/ae.safetensors?download=true"
            },
        ),
        (
            "civitai page",
            {
                "url": "https://civitai.com/models/682349?modelVersionId=763724",
                "image": "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/0f4e2b6a-3c1d-4f7a-8b2e-9d5c6a7f1e30/width=450/1.jpeg",
            },
        ),
        (
            "error text",
            {
                "message": "Unauthorized: Please login first to use this node.",
                "details": "token: required",
                "extra_info": {"auth_kwargs": ["auth_token_comfy_org", "api_key_comfy_org"]},
            },
        ),
        (
            "hidden inputs",
            {
                "input": {
                    "hidden": {
                        "auth_token_comfy_org": "AUTH_TOKEN_COMFY_ORG",
                        "api_key_comfy_org": "API_KEY_COMFY_ORG",
                        "unique_id": "UNIQUE_ID",
                    }
                }
            },
        ),
        (
            "hidden inputs as lists",
            {
                "input": {
                    "hidden": {
                        "auth_token_comfy_org": ["AUTH_TOKEN_COMFY_ORG", {}],
                        "api_key": ["STRING", {"socketless": True}],
                    }
                }
            },
        ),
        ("search", {"q": "password manager", "sort": "key", "facets": {"token": 3}}),
        (
            "a JWT in a tooltip",
            {"tooltip": "Paste a JWT (eyJ...) or a token like hf_... here; key: see settings"},
        ),
        (
            "markdown note",
            {
                "widgets_values": [
                    "## API key\n1. Get a key: https://platform.example/keys\n2. Set `OPENAI_API_KEY=sk-...`\n\n**Token:** none needed"
                ]
            },
        ),
        (
            "colours",
            {"color": "#232", "bgcolor": "#353", "key_color": "#a1b2c3", "token_color": "#ff00aa"},
        ),
    ]:
        yield Row("JSON of the field", name, posted(as_json(v)))
        yield Row("message of the field", name, told(as_json({"type": "x", "data": v})))
    for name, line in [
        ("etag", f'ETag: "{SHA}"'),
        ("digest", f"Content-Digest: sha-256=:{B64}:"),
        ("repr digest", f"Repr-Digest: sha-256=:{B64}:"),
        ("trace", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("ray", "CF-Ray: 8f2c3d4e5f6a7b8c-FRA"),
        ("request id", "X-Request-Id: 7d1f0c3e58ab4e299c64b2f3a8150d7e"),
        ("cache", "X-Cache-Status: HIT"),
        (
            "csp",
            "Content-Security-Policy: script-src 'self' 'sha256-B2yPHKaXnvFWtRChIbabYmUBFZdVfKKXHbWtWidDVF8='",
        ),
        ("xet", f"X-Xet-Hash: {SHA}"),
        ("linked", f'X-Linked-ETag: "{SHA}"'),
        ("repo commit", "X-Repo-Commit: a1b2c3d4e5f60718293a4b5c6d7e8f9012345678"),
    ]:
        yield Row("header of the field", name, answered_with(line))
    for name, t in [
        ("hash", f"/api/assets/hash/blake3:{SHA}"),
        ("model by hash", f"/api/experiment/models/preview/loras/0/{SHA[:10]}"),
        ("seed", "/view?filename=a.png&seed=982451653982451653"),
        ("asset query", f"/api/assets?include_tags=loras&hash={SHA}&sort_key=name"),
        ("path with key", "/extensions/ComfyUI-Key-Auth/js/token.js?v=a1b2c3d4"),
        ("i18n", "/api/i18n?key=apiKey"),
        ("template", "/templates/api_bfl_flux_1_kontext_max_image.json?signature=none"),
        ("range of words", "/api/userdata?dir=workflows&recurse=true&split=false&full_info=true"),
    ]:
        yield Row("target of the field", name, target(t))
    for name, code in [
        (
            "JS storage",
            'localStorage.setItem("token",e.token);document.cookie="session="+a1b2c3d4e5f6g7;',
        ),
        (
            "JS switch",
            'case"Bearer":return{Authorization:`Bearer ${t.accessToken}`};case"ApiKey":k="x1y2z3w4v5u6t7";',
        ),
        (
            "CSS",
            '.token.key{color:#a1b2c3}.password::after{content:"p4ssw0rd1234";background:url(data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==)}',
        ),
    ]:
        yield Row("script of the field", name, answer(code.encode(), "text/javascript"))
    yield Row(
        "picture of the field",
        "A1111",
        answer(
            png(
                parameters=f'a cat\nSteps: 20, Model hash: 6ce0161689, Lora hashes: "key: 7c6bad76eb54", Hashes: {{"model": "{SHA[:10]}"}}'
            ),
            "image/png",
        ),
    )
    yield Row(
        "form of the field",
        "upload",
        form_of(
            ('name="image"; filename="key_a1b2c3d4e5.png"', png()),
            ('name="subfolder"', b"session_a1b2"),
            ('name="overwrite"', b"true"),
        ),
    )
    yield Row(
        "form of the field",
        "mask",
        form_of(
            ('name="image"; filename="clipspace-mask-1764590000.png"', png()),
            (
                'name="original_ref"',
                as_json({"filename": "secret.png", "subfolder": "", "type": "input"}),
            ),
        ),
    )


FIELD_HARMLESS: list[Row] = list(_harmless())
