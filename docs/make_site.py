"""Builds the documentation as a site: ``python docs/make_site.py OUT`` (needs the extra ``docs``).

The pages of this folder are copied with their links turned to the places that they have on the
site. Pages of commands, settings and scenarios are made from the code. ``mkdocs build --strict``
then fails at a link or an anchor that leads nowhere.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).parent
ROOT: Final = DOCS.parent
SOURCE_URL: Final = "https://github.com/comfyrec/comfyrec/blob/main/"

# Title -> page in the repository, or a list of such; "*" stands for all pages of a folder.
NAV: Final[dict[str, Any]] = {
    "Home": "README.md",
    "Tutorials": {
        "A first green test": "docs/tutorials/first.md",
        "A client in Python": "docs/tutorials/python.md",
        "A client in TypeScript": "docs/tutorials/typescript.md",
        "A GPU box to look after": "docs/tutorials/operator.md",
        "An upgrade of ComfyUI": "docs/tutorials/upgrade.md",
    },
    "How to": {
        "test with pytest": "docs/pytest.md",
        "test in any language": "docs/control.md",
        "test in JavaScript": "clients/javascript/README.md",
        "test in Go, Rust, Java, C#, shell": "docs/recipes/README.md",
        "test in CI and containers": "docs/ci.md",
        "run workflows": "docs/client.md",
        "check a client, write scenarios": "docs/scenarios.md",
        "fuzz a client": "docs/fuzzing.md",
        "find bugs in a client": "docs/finding-bugs.md",
        "see what is in a recording": "docs/show.md",
        "use ComfyUI's own page, on scenarios and recordings": "docs/frontend.md",
        "see what ComfyUI's own page makes of scenarios": "docs/gallery.md",
        "record around the clock": "docs/recorder.md",
        "share a recording": "docs/sharing.md",
        "ask questions over many recordings": "docs/tables.md",
        "make a twin of your own fleet": "docs/timing.md",
        "serve Comfy API v2": "docs/surfaces.md",
        "serve Comfy Cloud": "docs/cloud.md",
        "ComfyUI's own page, by scenario": "docs/gallery.md",
    },
    "Reference": {
        "Commands": "reference/commands.md",
        "Settings of pytest": "reference/settings.md",
        "Scenarios": "reference/scenarios/index.md",
        "Catalogue": "docs/catalogue.md",
        "Clients that we ran": "docs/clients.md",
        "Cassette format": "docs/cassette-format.md",
        "What ComfyUI says": "docs/protocol.md",
        "Versions of ComfyUI": "docs/versions.md",
        "Bundled cassettes": "cassettes/README.md",
        "Python API": "docs/api/README.md",
    },
    "Explanations": {
        "Architecture": "docs/architecture.md",
        "How a replay decides": "docs/replay.md",
        "Benchmarks": "benchmarks/README.md",
        "Contributing": "docs/contributing.md",
        "Releasing": "docs/releasing.md",
        "Changes": "CHANGELOG.md",
    },
}


def main() -> int:
    """Build it; gives the exit status of mkdocs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the folder of the site")
    out = parser.parse_args().out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        config = write_sources(Path(folder))
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config]
        # A plugin of the theme would ask the network for news.
        environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
        return subprocess.run([*command, "--site-dir", out], env=environment).returncode


def write_sources(folder: Path) -> Path:
    """Write all pages and the configuration for mkdocs below a folder; gives the latter."""
    pages = pages_of_the_site()
    for name, text in pages.items():
        page = folder / "pages" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    config = folder / "mkdocs.yml"
    config.write_text(json.dumps(_configuration(pages)), encoding="utf-8")  # JSON is YAML
    return config


def pages_of_the_site() -> dict[str, str]:
    """Place on the site -> text."""
    written = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
    others = ("clients/javascript", "cassettes", "benchmarks")
    written += [ROOT / one / "README.md" for one in others]
    names = [path.relative_to(ROOT).as_posix() for path in written]
    places = {name: place_of(name) for name in names}
    made = {places[name]: _relinked(name, places) for name in names}
    made["reference/commands.md"] = "\n\n".join(_commands())
    made["reference/settings.md"] = "\n".join(_settings())
    made |= dict(_scenarios())
    return made


def place_of(name: str) -> str:
    """Where a file of the repository is on the site."""
    name = name.removeprefix("docs/")
    return f"{name.removesuffix('README.md')}index.md" if name.endswith("README.md") else name


_LINK: Final = re.compile(
    rf"(?<=\]\()(?:{re.escape(SOURCE_URL)}|(?!https?:|#|mailto:))([^)#\s]+)(#[^)\s]*)?(?=\))"
)
_CODE: Final = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)


def _relinked(name: str, places: Mapping[str, str]) -> str:
    """A page whose links lead to pages of the site, or to the source in the repository."""
    here = Path(places[name]).parent
    text = (ROOT / name).read_text(encoding="utf-8")

    def moved(found: re.Match[str]) -> str:
        target = os.path.normpath(Path(name).parent / found[1])
        anchor = found[2] or ""
        place = places.get(target) or places.get(f"{target}/README.md")
        if place is None:
            return f"{SOURCE_URL}{target}{anchor}"
        return f"{os.path.relpath(place, here)}{anchor}"

    pieces = _CODE.split(text)
    # Code stays as it is: every other piece.
    return "".join(one if at % 2 else _LINK.sub(moved, one) for at, one in enumerate(pieces))


def _configuration(pages: Mapping[str, str]) -> dict[str, Any]:
    def entry(value: Any) -> Any:
        if isinstance(value, str):
            return value if value in pages else place_of(value)
        return [{title: entry(one)} for title, one in value.items()]

    return {
        "site_name": "comfyrec",
        "site_description": "A recorder, a replayer and a fake server for clients of ComfyUI",
        "docs_dir": "pages",
        # Fonts would come from elsewhere.
        "theme": {"name": "material", "font": False, "features": ["navigation.indexes"]},
        "plugins": ["search"],
        "markdown_extensions": [
            "tables",
            "toc",
            "pymdownx.highlight",
            "pymdownx.superfences",
        ],
        "validation": {
            "nav": {"omitted_files": "ignore", "not_found": "warn"},
            "links": {"not_found": "warn", "anchors": "warn", "unrecognized_links": "warn"},
        },
        "nav": entry(NAV),
    }


# --- commands ------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    from comfyrec.cli import COMMANDS
    from comfyrec.cli._parser import Parser

    yield "# Commands"
    yield (
        "Exit status of all commands, unless a command says otherwise: 0 fine, 1 a check or the "
        "work failed, 2 wrong use, 3 part of a file is missing or damaged, 130 interrupted. What "
        "is wrong is said in one sentence on standard error."
    )
    for name, line in COMMANDS.items():
        module = import_module(f"comfyrec.cli.{name.replace('-', '_')}")
        parser = Parser(prog=f"comfyrec {name}", description=module.__doc__)
        module.add_arguments(parser)
        yield f"## comfyrec {name}"
        yield f"{line[:1].upper()}{line[1:]}."
        yield from _command(parser)


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    if parser.description:
        yield f"```text\n{parser.description.strip()}\n```"
    rows = ["| argument | what |", "|---|---|"]
    parts: list[argparse.ArgumentParser] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            parts += action.choices.values()
        elif action.dest != "help" and (action.option_strings or action.help != argparse.SUPPRESS):
            hidden = action.help == argparse.SUPPRESS
            said = "for programs that start it" if hidden else (action.help or "")
            said = said.replace("%(default)s", str(action.default))
            said = said.replace("%(default)g", str(action.default)).replace("%%", "%")
            rows.append(f"| {_written(action)} | {_cell(said)} |")
    if len(rows) > 2:
        yield "\n".join(rows)
    for part in parts:
        yield f"### {part.prog}"
        yield from _command(part)


def _written(action: argparse.Action) -> str:
    value: Any = action.metavar
    if value is None and action.choices:
        value = "|".join(map(str, action.choices))
    if value is None:
        value = "" if action.nargs == 0 or not action.option_strings else action.dest.upper()
    value = value if isinstance(value, str) else " ".join(value)
    names = ", ".join(action.option_strings)
    value = value if action.nargs != 0 else ""
    return "`" + _cell(f"{names} {value}".strip() or action.dest) + "`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# --- settings ------------------------------------------------------------------------------------


def _settings() -> Iterator[str]:
    from comfyrec.client.address import ENVIRONMENT
    from comfyrec.client.settings import VARIABLES
    from comfyrec.pytest_plugin import MARKERS, SETTINGS

    yield "# Settings\n"
    yield "## Of the pytest plugin\n"
    yield "Looked up in this order: command line, marker, fixture, ini file, default.\n"
    yield "| option | fixture and ini key | what |"
    yield "|---|---|---|"
    for name, (text, choices) in SETTINGS.items():
        listed = f": {', '.join(choices)}" if choices else ""
        option = f"--comfyui-{name.replace('_', '-')}"
        yield f"| `{option}` | `comfyui_{name}` | {_cell(text + listed)} |"
    yield "\n## Markers\n"
    for marker in MARKERS:
        form, _, text = marker.partition(": ")
        yield f"* `{form}`: {text}"
    yield "\n## Environment variables of the client\n"
    yield f"The address of the server: the first that is set of {', '.join(ENVIRONMENT)}.\n"
    yield "| variable | setting of `comfyrec.client` |"
    yield "|---|---|"
    for field, names in VARIABLES.items():
        yield f"| {', '.join(f'`{one}`' for one in names)} | `{field}` |"


# --- scenarios -----------------------------------------------------------------------------------


def _scenarios() -> Iterator[tuple[str, str]]:
    """A page for each scenario as ``comfyrec scenarios NAME`` describes it, and a list of them."""
    from comfyrec.cli.scenarios import description
    from fake_server.scenarios import catalogue, choice_of

    rows = ["# Scenarios", "", "| scenario | category | what happens |", "|---|---|---|"]
    for one in catalogue():
        rows.append(f"| [{one.name}]({one.name}.md) | {one.category} | {_cell(one.summary)} |")
        lines = "\n".join(description(choice_of(one.name)))
        use = f"comfyrec serve --scenario {one.name}"
        page = f"# {one.name}\n\n{one.summary}\n\n```text\n{lines}\n```\n\n    {use}\n"
        yield f"reference/scenarios/{one.name}.md", page
    yield "reference/scenarios/index.md", "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
