"""List the scenarios of the catalogue, or say all about one of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec

from comfyrec.cli._output import safe
from fake_server.oracles import INVARIANTS
from fake_server.playing import scenario_source, shell_of
from fake_server.scenarios import ALIASES, Choice, Scenario, catalogue, choose
from fake_server.scenarios.kit import PLAIN
from fake_server.scenarios.kit.rehearsal import Line, rehearse

LINES_SHOWN = 60
"""Of a time line; the beginning is what matters."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec scenarios``."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME[:k=v,...]",
        help="a scenario: its parameters, what is sent, what a correct client does",
    )
    parser.add_argument("--json", action="store_true", help="for a machine to read")


def run(arguments: argparse.Namespace) -> int:
    """Print the catalogue, or one scenario."""
    if arguments.name:
        choice = choose(arguments.name)
        if arguments.json:
            print(json.dumps(_whole(choice), indent=2))
        else:
            print("\n".join(_page(choice)))
    elif arguments.json:
        print(json.dumps([_entry(scenario) for scenario in catalogue()], indent=2))
    else:
        print("\n".join(_listing(catalogue())))
    return 0


# --- the list --------------------------------------------------------------------------------


def _listing(scenarios: list[Scenario]) -> Iterator[str]:
    width = max(len(scenario.name) for scenario in scenarios)
    for category, some in groupby(scenarios, key=lambda scenario: scenario.category):
        yield f"{category}"
        for one in some:
            yield f"  {one.row:<4} {one.name:<{width}}  {one.summary}"
        yield ""
    yield "everyday names"
    for alias, (name, params) in ALIASES.items():
        given = "".join(f", {key}={value}" for key, value in params.items())
        yield f"       {alias:<{width}}  {name}{given}"
    yield ""
    yield "'comfyrec scenarios NAME' says more about one of them."


def _entry(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "row": scenario.row,
        "category": scenario.category,
        "summary": scenario.summary,
        "correct": scenario.correct,
        "invariants": list(scenario.keeps),
        "truth": list(scenario.truth),
        "evidence": list(scenario.evidence),
        "parameters": _parameters(scenario),
    }


def _parameters(scenario: Scenario) -> dict[str, Any]:
    schema = msgspec.json.schema(scenario.settings)
    own = schema["$defs"][scenario.settings.__name__].get("properties", {})
    return {name: dict(about) for name, about in own.items()}


# --- one of them -----------------------------------------------------------------------------


def _whole(choice: Choice) -> dict[str, Any]:
    lines = [
        {"t_us": line.t, "to": "client" if line.to_client else "server", "what": line.text}
        for line in _time_line(choice)
    ]
    settings = msgspec.to_builtins(choice.settings)
    return {**_entry(choice.scenario), "settings": settings, "time_line": lines}


def _page(choice: Choice) -> Iterator[str]:
    scenario = choice.scenario
    row = f" ({scenario.row})" if scenario.row else ""
    yield f"{scenario.name}{row}: {scenario.summary}"
    yield ""
    yield from _parameter_lines(choice)
    yield f"A correct client {scenario.correct}."
    yield f"  It may truthfully report: {', '.join(scenario.truth)}"
    for name in scenario.keeps:
        yield f"  {name}: it {INVARIANTS[name]}"
    yield ""
    yield "What is said (a polite client, in virtual time):"
    lines = list(_time_line(choice))
    yield from (_in_columns(line) for line in lines[:LINES_SHOWN])
    if len(lines) > LINES_SHOWN:
        yield f"  ... and {len(lines) - LINES_SHOWN} more"
    yield ""
    yield f"Evidence: {'; '.join(scenario.evidence) or 'none'}"


def _parameter_lines(choice: Choice) -> Iterator[str]:
    parameters = _parameters(choice.scenario)
    if not parameters:
        yield "No parameters."
    else:
        yield f"Parameters ({(choice.scenario.settings.__doc__ or '').strip()})"
    values = msgspec.to_builtins(choice.settings)
    for name, about in parameters.items():
        default = json.dumps(about.get("default", values[name]))
        now = "" if json.dumps(values[name]) == default else f", here {json.dumps(values[name])}"
        yield f"  {name} = {default}{now}   {_kind(about)}"
    yield ""


def _kind(about: dict[str, Any]) -> str:
    """A parameter's type and range in words."""
    if "enum" in about:
        return "one of " + ", ".join(map(str, about["enum"]))
    if "anyOf" in about:
        return " or ".join(_kind(one) for one in about["anyOf"])
    if about.get("type") == "array":
        return f"several, with | between: {_kind(about['items'])}"
    words = [str(about.get("type", "any value"))]
    words += [f"from {about['minimum']:g}"] if "minimum" in about else []
    words += [f"to {about['maximum']:g}"] if "maximum" in about else []
    return " ".join(words)


def _time_line(choice: Choice) -> Iterable[Line]:
    source = scenario_source([choice])
    workflow = choice.scenario.workflow or PLAIN
    return rehearse(source, workflow, prefix=shell_of([choice]).prefix)


def _in_columns(line: Line) -> str:
    arrow = "<-" if line.to_client else "->"
    return f"  {line.t / 1000:9.1f} ms  {arrow} {safe(line.text)}"
