"""Make docs/gallery.md and its pictures: ComfyUI's own page on the fake server, by scenario.

    python docs/make_gallery.py [NAME ...]

It needs the packages comfyui-frontend-package and playwright, and a Chromium. A picture that lacks
what it should show is an error.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, sync_playwright

from comfyrec.control import controlled
from comfyrec.testing.make_source import changed_by, choices_of
from comfyrec.testing.settings import PluginSettings
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.source import Source
from fake_server.storage.disk import WebRoot

DOCS = Path(__file__).parent
PAGE = DOCS / "gallery.md"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT, QUALITY = 1200, 520, 78
WAIT_S = 120.0

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
# As a person finds it: the tutorial was seen, panels are closed, nothing is reported.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.InstalledVersion": "1.58.1",
}
RUN = """async (workflow) => {
  await app.loadApiJson(workflow, "gallery");
  app.graph.arrange(60);
  app.canvas.ds.scale = 0.62;
  app.canvas.ds.offset = [120, 170];
  app.canvas.setDirty(true, true);
  await app.queuePrompt(0);
}"""


class Shown(NamedTuple):
    """One picture: which scenarios, when it is taken, and what a person sees on it."""

    scenarios: tuple[str, ...]
    until: str
    """Script that is true when the picture can be taken."""
    sees: str


def says(*words: str) -> str:
    """A script: the page shows one of these."""
    return " || ".join(f"document.body.innerText.includes({word!r})" for word in words)


GALLERY = {
    "lifelike": Shown(
        ("lifelike",),
        "app.graph._nodes.some((n) => n.type === 'KSampler' && n.progress > 0.3)",
        "The sampler moves, its preview grows, the tab counts.",
    ),
    "all-cached": Shown(
        ("all-cached",),
        "Object.keys(app.nodeOutputs ?? {}).length > 0",
        "Over at once: no node is ever shown as running, and the picture is there all the same.",
    ),
    "execution-error": Shown(
        ("execution-error", "lifelike"),
        says("Error", "error"),
        "A node fails: the page says which, and marks it.",
    ),
    "out-of-memory": Shown(
        ("execution-error:exception_type=torch.OutOfMemoryError,message=Allocation on device",),
        says("GPU memory"),
        "The error that most people meet first.",
    ),
    "reject-400": Shown(
        ("reject-400",),
        says("Invalid input"),
        "The server refuses the prompt, and says why.",
    ),
    "queued-behind": Shown(
        ("queued-behind", "lifelike"),
        says("2 active", "3 active", "queued"),
        "Somebody else's prompts come first.",
    ),
    "hard-crash": Shown(
        ("hard-crash", "lifelike"),
        says("econnecting"),
        "The server dies in the middle of a run, and the page tries to find it again.",
    ),
    "long-quiet-node": Shown(
        ("long-quiet-node",),
        says("Current node"),
        "A node says nothing for a while: it is not stuck, it works.",
    ),
}


def main(names: list[str]) -> int:
    """Make these pictures, or all and the page."""
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        print("no Chromium was found; 'apt-get install chromium' brings one", file=sys.stderr)
        return 1
    missing = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name in names or GALLERY:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.set_default_timeout(WAIT_S * 1000)
            if not _made(page, name, GALLERY[name]):
                missing.append(name)
            page.close()
        browser.close()
    if not names:
        PAGE.write_text(_page(), encoding="utf-8")
    return 1 if missing else 0


def _made(page: Page, name: str, shown: Shown) -> bool:
    choices = tuple(choose(text) for text in shown.scenarios)
    settings = PluginSettings(scenarios=choices, speed=1.0, idle_limit_s=0)
    server = controlled(settings, make=_source)
    file = DOCS / "images" / f"gallery-{name}.jpg"
    try:
        for key, value in SETTINGS.items():
            answer = page.request.post(f"{server.url}/settings/{key}", data=json.dumps(value))
            assert answer.ok, key
        page.goto(server.url, wait_until="domcontentloaded")
        page.wait_for_function("globalThis.app?.graph && document.querySelector('canvas')")
        page.wait_for_timeout(1_500)
        page.evaluate(RUN, WORKFLOW)
        page.wait_for_function(shown.until)
        page.wait_for_timeout(400)
        page.screenshot(path=file, type="jpeg", quality=QUALITY)
    except Exception as trouble:
        page.screenshot(path=file.with_suffix(".lacks.png"))
        print(f"{name}: {str(trouble).splitlines()[0]}", file=sys.stderr)
        return False
    finally:
        server.close()
    print(f"{file.relative_to(DOCS.parent)}: {file.stat().st_size} bytes")
    return True


def _source(settings: PluginSettings) -> Source:
    web = WebRoot(ServerOptions().epoch_us)
    options = ServerOptions(frontend=web, extension_scripts=web.scripts)
    return scenario_source(choices_of(settings), changed_by(settings, options))


def _page() -> str:
    lines = [
        "# ComfyUI's own page, scenario by scenario",
        "",
        "`comfyrec serve --frontend` serves the real web page, of the package",
        "`comfyui-frontend-package`, on the fake server. `python docs/make_gallery.py` makes these",
        "pictures of it. Beside it, `/__fake__/ui/` is [the panel](show.md) of the server.",
    ]
    for name, shown in GALLERY.items():
        flags = " ".join(f"--scenario '{text}'" for text in shown.scenarios)
        lines += [
            "",
            f"## {choose(shown.scenarios[0]).scenario.name}",
            "",
            shown.sees,
            "",
            f"`comfyrec serve --frontend {flags}`",
            "",
            f"![{shown.sees}](images/gallery-{name}.jpg)",
        ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
