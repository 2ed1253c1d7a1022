"""A client with a planted bug on cuts of a session: the one message that breaks it is left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from comfyrec.check.causes.parts import Cut, Parts
from comfyrec.check.causes.shrink import Spent, shrunk
from comfyrec.check.causes.shrink_trials import Failing, NeverFails
from comfyrec.check.causes.trials import Trials
from comfyrec.errors import ScenarioError, UsageError
from tests.support.shrink_session import BREAKING, session

pytestmark = pytest.mark.long

TINY = Path(__file__).parents[1] / "specimens" / "tiny.py"


def command(bug: str) -> tuple[str, ...]:
    return (sys.executable, "-S", str(TINY), bug, "{url}", "{workflow}")


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts(session())


# All nine take half a minute; these are an untruth and a hang, and ``cli`` has a crash.
@pytest.mark.parametrize("bug", ["foreign_null", "foreign_start"])
def test_the_one_message_that_breaks_a_client_is_left(bug: str, parts: Parts) -> None:
    with Trials(command(bug), jobs=4) as trials:
        failing = Failing(parts, trials, command(bug), timeout_s=3)
        failing.begin()
        cut, whole = shrunk(parts, failing, ends_stay=failing.hangs, width=4)

    _, messages = parts.left(cut)
    ends = 2 if bug == "foreign_start" else 0
    assert whole
    assert failing.guarded
    assert len(messages) == 1 + ends
    assert (
        messages[0].says.partition(" ")[0]
        == {
            "foreign_null": "executing",
            "foreign_start": "execution_start",
        }[bug]
    )
    assert trials.runs <= 60
    assert any("A correct client passes" in line for line in failing.story(cut, len(messages)))


@pytest.mark.long
def test_a_client_that_lives_on_is_told_where_its_address_is(parts: Parts) -> None:
    code = "import comfyrec.fuzz.adapter as a; a.answer_lines(lambda job: {'outcome': 'failed'})"
    argv = (sys.executable, "-c", code)
    with (
        Trials(argv, lines=True) as trials,
        pytest.raises(UsageError, match="let it take the url of each job"),
    ):
        Failing(parts, trials, argv, timeout_s=6, lines=True).begin()


def test_a_client_that_passes_is_nothing_to_shrink(parts: Parts) -> None:
    with Trials(command("right")) as trials:
        failing = Failing(parts, trials, command("right"), timeout_s=5)
        with pytest.raises(NeverFails, match="passes when it is replayed"):
            failing.begin()


def test_a_client_that_never_comes_is_said(parts: Parts) -> None:
    argv = (sys.executable, "-S", "-c", "pass")
    with Trials(argv) as trials, pytest.raises(UsageError, match="never contacted the server"):
        Failing(parts, trials, argv, timeout_s=5).begin()


def test_no_more_runs_are_made_than_may_be(parts: Parts) -> None:
    bug = command("null_output")
    with Trials(bug, jobs=2) as trials:
        failing = Failing(parts, trials, bug, timeout_s=5, runs_max=2)
        failing.begin()
        with pytest.raises(Spent):
            for part in parts.messages(and_ends=True)[:4]:
                failing([Cut().less([part])])
        assert trials.runs == 2


def test_a_recording_without_a_prompt_is_said() -> None:
    nothing = [one for one in session() if getattr(one, "conn", 0) != 2]
    with Trials(command("right")) as trials, pytest.raises(ScenarioError, match="nobody submits"):
        Failing(Parts(nothing), trials, command("right"), timeout_s=5)


def test_every_planted_bug_has_its_message() -> None:
    text = TINY.read_text(encoding="utf-8")

    assert all(f'"{bug}"' in text for bug in BREAKING)
