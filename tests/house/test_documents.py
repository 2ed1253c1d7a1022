"""README and docs say what is there: every command, setting and example."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from comfyrec import pytest_plugin
from comfyrec.cli import COMMANDS
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTEST_PAGE = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "tests" / "examples").glob("*.py"))


def sh_blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_first_two_sh_blocks_are_one_command_line_each() -> None:
    demo, tests = sh_blocks(README)[:2]

    assert demo.strip().count("\n") == tests.strip().count("\n") == 0
    assert "comfyrec demo" in demo
    assert "pytest" in tests


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"comfyrec {command}" in README


def command_lines(text: str) -> list[str]:
    plain = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = "".join(plain).splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("comfyrec ")]


@pytest.mark.parametrize("line", command_lines(README))
def test_a_command_line_of_the_readme_is_understood(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    module = importlib.import_module(f"comfyrec.cli.{name}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)

    assert parser.parse_args(arguments) is not None


@pytest.mark.parametrize("setting", pytest_plugin.SETTINGS)
def test_every_setting_of_the_plugin_is_documented(setting: str) -> None:
    assert f"`comfyui_{setting}`" in PYTEST_PAGE


@pytest.mark.parametrize("mode", pytest_plugin.MODES)
def test_every_record_mode_is_documented(mode: str) -> None:
    assert f"| `{mode}` |" in PYTEST_PAGE


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_readme_is_a_file_that_the_suite_runs(example: Path) -> None:
    code = example.read_text(encoding="utf-8")

    assert f"```python\n{code}```" in README


def test_every_python_block_of_the_readme_is_such_a_file() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

    assert sorted(blocks) == sorted(path.read_text(encoding="utf-8") for path in EXAMPLES)


@pytest.mark.parametrize("page", [README, PYTEST_PAGE], ids=["README", "pytest"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]

    assert [link for link in links if not (ROOT / link).exists()] == []
