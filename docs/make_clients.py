"""Writes clients.md, the table of clients that we ran: ``python docs/make_clients.py``.

It puts each client through ``comfyrec check``, one after the other, and takes about half an hour.
``COMFY_CLIENTS_HOME`` names a folder with the clients: a virtual environment ``venv`` and a folder
``npm`` with ``node_modules``. A few names as arguments run those alone, and nothing is written.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from comfyrec import __version__
from comfyrec.check.play import IMAGES
from comfyrec.versions import DEFAULT_VERSION
from comfyrec.wording import shortened
from fake_server.scenarios import catalogue

DOCS = Path(__file__).parent
SCRIPTS = DOCS.parent / "tests" / "comfyrec" / "check" / "real_clients"
TIMEOUT_S = 12
"""Of one run. Where a client takes a limit, its command gives it 6 s; with some to start and to
fetch files, what has not ended by then does not end."""
JOBS = 2
CAUSES_MAX = 3
CAUSE_MAX = 110
_VALUES = re.compile(r"\w+://[^\s'\"]+|[0-9a-f]{8}-[0-9a-f-]{27}")


class Client(NamedTuple):
    """A client, and how it is run."""

    name: str
    package: str
    """``pypi:`` or ``npm:`` and the name there; empty: ours."""
    script: str
    learns: str
    """How it learns that a prompt has ended."""


CLIENTS = (
    Client("comfyrec run", "", "", "WebSocket, and the history whenever that is silent"),
    Client("comfyapi", "pypi:comfyapi", "comfyapi_manager.py", "asks the history"),
    Client(
        "comfyui-workflow-client", "pypi:comfyui-workflow-client", "workflow_client.py", "WebSocket"
    ),
    Client(
        "comfy-api-simplified", "pypi:comfy-api-simplified", "api_simplified.py",
        "WebSocket, opened after the POST",
    ),
    Client("comfy-ui-client", "npm:comfy-ui-client", "comfy_ui_client.mjs", "WebSocket"),
    Client("@saintno/comfyui-sdk", "npm:@saintno/comfyui-sdk", "saintno_sdk.mjs", "WebSocket"),
)  # fmt: skip


def scenarios() -> list[str]:
    """All but those for which a client uploads a file: uploading is not part of these commands."""
    return [one.name for one in catalogue() if not _uploads(one.workflow or {})]


def _uploads(workflow: Mapping[str, Any]) -> bool:
    values = [value for node in workflow.values() for value in node["inputs"].values()]
    return any(isinstance(value, str) and value in IMAGES for value in values)


# --- running them --------------------------------------------------------------------------------


def command(client: Client, home: Path) -> list[str]:
    """How the client is run, with the places of ``check``."""
    places = ["{url}", "{workflow}", "{out}"]
    script = str(SCRIPTS / client.script)
    if client.script.endswith(".py"):
        return [str(home / "venv" / "bin" / "python"), script, *places]
    if client.script:
        return ["node", "--no-warnings", script, *places]
    ours = [sys.executable, "-m", "comfyrec", "run", "--yes", "--json", "--server", "{url}"]
    return [*ours, "--save-images", "{out}", "--timeout", "6", "{workflow}"]


def version(client: Client, home: Path) -> str:
    """The version that is installed."""
    where, _, name = client.package.partition(":")
    if where == "npm":
        package = home / "npm" / "node_modules" / name / "package.json"
        return str(json.loads(package.read_text(encoding="utf-8"))["version"])
    if where == "pypi":
        ask = f"from importlib.metadata import version; print(version({name!r}))"
        python = home / "venv" / "bin" / "python"
        told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
        return told.stdout.strip()
    return __version__


def checked(client: Client, home: Path) -> dict[str, Any]:
    """What ``comfyrec check --json`` says of the client."""
    check = [sys.executable, "-m", "comfyrec", "check", "--json", "--keep-going"]
    limits = [
        "--timeout",
        str(TIMEOUT_S),
        "--jobs",
        str(JOBS),
        "--scenarios",
        ",".join(scenarios()),
    ]
    ran = subprocess.run(
        [*check, *limits, "--", *command(client, home)], stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return {**found, "version": version(client, home)}


# --- the page ------------------------------------------------------------------------------------

HEAD = """# Clients that we ran

<!-- written by make_clients.py -->

Real clients under `comfyrec check`, each as
[a command of a few lines](../tests/comfyrec/check/real_clients) that runs one workflow and saves
its files. They were run on {date} by comfyrec {version}, before a fake ComfyUI {comfyui}, in
{count} scenarios: all of [the catalogue](catalogue.md) but the {left_out} for which a client
uploads a file. A run had {timeout} seconds; {python}, {node}.

A failed scenario does not make a bad client: many are rare, and a command that only has an exit
status cannot show all that its client knows. What matters most to a user are the last two columns.

| client | version | learns of the end by | passes | fails | not met | hangs | untrue |
|---|---|---|---|---|---|---|---|
"""
MIDDLE = """
*Not met*: the client never got to where the scenario matters, such as one without a WebSocket and a
scenario about frames. *Hangs*: it had to be stopped. *Untrue*: it reported a success where the
prompt failed, or a failure where it succeeded. Both count among the failed ones, and one that is
stopped may say something untrue at its end.

## What to fix first

What `check` says of each, the first {most} of its groups.
"""
END = """
## Make it anew

`python docs/make_clients.py` runs them and writes this page. `COMFY_CLIENTS_HOME` names a folder in
which the packages are installed: those of PyPI in the virtual environment `venv`, those of npm in
`npm/node_modules`.
"""


def page(found: Mapping[str, Mapping[str, Any]], *, date: str, node: str) -> str:
    """The page.

    Args:
        found: what was found of each client, by its name.
        date: of the runs.
        node: version of Node.js.
    """
    names = scenarios()
    head = HEAD.format(
        date=date,
        version=__version__,
        comfyui=DEFAULT_VERSION,
        count=len(names),
        left_out=len(catalogue()) - len(names),
        timeout=TIMEOUT_S,
        python=f"Python {platform.python_version()}",
        node=f"Node.js {node}",
    )
    rows = [_row(client, found[client.name]) for client in CLIENTS]
    parts = [head, *rows, MIDDLE.format(most=CAUSES_MAX)]
    for client in CLIENTS:
        parts += [f"\n### {client.name}\n\n", *_causes(found[client.name]["fixes"])]
    return "".join([*parts, END])


def _row(client: Client, found: Mapping[str, Any]) -> str:
    summary = found["summary"]
    failed = [one for one in found["results"] if one["status"] == "fail"]
    numbers = [summary[key] for key in ("passed", "failed", "not_exercised")]
    numbers.append(sum(one["ended"] == "hung" for one in failed))
    numbers.append(sum(one["reported"] == "an untruth" for one in failed))
    cells = [_linked(client), found["version"], client.learns, *map(str, numbers)]
    return f"| {' | '.join(cells)} |\n"


def _linked(client: Client) -> str:
    where, _, name = client.package.partition(":")
    if where == "npm":
        return f"[{name}](https://www.npmjs.com/package/{name})"
    return f"[{name}](https://pypi.org/project/{name}/)" if where else "[comfyrec run](client.md)"


def _causes(fixes: Iterable[Mapping[str, Any]]) -> list[str]:
    lines = []
    for number, fix in enumerate([*fixes][:CAUSES_MAX], 1):
        # What a client printed may name folders of this machine.
        cause = _VALUES.sub("...", fix["cause"].partition("; it printed:")[0])
        cause = shortened(cause, CAUSE_MAX)
        seen = fix["scenarios"]
        more = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
        lines.append(f"{number}. {cause} (`{seen[0]}`{more}).\n")
    return lines or ["Nothing.\n"]


def main(names: list[str]) -> int:
    """Run the clients and write the page."""
    folder = os.environ.get("COMFY_CLIENTS_HOME")
    if not folder:
        print("name the folder with the clients in COMFY_CLIENTS_HOME", file=sys.stderr)
        return 2
    home = Path(folder).resolve()
    found = {}
    for client in CLIENTS:
        if not names or client.name in names:
            print(f"== {client.name}", file=sys.stderr, flush=True)
            found[client.name] = checked(client, home)
            print(client.name, found[client.name]["summary"], file=sys.stderr, flush=True)
    if names:
        json.dump(found, sys.stdout, indent=1)
        return 0
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    date = datetime.now(UTC).date().isoformat()
    text = page(found, date=date, node=node.stdout.strip().removeprefix("v"))
    (DOCS / "clients.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
