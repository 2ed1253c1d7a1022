"""Make the pictures of docs/ with a headless Chromium: python docs/make_screenshots.py [NAME ...]

They are of bundled cassettes, and of a fake server in the middle of a run. A picture that lacks
what it should show is an error.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from comfyrec.client.shells.blocking import Client
from comfyrec.control import controlled
from comfyrec.errors import ComfyrecError
from comfyrec.testing.settings import PluginSettings

DOCS = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WAIT_MS = 4_000
PANEL = "panel"
WORKFLOW = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 5, "steps": 20, "cfg": 7, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "v1-5-pruned-emaonly.safetensors"},
    },
    "5": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 512, "height": 512, "batch_size": 1},
    },
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurred", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "me", "images": ["8", 0]}},
}  # fmt: skip


class Picture(NamedTuple):
    """One picture: of which recordings, at which moment, and what has to be in it."""

    files: tuple[str, ...]
    link: str
    shows: tuple[str, ...]
    width: int = 1280
    height: int = 800


PICTURES = {
    "view-error": Picture(
        ("execution-error",),
        "#from=240000&to=283000&row=18&theme=light",
        ("GTBoom 3: ValueError: deliberate failure", "310f679b", "What the client knew"),
    ),
    "view-previews": Picture(
        ("fresh-run-previews",),
        "#row=25&theme=dark",
        ("preview", "KSampler 3", "What the client knew"),
    ),
    PANEL: Picture(
        (),
        "#still=1&theme=dark&row=44",
        ("held at progress", "ws-silent", "save as cassette", "running"),
        height=900,
    ),
    "view-narrow": Picture(
        ("two-clients",), "#row=12&theme=light", ("client-a", "client-b"), 400, 900
    ),
}


def main(names: list[str]) -> int:
    """Make these pictures, or all."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("no Chromium was found; 'apt-get install chromium' brings one", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        missing = [
            name
            for name in names or PICTURES
            if not _made(browser, name, PICTURES[name], Path(folder))
        ]
    return 1 if missing else 0


def _made(browser: str, name: str, picture: Picture, folder: Path) -> bool:
    if name == PANEL:
        with _held_server() as url:
            return _taken(browser, name, picture, folder, f"{url}/__fake__/ui/{picture.link}")
    page = folder / f"{name}.html"
    command = [sys.executable, "-m", "comfyrec", "view", *picture.files, "-o", str(page)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return _taken(browser, name, picture, folder, f"{page.as_uri()}{picture.link}")


def _taken(browser: str, name: str, picture: Picture, folder: Path, address: str) -> bool:
    size = f"--window-size={picture.width},{picture.height}"
    told = _run(browser, folder, size, "--dump-dom", address)
    lacking = [words for words in ("data-ready", *picture.shows) if words not in told]
    if lacking:
        print(f"{name}: the page does not show {', '.join(lacking)}", file=sys.stderr)
        return False
    file = DOCS / "images" / f"{name}.png"
    file.parent.mkdir(exist_ok=True)
    _run(browser, folder, size, "--hide-scrollbars", f"--screenshot={file}", address)
    print(f"{file.relative_to(DOCS.parent)}: {file.stat().st_size} bytes")
    return True


@contextlib.contextmanager
def _held_server() -> Iterator[str]:
    """A fake server that stands still in the middle of a run, and its client."""
    server = controlled(PluginSettings(scenario="lifelike", speed=1.0))

    def run() -> None:
        with contextlib.suppress(ComfyrecError), Client(server.url) as client:
            client.run(WORKFLOW)

    hold = server.hold_at("progress", value=12)
    client = threading.Thread(target=run)
    client.start()
    with hold:
        yield server.url
    client.join()
    server.close()


def _run(browser: str, folder: Path, *options: str) -> str:
    command = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
        f"--user-data-dir={folder / 'profile'}", f"--virtual-time-budget={WAIT_MS}", *options,
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return run.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
