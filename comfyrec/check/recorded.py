"""A recording as a scenario: what was recorded is played, and a client is judged by its truth.

    from comfyrec.check.recorded import recorded_scenario

    SCENARIO = recorded_scenario("cassettes/found.jsonl", name="found")

``comfyrec check --scenarios cassettes/found.jsonl`` does it for a file.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.errors import CassetteError, ScenarioError
from comfyrec.timeline import RecordedPrompt, Timeline
from comfyrec.wording import alternatives
from fake_server.replay import Player
from fake_server.scenarios import Choice, Directions, Scenario, select
from fake_server.scenarios.kit.observer import Ending
from fake_server.scenarios.kit.scenario import Parameters
from fake_server.surfaces.registry import NATIVE

__all__ = ["choices_in", "ending_recorded", "recorded_scenario", "scenario_of"]

FILES: Final = (".jsonl", ".crec")
_IN_MODULE: Final = re.compile(r"(.+\.py)(?::(.+))?")
_ENDINGS: Final[Mapping[str, Ending]] = {
    "success": "success",
    "error": "error",
    "interrupted": "interrupted",
    "deleted": "cancelled",
}


def recorded_scenario(
    path: str | os.PathLike[str],
    *,
    name: str = "",
    summary: str = "",
    truth: Sequence[Ending] = (),
) -> Scenario:
    """A cassette as a scenario.

    Args:
        path: of the cassette, or the name of a bundled one.
        name: of the scenario; empty: that of the file.
        summary: what goes wrong in it, one line.
        truth: what a client may truthfully report; empty: what the recording says.

    Raises:
        CassetteError: it cannot be read.
        ScenarioError: nobody submits a prompt in it, or it does not say how the prompt ended.
    """
    found = find_cassette(path)
    with open_cassette(found) as records:
        timeline = Timeline.build(records)
    return scenario_of(
        timeline, name=name or Path(found).stem, summary=summary, truth=truth, where=str(path)
    )


def scenario_of(
    timeline: Timeline,
    *,
    name: str,
    summary: str = "",
    truth: Sequence[Ending] = (),
    keeps: Sequence[str] = ("K5", "K6"),
    where: str = "the recording",
) -> Scenario:
    """A recording in memory as a scenario; see ``recorded_scenario``.

    Args:
        timeline: the recording.
        name: as for ``recorded_scenario``.
        summary: as for ``recorded_scenario``.
        truth: as for ``recorded_scenario``.
        keeps: the invariants that are judged besides K1 to K3.
        where: what errors call the recording.
    """
    prompt = _submitted(timeline, where)
    told = tuple(truth) or (ending_recorded(timeline, where),)

    def direct(settings: Parameters) -> Directions:
        return Directions(recording=lambda: Player(timeline, match="any", unmatched="next"))

    return Scenario(
        name=name,
        category="normal",
        summary=summary or "What was recorded happens again.",
        correct=f"reports {' or '.join(told)}, with the outputs of the history",
        keeps=tuple(keeps),
        truth=told,
        direct=direct,
        workflow=prompt.graph if prompt is not None else None,
    )


def ending_recorded(timeline: Timeline, where: str = "the recording") -> Ending:
    """What became of the first prompt that a client of the recording submitted.

    Raises:
        ScenarioError: nobody submits one, or the recording does not say.
    """
    prompt = _submitted(timeline, where)
    if prompt is None:
        return "rejected"
    if prompt.outcome not in _ENDINGS:
        raise ScenarioError(
            f"{where} does not say what became of its prompt, so no client can be judged by it; "
            f"record until the prompt has ended"
        )
    return _ENDINGS[prompt.outcome]


def _submitted(timeline: Timeline, where: str) -> RecordedPrompt | None:
    """The first prompt that was submitted; None: all that were are refused."""
    prompts = [one for one in timeline.prompts if one.submitted is not None]
    posted = any(one.method == "POST" and one.path == "/prompt" for one in timeline.exchanges)
    if not prompts and not posted:
        raise ScenarioError(
            f"nobody submits a prompt in {where}, so there is nothing to judge a client by; "
            f"record a client that does"
        )
    return prompts[0] if prompts else None


# --- as people name them ---------------------------------------------------------------------


def choices_in(pattern: str, surface: str = NATIVE) -> list[Choice]:
    """As ``fake_server.scenarios.select``; a part may also be a file: a cassette, or a module.

    A Python file is run, and each ``Scenario`` in it is taken; of ``FILE.py:NAME`` that one.

    Raises:
        CassetteError: a cassette cannot be read.
        ScenarioError: a part fits nothing, or a file has no scenario.
    """
    found: list[Choice] = []
    names: list[str] = []
    for part in filter(None, pattern.split(",")):
        module = _IN_MODULE.fullmatch(part)
        if module is not None:
            found += _of_module(module[1], module[2] or "")
        elif not part.endswith(FILES):
            names.append(part)
        else:
            scenario = recorded_scenario(part, name=part)
            found.append(Choice(scenario, scenario.settings(), given=part))
    return [*(select(",".join(names), surface) if names else ()), *found]


def _of_module(path: str, name: str) -> list[Choice]:
    """The scenarios of a Python file, or the one of them that has the name."""
    scenarios = _scenarios_of(Path(path))
    found = [one for one in scenarios if name in ("", one.name)]
    if not found:
        raise ScenarioError(f"{path} has no scenario {name!r}; {_named(scenarios, name)}")
    alone = len(scenarios) == 1
    return [
        Choice(one, one.settings(), given=path if alone else f"{path}:{one.name}") for one in found
    ]


def _named(scenarios: Sequence[Scenario], name: str) -> str:
    return alternatives(name, [one.name for one in scenarios])


def _scenarios_of(path: Path) -> list[Scenario]:
    found: dict[str, Any] = {}
    spec = importlib.util.spec_from_file_location(f"comfyrec_scenarios_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ScenarioError(f"there is no file {path}; give one with scenarios, or a name")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (CassetteError, ScenarioError):
        raise
    except Exception as error:  # anything may go wrong in somebody else's module
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ScenarioError(f"{path} cannot be run: {why}; mend it") from error
    found = {one.name: one for one in vars(module).values() if isinstance(one, Scenario)}
    if not found:
        raise ScenarioError(
            f"{path} has no scenario; give a file in which a Scenario has a name of its own"
        )
    return list(found.values())
