"""The site of the documentation: what it documents, and that its links lead somewhere."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from comfyrec.cli import COMMANDS
from comfyrec.control.plane import OPERATIONS
from comfyrec.pytest_plugin import MARKERS, SETTINGS
from fake_server.scenarios import catalogue
from tests.support.paths import ROOT

MAKE = ROOT / "docs" / "make_site.py"
PAGES: dict[str, str] = runpy.run_path(str(MAKE))["pages_of_the_site"]()
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#[^)\s]*)?\)")
SOURCE = re.compile(r"\]\(https://github\.com/comfyrec/comfyrec/(?:blob|tree)/main/([^)#\s]+)")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_on_its_page(command: str) -> None:
    parser = argparse.ArgumentParser()
    import_module(f"comfyrec.cli.{command.replace('-', '_')}").add_arguments(parser)
    section = PAGES["reference/commands.md"].partition(f"## comfyrec {command}\n")[2]
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]

    assert section
    for action in parser._actions:
        for option in action.option_strings:
            assert action.dest == "help" or f"{option}" in section, option


def test_every_setting_and_marker_is_on_its_page() -> None:
    page = PAGES["reference/settings.md"]

    for name in SETTINGS:
        assert f"`--comfyui-{name.replace('_', '-')}`" in page
        assert f"`comfyui_{name}`" in page
    for marker in MARKERS:
        assert f"`{marker.partition(': ')[0]}`" in page


def test_every_scenario_has_a_page_that_the_list_leads_to() -> None:
    for scenario in catalogue():
        page = PAGES[f"reference/scenarios/{scenario.name}.md"]
        assert scenario.correct in " ".join(page.split())
        assert f"({scenario.name}.md)" in PAGES["reference/scenarios/index.md"]


def test_every_page_is_in_the_navigation_or_listed_by_one_that_is() -> None:
    site = runpy.run_path(str(MAKE))
    known = set(re.findall(r'"([\w./-]+\.md)"', str(site["NAV"]).replace("'", '"')))
    places = {name if name in PAGES else site["place_of"](name) for name in known}
    listed = {page for page in PAGES if page.startswith(("api/", "reference/scenarios/"))}

    assert PAGES.keys() - places - listed == set()


def test_every_operation_is_on_the_page_of_the_control_plane() -> None:
    for operation in OPERATIONS:
        assert f"### `{operation.method} {operation.path or '/'}`" in PAGES["control.md"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_of_the_site_and_files_of_the_source(page: str) -> None:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    folder = Path(page).parent
    inside = {os.path.normpath(folder / link) for link in LINK.findall(text) if link}

    assert inside - PAGES.keys() == set()
    assert [file for file in SOURCE.findall(text) if not (ROOT / file).exists()] == []


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="needs the extra 'docs'")
def test_the_site_is_built_and_its_anchors_are_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, MAKE, tmp_path / "site"], capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "reference" / "scenarios" / "ws-silent" / "index.html").exists()
