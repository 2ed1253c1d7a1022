"""Writes the parts of the pages here that follow from the code: ``python docs/make_pages.py``.

``control.md`` gets the operations of the control plane, ``catalogue.md`` the table of scenarios and
the invariants, ``versions.md`` the table of facts, each between markers; ``api/`` gets a page for
each public package. ``--check`` writes nothing and exits 1 when a page is out of date.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PACKAGES = (
    "comfyrec.events",
    "comfyrec.cassette",
    "comfyrec.timeline",
    "comfyrec.tables",
    "comfyrec.client",
    "comfyrec.proxy",
    "comfyrec.strategies",
    "comfyrec.check",
    "comfyrec.workflows",
    "fake_server",
)
"""The packages that other projects import from; each has a page of its public modules."""
FAKE_SERVER = (
    "nodes.catalogue",
    "options",
    "replay",
    "scenario_source",
    "seeded",
    "server.clock",
    "server.hold",
    "server.thread",
    "simulated_server",
    "simulator.node_plan",
    "source",
    "surfaces.surface",
    "surfaces.task_server",
    "testing",
)
"""The modules of ``fake_server`` that other projects use; all others imitate ComfyUI inside."""


def pages() -> dict[Path, str]:
    """What each generated page should hold."""
    made = {DOCS / "catalogue.md": _catalogue((DOCS / "catalogue.md").read_text(encoding="utf-8"))}
    made[DOCS / "control.md"] = _control((DOCS / "control.md").read_text(encoding="utf-8"))
    page = (DOCS / "versions.md").read_text(encoding="utf-8")
    made[DOCS / "versions.md"] = _filled(page, "facts", _facts())
    for package in PACKAGES:
        made[DOCS / "api" / f"{package}.md"] = _api_page(package)
    made[DOCS / "api" / "README.md"] = _api_index()
    return made


# --- the control plane ---------------------------------------------------------------------------


def _control(page: str) -> str:
    from comfyrec.control.plane import openapi

    return _filled(page, "operations", "\n\n".join(_operations(openapi())))


def _operations(document: Any) -> Iterator[str]:
    schemas = document.components["schemas"]
    for path, methods in document.paths.items():
        for method, one in methods.items():
            yield f"### `{method.upper()} {path}`"
            yield one["summary"]
            body = one.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                fields = _fields(schemas, body["schema"])
                yield f"Takes {fields}, as in `{json.dumps(body['example'])}`."
            filters = [f"`{each['name']}`" for each in one.get("parameters", ())
                       if each["in"] == "query"]  # fmt: skip
            if filters:
                yield f"In the query: {', '.join(filters)}."
            answer = one["responses"]["200"]["content"]["application/json"]["schema"]
            yield f"Gives {_fields(schemas, answer)}."


def _fields(schemas: dict[str, Any], reference: dict[str, str]) -> str:
    names = schemas[reference["$ref"].rpartition("/")[2]].get("properties", {})
    return ", ".join(f"`{name}`" for name in names) or "nothing"


# --- the catalogue -------------------------------------------------------------------------------


def _catalogue(page: str) -> str:
    return _filled(_filled(page, "invariants", _invariants()), "scenarios", _scenarios())


def _filled(page: str, marker: str, content: str) -> str:
    begin, end = f"<!-- {marker} -->\n", f"<!-- end of {marker} -->"
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n{content}\n{end}{tail}"


def _invariants() -> str:
    from comfyrec.check.invariants import INVARIANTS

    rows = [f"| {code} | {_cell(sentence)} |" for code, sentence in INVARIANTS.items()]
    return "\n".join(["| | a correct client |", "|---|---|", *rows])


def _scenarios() -> str:
    from fake_server.scenarios import catalogue, scenario_surfaces

    every = [one for surface in scenario_surfaces() for one in catalogue(surface)]
    rows = [
        f"| {one.row} | `{one.name}` | {_cell(one.summary)} | {_cell(one.correct)} "
        f"| {' '.join(one.keeps)} | {', '.join(_thread(each) for each in one.evidence)} |"
        for one in sorted(every, key=lambda one: (one.row or "~", one.name))
    ]
    head = "| | name | what happens | a correct client | tries | seen in |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _thread(evidence: str) -> str:
    repository, mark, number = evidence.partition("#")
    if mark and number.isdigit() and re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        return f"[{evidence}](https://github.com/{repository}/issues/{number})"
    return _cell(evidence)


# --- versions ------------------------------------------------------------------------------------


def _facts() -> str:
    from comfyrec.versions import FACTS

    rows = [
        f"| `{fact.name}` | {fact.first_text} | {fact.last_text} "
        f"| {'seen' if fact.seen else 'read'} | {_cell(fact.says)} | {_cell(fact.source)} |"
        for fact in FACTS
    ]
    head = "| fact | first release | last release | | what a client sees | source |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


# --- the API -------------------------------------------------------------------------------------


def _api_index() -> str:
    rows = [f"* [`{name}`]({name}.md): {_first_line(import_module(name))}" for name in PACKAGES]
    return "\n".join(["# Python API", "", "Made from the docstrings.", "", *rows, ""])


def _api_page(package: str) -> str:
    lines = [f"# `{package}`", "", inspect.getdoc(import_module(package)) or "", ""]
    for name in _public_modules(package):
        lines += _module(name)
    return "\n".join(lines)


def _public_modules(package: str) -> Iterator[str]:
    """The package's modules that say what is public with ``__all__``, scenarios aside."""
    folder = Path(str(import_module(package).__file__)).parent
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if any(part.startswith("_") for part in parts) or parts[0] == "scenarios":
            continue
        if package == "fake_server" and ".".join(parts) not in FAKE_SERVER:
            continue
        if "__all__" in path.read_text(encoding="utf-8"):
            yield ".".join((package, *parts))


def _module(name: str) -> list[str]:
    module = import_module(name)
    lines = [f"## `{name}`", "", inspect.getdoc(module) or "", ""]
    for public in module.__all__:
        value = getattr(module, public)
        if getattr(value, "__module__", name) != name:
            continue
        if inspect.isclass(value):
            lines += [f"### `{public}`", "", *_doc(value), *_methods(value)]
        elif inspect.isroutine(value):
            lines += [f"### `{public}{_signature(value)}`", "", *_doc(value)]
        elif (said := _said_below(module, public)) is not None:
            lines += [f"### `{public}`", "", said, ""]
    return lines


def _methods(kind: type[Any]) -> list[str]:
    lines: list[str] = []
    for name, value in vars(kind).items():
        if name.startswith("_") or not inspect.isroutine(value) or not inspect.getdoc(value):
            continue
        plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        lines += [f"#### `{kind.__name__}.{name}{_signature(plain)}`", "", *_doc(plain)]
    return lines


def _signature(value: Any) -> str:
    try:
        shown = str(inspect.signature(value)).replace("`", "")
    except (TypeError, ValueError):
        return "(...)"
    # Annotations are texts, and a default that is an object shows its address.
    return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"(: |-> )'([^']*)'", r"\1\2", shown))


def _doc(value: Any) -> list[str]:
    own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    return [inspect.cleandoc(own), ""] if own else []


def _said_below(module: Any, name: str) -> str | None:
    """The docstring that stands below a constant."""
    body = ast.parse(inspect.getsource(module)).body
    for line, after in pairwise(body):
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                return inspect.cleandoc(text.value)
    return None


def _first_line(module: Any) -> str:
    return (inspect.getdoc(module) or "").partition("\n")[0]


def main(arguments: list[str]) -> int:
    """Write the pages, or only look."""
    stale = [path for path, text in pages().items() if not _holds(path, text)]
    if arguments == ["--check"]:
        for path in stale:
            print(f"{path.relative_to(DOCS.parent)} is out of date; run python docs/make_pages.py")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(pages()[path], encoding="utf-8")
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))
    sys.exit(main(sys.argv[1:]))
