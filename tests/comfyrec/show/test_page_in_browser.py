"""The page in a browser: every cassette opens, panes share a selection, nothing recorded runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.files import bundled, create_cassette, write_cassette
from comfyrec.cli import main
from comfyrec.control import controlled
from comfyrec.testing.settings import PluginSettings
from tests.support.timeline_samples import Recording, run, session

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright and a Chromium")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs playwright and a Chromium"),
]
READY = "html[data-ready]"
EVIL = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Page:
    """An open page, what it complained of, and what it asked the network for."""

    def __init__(self, browser: Any, file: Path, *, link: str = "", width: int = 1280) -> None:
        self.view = browser.new_page(viewport={"width": width, "height": 800})
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.view.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.view.on("console", lambda said: self.complaints.append(said.text))
        self.view.on("request", lambda request: self.asked.append(request.url))
        self.view.goto(f"{file.as_uri()}{link}")
        self.view.wait_for_selector(READY, state="attached")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.view.keyboard.press(key)

    def ask(self, script: str) -> Any:
        return self.view.evaluate(script)

    def selected(self) -> int:
        return int(self.ask("comfyrecPage.selected"))


def page_file(name: str | Path, folder: Path) -> Path:
    file = folder / "page.html"
    assert main(["view", str(name), "-o", str(file)]) == 0
    return file


# What is written on the canvas of lanes, and where, in CSS pixels.
WRITTEN = """() => {
  const lanes = comfyrecPage.lanes, kind = CanvasRenderingContext2D.prototype;
  const write = kind.fillText;
  const texts = [];
  kind.fillText = function (words, x, y) {
    const wide = this.measureText(words).width;
    const turned = Math.abs(this.getTransform().b) > 0.01, { e, f, a, b } = this.getTransform();
    const ratio = Math.hypot(a, b);
    if (this.canvas === lanes.canvas && words.trim()) texts.push(turned
      ? [words, e / ratio - 8, e / ratio + 4, f / ratio - wide / 2, f / ratio + wide / 2]
      : [words, x, x + wide, y - 9, y + 2]);
    return write.call(this, words, x, y);
  };
  lanes.draw();
  kind.fillText = write;
  return [texts, lanes.width];
}"""


def collisions(view: Any) -> list[str]:
    """Texts of the lanes that lie over each other, or over the edge."""
    texts, wide = view.evaluate(WRITTEN)
    found = [words for words, left, right, *_ in texts if left < -1 or right > wide + 1]
    for number, (words, left, right, top, bottom) in enumerate(texts):
        found += [
            f"{words} | {other}"
            for other, start, end, high, low in texts[number + 1 :]
            if left < end - 1 and start < right - 1 and top < low - 2 and high < bottom - 2
        ]
    return found


# Elements whose text is cut without a sign of it.
CUT = """() => [...document.querySelectorAll("body *")].filter((one) => {
  const style = getComputedStyle(one);
  const x = style.overflowX === "hidden" && one.scrollWidth > one.clientWidth + 1;
  const y = style.overflowY === "hidden" && one.scrollHeight > one.clientHeight + 1;
  return one.clientWidth && one.textContent.trim() && style.textOverflow !== "ellipsis" && (x || y);
}).map((one) => one.id || one.className || one.tagName)"""


@pytest.mark.parametrize("name", bundled())
def test_every_cassette_opens_and_shows_its_prompts_and_nodes(
    browser: Any, name: str, tmp_path: Path
) -> None:
    page = Page(browser, page_file(name, tmp_path))

    lanes = page.ask(
        "comfyrecPage.lanes.lanes().map((lane) => comfyrecPage.lanes.labelOf(lane)[0])"
    )
    prompts = page.ask("comfyrecPage.data.story.prompts.map((p) => [p.id, p.nodes.length])")
    assert all(any(prompt_id[:8] in label for label in lanes) for prompt_id, _ in prompts)
    assert sum(label.startswith("   ") for label in lanes) == sum(count for _, count in prompts)
    for width in (1280, 400):
        page.view.set_viewport_size({"width": width, "height": 800})
        assert collisions(page.view) == []
        assert page.ask(CUT) == []
        page.press("n", "p", "+", "+")
        assert collisions(page.view) == []
        page.press("f")
    assert page.complaints == []
    page.view.close()


def test_keys_move_one_selection_through_all_panes(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("execution-error", tmp_path))

    page.press("e", "3")

    page.view.locator("#detail", has_text="traceback").wait_for()
    assert "execution_error" in page.view.inner_text('[aria-selected="true"].row')
    assert "GTBoom 3" in page.view.inner_text("#knew")
    page.press("e")
    assert "2f56fa93" in page.view.inner_text("#knew")
    page.view.close()


def test_a_link_leads_to_the_same_moment(browser: Any, tmp_path: Path) -> None:
    file = page_file("fresh-run-previews", tmp_path)
    page = Page(browser, file)
    page.press("p", "p", "+", "+")
    link = page.ask("comfyrecPage.link()")

    again = Page(browser, file, link=link)

    assert again.selected() == page.selected() > 0
    assert again.ask("comfyrecPage.link()") == link
    page.view.close()
    again.view.close()


def test_the_filter_line_leaves_what_fits(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("execution-error", tmp_path))

    page.press("/")
    page.view.keyboard.type("type:executing node:3 -none")

    assert page.view.inner_text("#count") == "3 of 60"
    page.view.close()


def test_every_tab_shows_the_frame(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("fresh-run-previews", tmp_path))
    page.press("p", "p")
    shown = {}

    for key, mark in (("4", "00 00 00 01"), ("5", "only JSON"), ("1", "image/jpeg")):
        page.press(key)
        page.view.locator("#detail", has_text=mark).wait_for()
        shown[key] = page.view.locator("#detail img").count()

    assert shown == {"4": 0, "5": 1, "1": 1}
    page.view.close()


def test_a_hostile_recording_runs_nothing_and_loads_nothing(browser: Any, tmp_path: Path) -> None:
    recording = Recording(comfyui_version=EVIL)
    recording.upgrade(1, "evil")
    recording.status(1, 0, sid=EVIL)
    graph = {EVIL: {"class_type": EVIL, "inputs": {EVIL: EVIL}, "_meta": {"title": EVIL}}}
    recording.asked(
        2, "POST", "/prompt", {"prompt": graph, "client_id": EVIL}, {"prompt_id": EVIL, EVIL: EVIL}
    )
    recording.says(1, "executing", node=EVIL, prompt_id=EVIL)
    recording.says(1, EVIL, **{EVIL: EVIL})
    recording.says(1, "execution_error", prompt_id=EVIL, node_id=EVIL, exception_message=EVIL)
    cassette = tmp_path / "evil.jsonl"
    write_cassette(cassette, recording.end())
    page = Page(browser, page_file(cassette, tmp_path))

    for _ in range(10):
        page.press("ArrowRight", "2", "3", "4", "5", "1")
    page.view.wait_for_timeout(200)

    assert page.ask("window.hacked") is None
    assert page.view.locator("#main img[src=x]").count() == 0
    assert page.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in page.asked)
    page.view.close()


def test_a_narrow_page_needs_no_scrolling_to_the_side(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("two-clients", tmp_path), width=400)

    assert page.ask("document.documentElement.scrollWidth") <= 400
    assert page.complaints == []
    page.view.close()


def test_the_help_sheet_opens_and_the_theme_turns(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("two-clients", tmp_path))

    page.press("t", "t", "?")

    assert page.ask("document.documentElement.dataset.theme") == "dark"
    assert "next, last error or finding" in page.view.inner_text("#help")
    page.view.close()


def test_each_stop_of_the_tab_key_can_be_seen(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("execution-error", tmp_path))
    page.press("e")
    ringed = []

    page.press("Tab")
    while page.ask("document.activeElement !== document.body"):
        ringed.append(
            page.ask(
                """(() => { const one = document.activeElement, style = getComputedStyle(one);
                const place = one.getBoundingClientRect();
                return [one.id || one.textContent, style.outlineStyle, place.width > 0]; })()"""
            )
        )
        page.press("Tab")

    assert [stop for stop in ringed if stop[1:] != ["solid", True]] == []
    names = [stop[0] for stop in ringed]
    assert {"search", "list", "divider", "detail", "knew", "Decoded"} <= set(names)
    assert "Tree" not in names  # the arrows go there
    page.view.close()


def test_arrows_go_through_the_tabs(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("execution-error", tmp_path))
    page.press("e")
    page.view.locator("#tabs button").first.focus()

    page.press("ArrowLeft", "ArrowLeft")

    page.view.locator("#detail", has_text="00000").wait_for()
    assert page.ask("document.activeElement.textContent") == "Hex"
    page.view.close()


def test_a_picture_that_is_cut_is_said_and_not_drawn_broken(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("upload-and-view", tmp_path))
    row = page.ask(
        """comfyrecPage.data.columns.type.findIndex((type, row) =>
        comfyrecPage.data.strings[type] === "206" && comfyrecPage.data.columns.picture[row] >= 0)"""
    )

    page.ask(f"comfyrecPage.select({row})")

    page.view.locator("#detail", has_text="cut or damaged").wait_for()
    assert page.view.locator("#detail img").count() == 0
    broken = "[...document.querySelectorAll('#film img')].filter((one) => !one.naturalWidth).length"
    page.view.wait_for_function(f"{broken} === 0")
    page.view.close()


def test_a_recording_of_nothing_opens(browser: Any, tmp_path: Path) -> None:
    cassette = tmp_path / "empty.jsonl"
    write_cassette(cassette, Recording().end())

    page = Page(browser, page_file(cassette, tmp_path))

    page.press("e", "n", "p", "End", "ArrowRight")
    assert page.complaints == []
    page.view.close()


def test_the_printed_page_has_the_summary(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, page_file("execution-error", tmp_path))

    page.view.emulate_media(media="print")

    assert page.view.is_visible("#summary")
    assert "3 prompts: 1 succeeded, 2 failed" in page.view.inner_text("#summary")
    assert not page.view.is_visible("#lanes")
    page.view.close()


def test_recordings_side_by_side_have_one_cursor(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "both.html"
    assert main(["view", "execution-error", "server-0.3.10-errors", "-o", str(file)]) == 0
    view = browser.new_page(viewport={"width": 1280, "height": 800})
    complaints: list[str] = []
    view.on("console", lambda said: complaints.append(said.text))
    view.goto(file.as_uri())
    first, second = view.frames[1:]
    for frame in (first, second):
        frame.wait_for_selector(READY, state="attached")

    first.locator("#list").press("e")

    second.locator('[aria-selected="true"].row', has_text="execution_error").wait_for()
    words = "comfyrecPage.data.strings[comfyrecPage.data.columns.words[comfyrecPage.selected]]"
    assert first.evaluate(words) == second.evaluate(words) != ""
    view.uncheck("#linked")
    second.locator("#list").press("e")
    assert "server-0.3.10" in view.title()
    assert complaints == []
    view.close()


def test_a_page_grows_with_its_recording(browser: Any, tmp_path: Path) -> None:
    path, records = tmp_path / "x.crec", run(session()).records
    writer = create_cassette(path, clock_us=lambda: records[0].t)
    command = [sys.executable, "-m", "comfyrec", "view", str(path), "--serve"]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert served.stdout is not None
    view = browser.new_page(viewport={"width": 1280, "height": 800})
    complaints: list[str] = []
    view.on("console", lambda said: complaints.append(said.text))
    view.on("pageerror", lambda error: complaints.append(str(error)))
    view.goto(served.stdout.readline().split()[-1])
    view.wait_for_selector(READY, state="attached")
    assert view.inner_text("#live-button") == "● live"

    for record in records[1:]:
        writer.add(record)
    writer.flush()

    view.locator("#verdicts button", has_text="success").wait_for()
    view.keyboard.press("End")
    view.locator("#detail", has_text="executing").wait_for()
    assert view.inner_text("#live-button") == "○ live"
    writer.close()
    view.locator("#live-button", has_text="■ ended").wait_for()
    assert complaints == []
    view.close()
    served.terminate()
    served.wait(20)
    served.stdout.close()


def test_the_panel_steers_a_fake_server(browser: Any) -> None:
    server = controlled(PluginSettings(speed=1.0))
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    view.on("console", lambda said: complaints.append(said.text))
    view.on("pageerror", lambda error: complaints.append(str(error)))
    view.goto(f"{server.url}/__fake__/ui/")
    view.wait_for_selector(READY, state="attached")
    panel = view.locator("#panel")

    panel.get_by_label("search scenarios").fill("ws-silent")
    panel.locator(".scenarios button").first.click()
    panel.locator(".fields input").first.fill("start")
    panel.get_by_role("button", name="play", exact=True).click()
    panel.locator(".chip", has_text="ws-silent:after=start").wait_for()
    view.keyboard.press("Escape")
    view.locator("#name").click()
    view.keyboard.press(" ")
    panel.get_by_text("paused").wait_for()
    panel.get_by_role("button", name="hold", exact=True).click()
    panel.locator(".note", has_text="Name an event to hold at.").wait_for()
    panel.get_by_label("event to hold at").fill("executing")
    panel.get_by_role("button", name="hold", exact=True).click()
    panel.locator(".chip", has_text="executing").wait_for()

    assert server.handle.server.clock.speed == 0
    assert complaints == []
    view.close()
    server.close()
