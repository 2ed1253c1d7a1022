"""What a program does with ``comfy-sdk``, step by step; prints what came of each, as JSON.

Called as ``driver.py FOLDER``, with ``COMFY_BASE_URL`` and, where it needs one, ``COMFY_API_KEY``.
Ids, times and addresses are left out of what is printed: it is the same for each run.
"""

import json
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comfy_sdk import Comfy
from comfy_sdk.events import OutputReady, Progress, StatusChange
from comfy_sdk.exceptions import ComfyError, JobFailed

FOLDER = Path(sys.argv[1])
SEED = random.randrange(2**48)
"""Another in each run, as programs do it: what was recorded is not asked for word by word."""


def png(width: int) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, 8, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(width)) * 8)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def sampled(steps: int, prefix: str) -> dict[str, Any]:
    """A picture from noise."""
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly-fp16.safetensors"),
        "2": node("CLIPTextEncode", text="a bridge", clip=["1", 1]),
        "3": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "4": node(
            "KSampler",
            model=["1", 0], positive=["2", 0], negative=["2", 0], latent_image=["3", 0],
            seed=SEED, steps=steps, cfg=7.0, sampler_name="euler", scheduler="normal", denoise=1.0,
        ),
        "5": node("VAEDecode", samples=["4", 0], vae=["1", 2]),
        "6": node("SaveImage", images=["5", 0], filename_prefix=prefix),
    }  # fmt: skip


def failure(work: Callable[[], Any]) -> Any:
    """Kind and words of what goes wrong."""
    try:
        return ["nothing", work()]
    except JobFailed as failed:
        error = failed.error
        return ["JobFailed", None if error is None else [error.code, error.message]]
    except ComfyError as error:
        return [type(error).__name__, error.code]


def uploads(client: Comfy) -> Any:
    picture = png(16)
    first = client.assets.from_bytes(picture, filename="grey.png", content_type="image/png")
    first.commit()
    again = client.assets.from_bytes(picture, filename="grey.png", content_type="image/png")
    again.commit()
    workflow = client.workflows.from_json(
        {
            "1": node("LoadImage", image="-"),
            "2": node("ImageInvert", image=["1", 0]),
            "3": node("SaveImage", images=["2", 0], filename_prefix="inverted"),
        }
    )
    workflow.set_input("1", "image", first)
    job = client.run(workflow, timeout=30)
    output = job.get_outputs("3")[0]
    whole = output.to_bytes()
    saved = output.to_file(FOLDER / "inverted.png").read_bytes()
    middle = output.to_bytes(range=(1, 3))
    found = client.assets.get(first.id or "")
    return {
        "uploaded": [first.created_new, again.created_new, found.hash == first.hash],
        "status": job.status,
        "outputs": [[one.node_id, one.name, one.type, one.content_type] for one in job.outputs],
        "bytes": [whole == saved, len(whole) == output.size_bytes, middle == whole[1:4]],
        "is_its": output.job_id == job.id,
        "has_url": bool(output.get_download_url().url),
        "graph": sorted(job.get_workflow().graph),
    }


def listens(client: Comfy) -> Any:
    job = client.submit(client.workflows.from_json(sampled(4, "heard")))
    begun = time.monotonic()
    heard = list(job.events())
    took = time.monotonic() - begun
    last = [one for one in heard if isinstance(one, Progress)][-1]
    job.refresh()
    graph = job.get_workflow().graph
    return {
        "at its pace": took > 0.25,
        "my seed": graph["4"]["inputs"]["seed"] == SEED,
        "states": [one.status for one in heard if isinstance(one, StatusChange)][-1:],
        "outputs": [one.output.name for one in heard if isinstance(one, OutputReady)],
        "progress": [last.value, last.nodes_done == last.nodes_total],
        "job": [job.status, [one.name for one in job.outputs]],
    }


def cancels(client: Comfy) -> Any:
    job = client.submit(client.workflows.from_json(sampled(9_000, "never")))
    limit = time.monotonic() + 10
    while job.refresh().status == "queued" and time.monotonic() < limit:
        time.sleep(0.05)
    started = job.status
    job.cancel()
    job.wait(timeout=10)
    return [started, job.status, [one.name for one in job.outputs], failure(job.result)[0]]


def fails(client: Comfy) -> Any:
    bad = sampled(4, "bad")
    bad["4"]["inputs"]["sampler_name"] = "none of those"
    small = node("EmptyImage", width=8, height=8, batch_size=1, color=0)
    broken = {
        "1": small,
        "2": node("ImageBlur", image=["1", 0], blur_radius=31, sigma=1.0),
        "3": node("SaveImage", images=["2", 0], filename_prefix="never"),
    }
    saved = {"nodes": [], "links": [], "last_node_id": 0}
    missing = {"__type": "core/ASSET", "info": {"id": "00000000-0000-4000-8000-000000000000"}}
    lost = {"1": node("LoadImage", image=missing), "2": node("PreviewImage", images=["1", 0])}
    read = client.workflows.from_json

    def twice() -> None:
        key = f"key-{SEED}"
        client.submit(read(sampled(1, "once")), idempotency_key=key).wait(timeout=10)
        client.submit(read(sampled(1, "once")), idempotency_key=key)

    return {
        "refused": failure(lambda: client.submit(read(bad))),
        "as the page saves it": failure(lambda: client.submit(read(saved))),
        "missing asset": failure(lambda: client.submit(read(lost))),
        "failed": failure(lambda: client.run(read(broken), timeout=10)),
        "unknown job": failure(lambda: client.jobs.get("00000000-0000-4000-8000-000000000001")),
        "key used twice": failure(twice),
    }


def lists(client: Comfy) -> Any:
    label = {"run": str(SEED)}
    job = client.submit(client.workflows.from_json(sampled(1, "labelled")), metadata=label)
    job.wait(timeout=10)
    found = list(client.list_jobs(metadata=label))
    return {
        "mine": [one.id == job.id for one in found],
        "status": [one.status for one in found],
        "labels": job.metadata == label,
        "all": len(list(client.list_jobs(limit=2))) > 2,
    }


def deletes(client: Comfy) -> Any:
    asset = client.assets.from_bytes(png(24), filename="short.png", content_type="image/png")
    asset.commit()
    id = asset.id or ""
    asset.delete()
    return failure(lambda: client.assets.get(id))


STEPS = {
    "uploads": uploads,
    "listens": listens,
    "cancels": cancels,
    "fails": fails,
    "lists": lists,
    "deletes": deletes,
}

with Comfy(timeout=20) as client:
    sys.stdout.write(json.dumps({name: step(client) for name, step in STEPS.items()}, indent=1))
