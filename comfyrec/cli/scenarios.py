"""List the scenarios of the catalogue, describe one of them, or search for words.

comfyrec scenarios ws-silent:after=start    describe one, with these parameters
comfyrec scenarios memory                   those that have this word in them
comfyrec scenarios | grep binary            in a pipe each is one whole line
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from comfyrec.check.invariants import INVARIANTS
from comfyrec.check.play import IMAGES
from comfyrec.cli.terminal.output import COLUMNS, safe, wrapped
from comfyrec.errors import ScenarioError
from comfyrec.wording import plural
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source, transport_of
from fake_server.scenarios import (
    ALIASES,
    Choice,
    Scenario,
    Stage,
    catalogue,
    choice_of,
    choose,
    scenario_surfaces,
)
from fake_server.scenarios.kit import PLAIN, under_prefix
from fake_server.scenarios.kit.dry_run import DryRunLine, dry_run
from fake_server.scenarios.kit.v2.dry_run import dry_run_v2
from fake_server.source import Source
from fake_server.surfaces.v2.settings import V2Settings

"""Of a terminal; a line of the list is not longer."""
LINES_SHOWN = 60
"""Of a timeline; its beginning matters most."""
REPEATS_SHOWN = 3
EXCERPT, EXCERPT_BEFORE = 90, 20
"""Characters of an answer around what is unusual in it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec scenarios``."""
    parser.add_argument(
        "name",
        nargs="*",
        metavar="NAME[:k=v,...]",
        help="a scenario: its parameters, what is sent, what a correct client does; "
        "or words to search for",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the catalogue, or one scenario."""
    found = _found(arguments.name) if arguments.name else _all()
    if not found:
        choice = _chosen(arguments.name)
        if arguments.json:
            print(json.dumps(_whole(choice), indent=2))
        else:
            print("\n".join(description(choice)))
    elif arguments.json:
        print(json.dumps([_entry(scenario) for scenario in found], indent=2))
    else:
        columns = COLUMNS if sys.stdout.isatty() else sys.maxsize
        print("\n".join(_listing(found, columns, whole=not arguments.name)))
    return 0


def _chosen(words: Sequence[str]) -> Choice:
    if len(words) > 1:
        raise ScenarioError(
            f"no scenario has {' and '.join(map(repr, words))} in it; give fewer words"
        )
    return choose(words[0])


def _found(words: Sequence[str]) -> list[Scenario]:
    """Those that have all words in them; none where one is named or nothing fits."""
    if len(words) == 1 and (":" in words[0] or _is_name(words[0])):
        return []
    wanted = [word.lower() for word in words]
    return [one for one in _all() if all(word in _searched(one) for word in wanted)]


def _is_name(word: str) -> bool:
    try:
        choose(word)
    except ScenarioError:
        return False
    return True


def _searched(scenario: Scenario) -> str:
    also = [
        f"{name} {params}" for name, (meant, params) in ALIASES.items() if meant == scenario.name
    ]
    words = (scenario.name, scenario.row, scenario.category, scenario.summary, scenario.correct)
    return " ".join((*words, *also, *scenario.evidence)).lower()


def _all() -> list[Scenario]:
    return [one for surface in scenario_surfaces() for one in catalogue(surface)]


# --- the list --------------------------------------------------------------------------------


def _listing(scenarios: list[Scenario], columns: int, *, whole: bool) -> Iterator[str]:
    width = max(len(scenario.name) for scenario in scenarios)
    for category, some in groupby(scenarios, key=lambda scenario: scenario.category):
        yield f"{category}"
        for one in some:
            beginning = f"  {one.row:<4} {one.name:<{width}}  "
            yield from wrapped(beginning, one.summary, columns)
        yield ""
    if not whole:
        yield f"{plural(len(scenarios), 'scenario')}; 'comfyrec scenarios NAME' describes one."
        return
    yield "short names"
    for alias, (name, params) in ALIASES.items():
        given = choice_of(name, params).title
        yield from wrapped(f"       {alias:<{width}}  ", given, columns)
    yield ""
    yield "'comfyrec scenarios NAME' describes one of them."


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
        for line in _timeline(choice)
    ]
    settings = msgspec.to_builtins(choice.settings)
    return {**_entry(choice.scenario), "settings": settings, "timeline": lines}


def description(choice: Choice) -> Iterator[str]:
    scenario = choice.scenario
    row = f" ({scenario.row})" if scenario.row else ""
    yield from wrapped("", f"{scenario.name}{row}: {scenario.summary}")
    yield ""
    yield from _parameter_lines(choice)
    yield from wrapped("", f"A correct client {scenario.correct}.")
    yield from wrapped("  It may truthfully report: ", ", ".join(scenario.truth))
    for name in scenario.keeps:
        yield from wrapped(f"  {name}: ", f"it {INVARIANTS[name]}")
    yield ""
    yield "Traffic of a correct client, in virtual time (* differs from a normal run,"
    yield "- is missing here):"
    lines = list(_compared(choice))
    if all(marked.mark == " " for marked in lines) and choice.scenario.name != "success":
        yield "  (as in a normal run: this client never gets to where the scenario differs)"
    for line in lines[:LINES_SHOWN]:
        yield from _in_columns(line)
    if len(lines) > LINES_SHOWN:
        yield f"  ... and {len(lines) - LINES_SHOWN} more lines"
    yield ""
    yield from wrapped("Evidence: ", "; ".join(scenario.evidence) or "none")


def _parameter_lines(choice: Choice) -> Iterator[str]:
    parameters = _parameters(choice.scenario)
    if not parameters:
        yield "No parameters."
    else:
        about_all = (choice.scenario.settings.__doc__ or "").strip().replace("``", "`")
        yield from wrapped("", f"Parameters ({about_all.rstrip('.')}):")
    values = msgspec.to_builtins(choice.settings)
    for name, about in parameters.items():
        default = json.dumps(about.get("default", values[name]))
        now = "" if json.dumps(values[name]) == default else f", here {json.dumps(values[name])}"
        yield from wrapped(f"  {name} = {default}{now}   ", _kind(about))
    yield ""


def _kind(about: dict[str, Any]) -> str:
    """A parameter's type and range in words."""
    if "enum" in about:
        return "one of " + ", ".join(map(str, about["enum"]))
    if "anyOf" in about:
        return " or ".join(_kind(one) for one in about["anyOf"])
    if about.get("type") == "array":
        return f"one or more, separated by |: {_kind(about['items'])}"
    words = [str(about.get("type", "any value"))]
    words += [f"from {about['minimum']}"] if "minimum" in about else []
    words += [f"greater than {about['exclusiveMinimum']}"] if "exclusiveMinimum" in about else []
    words += [f"to {about['maximum']}"] if "maximum" in about else []
    return " ".join(words)


class _Marked(NamedTuple):
    """A line of the page; its mark is ``*`` if it differs from a normal run, ``-`` if missing."""

    mark: str
    line: DryRunLine


def _compared(choice: Choice) -> Iterator[_Marked]:
    """The timeline, compared with that of the same prompt where nothing goes wrong."""
    here = list(_folded(_timeline(choice)))
    normal = list(_folded(_normal_run(choice)))
    match = SequenceMatcher(
        None, [line.text for line in normal], [line.text for line in here], autojunk=False
    )
    for tag, first, last, here_first, here_last in match.get_opcodes():
        if tag == "equal":
            pairs = zip(range(first, last), range(here_first, here_last), strict=True)
            yield from (_beside(normal, old, here, new) for old, new in pairs)
        else:
            yield from (_Marked("-", line) for line in normal[first:last])
            yield from (_Marked("*", line) for line in here[here_first:here_last])


def _beside(
    normal: Sequence[DryRunLine], old: int, here: Sequence[DryRunLine], new: int
) -> _Marked:
    """A line that reads the same in both runs, and may yet be late or hold something else."""
    line = here[new]
    before, after = _content(normal[old]), _content(line)
    if before != after:
        start = max(0, _same(before, after) - EXCERPT_BEFORE)
        excerpt = after[start : start + EXCERPT]
        rest = "..." if len(after) > start + EXCERPT else ""
        text = f"{line.text.partition(': ')[0]}: ...{excerpt}{rest}"
        return _Marked("*", msgspec.structs.replace(line, text=text))
    return _Marked("*" if _pause(here, new) > _pause(normal, old) else " ", line)


# What differs from run to run though nothing is wrong: ids, stamps, and numbers of prompts.
_STAMPS = re.compile(
    r'"(timestamp|create_time|number)": [\d.]+|"prompt": \[\d+'
    r"|[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+"
)


def _content(line: DryRunLine) -> str:
    text = line.message if isinstance(line.message, str) else line.message.decode("latin-1")
    return _STAMPS.sub("", text)


def _same(before: str, after: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = zip(before, after, strict=False)
    return next((at for at, (old, new) in enumerate(pairs) if old != new), len(after))


def _pause(lines: Sequence[DryRunLine], number: int) -> int:
    return lines[number].t - lines[number - 1].t if number else 0


def _folded(lines: Iterable[DryRunLine]) -> Iterator[DryRunLine]:
    """Many equal lines in a row become one."""
    for _, some in groupby(lines, key=lambda line: (line.to_client, line.text)):
        same = list(some)
        if len(same) <= REPEATS_SHOWN:
            yield from same
        else:
            text = f"{same[0].text}, {len(same)} times until {same[-1].t / 1000:.1f} ms"
            yield msgspec.structs.replace(same[0], text=text)


def _timeline(choice: Choice) -> Iterable[DryRunLine]:
    source = scenario_source([choice])
    if choice.scenario.surface == "v2":
        return _on_v2(choice, source)
    if choice.scenario.surface == "cloud":
        return _on_cloud(choice, source)
    workflow = choice.scenario.workflow or PLAIN
    return dry_run(source, workflow, prefix=transport_of([choice]).prefix, images=IMAGES)


def _normal_run(choice: Choice) -> Iterable[DryRunLine]:
    """The same prompt below the same path, where nothing goes wrong."""
    prefix = transport_of([choice]).prefix
    if choice.scenario.surface == "v2":
        settings = choice.scenario.direct(choice.settings).surface
        return _on_v2(choice, scenario_source([_plain_run(choice)], _v2_options(settings)))
    if choice.scenario.surface == "cloud":
        options = ServerOptions(surfaces=(SurfaceChoice("cloud"),))
        return _on_cloud(choice, scenario_source([_plain_run(choice)], options))
    source = scenario_source([choose("success")])
    inside = Stage(lambda: source, [under_prefix(prefix)]) if prefix else source
    workflow = choice.scenario.workflow or PLAIN
    return dry_run(inside, workflow, prefix=prefix, images=IMAGES)


def _on_v2(choice: Choice, source: Source) -> Iterable[DryRunLine]:
    return dry_run_v2(
        source,
        choice.scenario.workflow or PLAIN,
        prefix=transport_of([choice]).prefix,
        images=IMAGES,
        token=getattr(choice.settings, "token", ""),
    )


def _on_cloud(choice: Choice, source: Source) -> Iterable[DryRunLine]:
    workflow, key = choice.scenario.workflow or PLAIN, getattr(choice.settings, "token", "a-key")
    return dry_run(source, workflow, prefix="/api", images=IMAGES, key=key)


def _v2_options(settings: Mapping[str, Any]) -> ServerOptions:
    """A mount and a key are not what differs."""
    kept = {name: settings[name] for name in ("prefix", "token", "links") if name in settings}
    return ServerOptions(surfaces=(SurfaceChoice("v2", V2Settings(**kept)),))


def _plain_run(choice: Choice) -> Choice:
    """A normal run whose nodes take the time that they take in the scenario."""
    plan = choice.scenario.direct(choice.settings).plan
    return choice_of("success", {"nodes": plan(PLAIN)} if plan is not None else {})


def _in_columns(marked: _Marked) -> list[str]:
    line = marked.line
    arrow = "<-" if line.to_client else "->"
    when = "" if marked.mark == "-" else f"{line.t / 1000:.1f} ms"
    return wrapped(f"{marked.mark} {when:>12}  {arrow} ", safe(line.text))
