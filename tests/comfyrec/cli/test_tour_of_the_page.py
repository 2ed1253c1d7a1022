"""A tour of ComfyUI's own page on the fake server: twenty things that people do there.

It needs playwright, a Chromium and the package comfyui-frontend-package. What the page complains of
on ComfyUI as well is let pass.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.support.json_over_http import LIMIT_S

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright and a Chromium")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs playwright and a Chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("comfyui_frontend_package") is None,
        reason="needs comfyui-frontend-package",
    ),
]
READY = "globalThis.app?.graph && document.querySelector('canvas')"
WAIT_MS = 30_000
# As a person finds it who has been here before: no tutorial, no minimap over the graph.
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False}
# 404 of things that a new user does not have, news from elsewhere, saving that a reload cuts off.
AS_ON_COMFYUI = ("user.css", "/userdata", "api.comfy.org", "/api/settings/", "favicon.ico")
KSAMPLER = {
    "seed": 5, "steps": 20, "cfg": 7, "sampler_name": "euler", "scheduler": "normal",
    "denoise": 1, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
    "latent_image": ["5", 0],
}  # fmt: skip
CHECKPOINT = "v1-5-pruned-emaonly.safetensors"


def workflow(checkpoint: str = CHECKPOINT) -> dict[str, Any]:
    return {
        "3": {"class_type": "KSampler", "inputs": KSAMPLER},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 512, "height": 512, "batch_size": 1},
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurred", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "me", "images": ["8", 0]}},
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "comfyrec", "serve", "--frontend", "--port", "0"]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert served.stdout is not None
    yield served.stdout.readline().split()[-1]
    served.terminate()
    served.wait(20)
    served.stdout.close()


class Tab:
    """ComfyUI's page, open in the browser, and what went wrong in it."""

    def __init__(self, browser: Any, url: str, *, beside: Tab | None = None) -> None:
        self.url = url
        context = beside.view.context if beside else browser.new_context()
        self.view: Any = context.new_page()
        self.view.set_viewport_size({"width": 1400, "height": 900})
        self.view.set_default_timeout(WAIT_MS)
        self.complaints: list[str] = []
        self.asked: list[tuple[str, str, int]] = []
        self.view.on("pageerror", lambda error: self._complain(str(error)))
        self.view.on("response", self._answered)
        self.load()

    def _answered(self, response: Any) -> None:
        self.asked.append((response.request.method, response.url, response.status))
        if response.status >= 400:
            self._complain(f"{response.status} {response.url}")

    def _complain(self, words: str) -> None:
        if not any(known in words for known in AS_ON_COMFYUI):
            self.complaints.append(words)

    def load(self) -> None:
        self.view.goto(self.url, wait_until="domcontentloaded")
        self.view.wait_for_function(READY)
        self.view.wait_for_timeout(1_500)  # the page opens a workflow of its own
        self.ask(
            """globalThis.heard = [];
            for (const kind of ["execution_start", "executing", "progress", "executed",
                "execution_cached", "execution_success", "execution_error",
                "execution_interrupted", "b_preview", "reconnecting", "reconnected", "status"])
              app.api.addEventListener(kind, ({ detail }) => heard.push([kind, detail]))"""
        )

    def ask(self, script: str, *values: Any) -> Any:
        return self.view.evaluate(script, *values)

    def open(self, graph: dict[str, Any]) -> None:
        self.ask("(graph) => app.loadApiJson(graph, 'tour')", graph)
        self.ask("app.graph.arrange(60)")
        self.command("Comfy.Canvas.FitView")  # a picture is loaded when its node is in sight

    def run(self) -> None:
        """As the button does, which has had several places."""
        self.ask("app.queuePrompt(0)")

    def waits_for(self, script: str) -> None:
        self.view.wait_for_function(script)

    def hears(self, kind: str, times: int = 1) -> None:
        self.waits_for(f"heard.filter(([kind]) => kind === {kind!r}).length >= {times}")

    def shows(self, *words: str) -> None:
        """One of these; releases of the page differ in their words."""
        told = " || ".join(f"document.body.innerText.includes({each!r})" for each in words)
        self.waits_for(told)

    def panel(self, *names: str) -> None:
        """Open it by the first of these commands that this release of the page has."""
        there = self.ask("app.extensionManager.command.commands.map(({ id }) => id)")
        self.command(next(name for name in names if name in there))

    def command(self, name: str) -> None:
        self.ask("(name) => app.extensionManager.command.execute(name)", name)


@pytest.fixture
def tab(browser: Any, url: str) -> Iterator[Tab]:
    plays(url, "lifelike")
    ask(f"{url}/__fake__/time/speed", "PUT", {"speed": 4})
    for key, value in SETTINGS.items():
        ask(f"{url}/settings/{key}", "POST", value)
    opened = Tab(browser, url)
    yield opened
    opened.view.context.close()


def ask(url: str, method: str, value: Any) -> None:
    request = Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    request.method = method
    with urlopen(request, timeout=LIMIT_S):
        pass


def plays(url: str, *scenarios: str) -> None:
    ask(f"{url}/__fake__/scenarios", "PUT", {"scenarios": list(scenarios)})


def test_a_first_visit_fails_at_nothing_that_comfyui_answers(browser: Any, url: str) -> None:
    ask(f"{url}/__fake__/reset", "POST", {})
    plays(url, "lifelike")

    tab = Tab(browser, url)

    tab.view.wait_for_timeout(3_000)
    pictures = (".webp", "/templates/")
    assert [words for words in tab.complaints if not any(p in words for p in pictures)] == []
    tab.view.context.close()


def test_a_template_opens(tab: Tab) -> None:
    if importlib.util.find_spec("comfyui_workflow_templates_json") is None:
        pytest.skip("needs comfyui-workflow-templates-json")

    tab.command("Comfy.BrowseTemplates")
    tab.view.locator("[data-testid^='template-workflow-']").first.click()

    tab.waits_for("app.graph._nodes.length > 1")


def test_a_run_shows_progress_preview_and_output(tab: Tab) -> None:
    tab.open(workflow())
    tab.run()

    tab.waits_for("app.graph._nodes.some((one) => one.type === 'KSampler' && one.progress > 0)")
    tab.hears("b_preview")
    tab.hears("execution_success")
    tab.waits_for("Object.values(app.nodeOutputs).some((output) => output.images?.length)")
    tab.waits_for("app.graph._nodes.some((one) => one.type === 'SaveImage' && one.imgs?.length)")
    assert any("/view?" in asked and status == 200 for _, asked, status in tab.asked)
    assert tab.complaints == []


def test_the_queue_and_the_history_have_what_ran(tab: Tab) -> None:
    ask(f"{tab.url}/__fake__/time/speed", "PUT", {"speed": 1})
    tab.open(workflow())
    for _ in range(2):
        tab.ask("app.graph._nodes.find((one) => one.type === 'KSampler').widgets[0].value += 1")
        tab.run()

    tab.panel("Comfy.Queue.ToggleOverlay", "Workspace.ToggleSidebarTab.queue")
    tab.waits_for(
        "app.api.getQueue().then((queue) => queue.Running.length && queue.Pending.length)"
    )
    tab.shows("2 active", "2 jobs", "Running", "Pending")
    ask(f"{tab.url}/__fake__/time/speed", "PUT", {"speed": 8})
    tab.hears("execution_success", 2)
    tab.panel("Workspace.ToggleSidebarTab.assets", "Workspace.ToggleSidebarTab.queue")
    tab.waits_for("document.querySelector('img[src*=\"/view?\"]')")
    assert tab.complaints == []


def test_a_run_is_cancelled(tab: Tab) -> None:
    ask(f"{tab.url}/__fake__/time/speed", "PUT", {"speed": 0.25})  # a browser may lag behind
    tab.open(workflow())
    tab.run()
    tab.hears("progress")

    tab.command("Comfy.Interrupt")

    tab.hears("execution_interrupted")
    assert tab.complaints == []


def test_a_prompt_that_is_refused_says_why(tab: Tab) -> None:
    plays(tab.url, "reject-400")
    tab.open(workflow())

    tab.run()

    tab.shows("Invalid", "failed validation", "Value not in list")
    assert [words for words in tab.complaints if "/prompt" not in words] == []


def test_a_node_that_fails_is_named(tab: Tab) -> None:
    plays(tab.url, "execution-error:message=it broke")
    tab.open(workflow())

    tab.run()

    tab.hears("execution_error")
    tab.shows("it broke", "KSampler")


def test_no_memory_is_said_as_such(tab: Tab) -> None:
    plays(
        tab.url,
        "execution-error:exception_type=torch.OutOfMemoryError,message=Allocation on device",
    )
    tab.open(workflow())

    tab.run()

    tab.hears("execution_error")
    tab.shows("GPU memory", "Allocation on device", "OutOfMemory")


def test_a_model_that_is_not_there_is_refused(tab: Tab) -> None:
    tab.open(workflow(checkpoint="nobody-has-this.safetensors"))

    tab.run()

    tab.shows("required model", "issing Models", "issing models", "errors found")
    assert ("POST", f"{tab.url}/api/prompt", 400) in tab.asked


def test_a_node_class_that_is_not_there_is_said(tab: Tab) -> None:
    tab.open({**workflow(), "10": {"class_type": "NobodyHasThisNode", "inputs": {}}})

    tab.shows("NobodyHasThisNode", "Some nodes are missing")


def test_a_picture_is_uploaded(tab: Tab) -> None:
    tab.ask(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
          const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
          await app.handleFile(new File([blob], "tour.png", { type: "image/png" }));
        }"""
    )

    tab.waits_for("app.graph._nodes.some((one) => one.type === 'LoadImage')")
    assert ("POST", f"{tab.url}/api/upload/image", 200) in tab.asked
    assert tab.complaints == []


def test_a_workflow_is_saved_and_there_after_a_reload(tab: Tab) -> None:
    tab.open(workflow())
    tab.ask("void app.extensionManager.command.execute('Comfy.SaveWorkflowAs')")
    name = tab.view.locator("input[type=text], input:not([type])").last
    name.fill("of the tour")
    name.press("Enter")
    tab.waits_for(
        """fetch('/api/userdata?dir=workflows&recurse=true')
        .then((answer) => answer.ok ? answer.json() : [])
        .then((names) => JSON.stringify(names).includes('of the tour'))"""
    )
    tab.shows("of the tour")
    tab.view.wait_for_timeout(1_000)  # the page notes after a while which workflows are open

    tab.load()

    tab.shows("of the tour")


def test_a_setting_stays(tab: Tab) -> None:
    tab.ask("app.extensionManager.setting.set('Comfy.Minimap.Visible', true)")
    tab.view.wait_for_timeout(500)

    tab.load()

    assert tab.ask("app.extensionManager.setting.get('Comfy.Minimap.Visible')") is True


def test_a_second_tab_hears_of_the_queue_and_not_of_the_run(browser: Any, tab: Tab) -> None:
    other = Tab(browser, tab.url)

    tab.open(workflow())
    tab.run()

    tab.hears("execution_success")
    other.hears("status")
    assert other.ask("heard.filter(([kind]) => kind === 'executing').length") == 0
    assert [*tab.complaints, *other.complaints] == []
    other.view.context.close()


def test_a_lost_socket_comes_back_and_hears_the_end(tab: Tab) -> None:
    tab.open(workflow())
    tab.run()
    tab.hears("progress")

    # What is sent while the page is away reaches nobody: the run must not end until it is back.
    ask(f"{tab.url}/__fake__/time/pause", "POST", {})
    ask(f"{tab.url}/__fake__/sockets/drop", "POST", {})

    tab.hears("reconnecting")
    tab.hears("reconnected")
    ask(f"{tab.url}/__fake__/time/resume", "POST", {})
    tab.hears("execution_success")


def test_a_second_run_is_all_cached(tab: Tab) -> None:
    tab.open(workflow())
    tab.ask("app.graph._nodes.find((one) => one.type === 'KSampler').widgets[1].value = 'fixed'")
    tab.run()
    tab.hears("execution_success")
    before = tab.ask("heard.filter(([kind]) => kind === 'progress').length")

    tab.run()

    tab.hears("execution_success", 2)
    assert tab.ask("heard.filter(([kind]) => kind === 'progress').length") == before
    tab.waits_for("Object.values(app.nodeOutputs).some((output) => output.images?.length)")


def test_a_silent_socket_leaves_the_outputs_in_the_history(tab: Tab) -> None:
    plays(tab.url, "ws-silent:after=start")
    tab.open(workflow())
    tab.run()
    tab.hears("execution_start")

    tab.waits_for(
        """fetch('/api/history').then((answer) => answer.json()).then((history) =>
        Object.values(history).some((entry) => Object.keys(entry.outputs).length))"""
    )
    assert json.dumps(tab.ask("heard")).count("execution_success") == 0
