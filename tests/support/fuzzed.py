"""The recipe of docs/fuzzing.md, as it is printed there, on the specimens."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Coroutine, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.comfyrec.check.specimens.matrix import specimen
from tests.comfyrec.check.specimens.right import Client
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "fuzzing.md"
SHORT = (Phase.generate,)
WHOLE = (Phase.generate, Phase.shrink)


def recipe() -> str:
    """The code of the page that imports the reader's own client."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if "from my_project import my_client" in block]
    return str(found)


def client_of(name: str) -> Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, Any]]:
    """A specimen as the recipe calls a client."""
    kind: type[Client] = specimen(name)

    async def my_client(url: str, workflow: Mapping[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(**await kind(url).run(workflow))

    return my_client


def fuzz(
    monkeypatch: pytest.MonkeyPatch, name: str, *, examples: int, phases: Any = SHORT
) -> BaseException | None:
    """What the recipe, word by word, finds in a specimen."""
    project = ModuleType("my_project")
    project.my_client = client_of(name)  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, "my_project", project)
    namespace: dict[str, Any] = {"__name__": "recipe"}
    before = settings.default
    settings.register_profile(
        "recipe",
        max_examples=examples,
        phases=phases,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
    )
    settings.load_profile("recipe")
    try:
        # At its own lines of the page, where hypothesis reads the source of what it runs.
        above = PAGE.read_text(encoding="utf-8").partition(recipe())[0].count("\n")
        exec(compile("\n" * above + recipe(), PAGE, "exec"), namespace)
        namespace["test_my_client_tells_the_truth"]()
    except Exception as found:  # a client that breaks off raises its own
        return found
    finally:
        settings.register_profile("before", before)
        settings.load_profile("before")
    return None
