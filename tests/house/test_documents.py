"""README and docs say what is there: every command, option, setting, key, file and example."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from comfyrec import pytest_plugin
from comfyrec.cli import COMMANDS
from comfyrec.testing.record_mode import RecordMode
from fake_server.simulator.node_plan import KEYS
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTEST_PAGE = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "tests" / "examples").glob("*.py"))
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}


def sh_blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def command_lines(text: str) -> list[str]:
    """Lines that run comfyrec, in blocks of code and between backticks."""
    blocks = re.findall(r"^```(?:sh|)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0].strip() for line in "".join(blocks).splitlines()]
    inline = re.findall(
        r"`(comfyrec [^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    )
    return [line for line in [*lines, *inline] if line.startswith("comfyrec ")]


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"comfyrec.cli.{command.replace('-', '_')}").add_arguments(parser)
    return parser


LINES = sorted({(page, line) for page, text in PAGES.items() for line in command_lines(text)})


def test_the_first_two_sh_blocks_are_one_command_line_each() -> None:
    demo, tests = sh_blocks(README)[:2]

    assert demo.strip().count("\n") == tests.strip().count("\n") == 0
    assert "comfyrec demo" in demo
    assert "pytest" in tests


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"comfyrec {command}" in README


@pytest.mark.parametrize("line", command_lines(README))
def test_a_command_line_of_the_readme_is_understood(line: str) -> None:
    _, name, *arguments = shlex.split(line)

    assert parser_of(name).parse_args(arguments) is not None


@pytest.mark.parametrize("page, line", LINES)
def test_a_page_names_only_commands_and_options_that_exist(page: str, line: str) -> None:
    _, name, *rest = line.split()
    ours = " ".join(rest).partition(" -- ")[0]

    assert name in COMMANDS
    known = set(parser_of(name)._option_string_actions)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", ours)) - known == set()


@pytest.mark.parametrize("setting", pytest_plugin.SETTINGS)
def test_every_setting_of_the_plugin_is_documented(setting: str) -> None:
    assert f"`comfyui_{setting}`" in PYTEST_PAGE


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_settings_that_exist(page: str) -> None:
    fixtures = {
        "comfyui_scenario",
        "comfyui_environment",
        "comfyui_factory",
        "comfyui_scenarios",
        "comfyui_version",
    }
    known = {f"comfyui_{setting}" for setting in pytest_plugin.SETTINGS} | fixtures

    assert set(re.findall(r"`(comfyui_[a-z_]+)`", PAGES[page])) - known == set()


@pytest.mark.parametrize("mode", tuple(RecordMode))
def test_every_record_mode_is_documented(mode: str) -> None:
    assert f"| `{mode}` |" in PYTEST_PAGE


def test_the_keys_of_a_plan_are_those_of_the_page() -> None:
    table = PYTEST_PAGE.partition("### Plans")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]

    assert sorted(key for row in rows for key in re.findall(r"`(\w+)`", row)) == sorted(KEYS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_readme_is_a_file_that_the_suite_runs(example: Path) -> None:
    code = example.read_text(encoding="utf-8")

    assert f"```python\n{code}```" in README


def test_every_python_block_of_the_readme_is_such_a_file() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

    assert sorted(blocks) == sorted(path.read_text(encoding="utf-8") for path in EXAMPLES)


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    folder = (ROOT / page).parent

    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_that_a_page_names_exist(page: str) -> None:
    paths = set(
        re.findall(r"`((?:comfyrec|fake_server|tests|docs|cassettes)/[\w./-]+)`", PAGES[page])
    )
    modules = set(re.findall(r"`((?:comfyrec|fake_server)(?:\.[a-z_]+)+)`", PAGES[page]))

    missing = {path for path in paths if "your_name" not in path and not (ROOT / path).exists()}
    unknown = {
        name
        for name in modules
        if not (ROOT / name.replace(".", "/")).is_dir()
        and not (ROOT / f"{name.replace('.', '/')}.py").is_file()
        and not hasattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
    }

    assert missing == set()
    assert unknown == set()


@pytest.mark.slow
def test_the_pages_that_follow_from_the_code_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "make_pages.py"), "--check"]

    looked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert looked.stdout == ""
    assert looked.returncode == 0, looked.stderr
