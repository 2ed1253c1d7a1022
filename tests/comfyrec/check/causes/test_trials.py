"""Trials: repeated as asked, in the order given, and nothing is left when they end."""

from __future__ import annotations

import sys

import pytest

from comfyrec.check.causes.trials import Repeat, Trial, Trials, why
from comfyrec.check.runner import CheckOptions
from comfyrec.errors import UsageError
from fake_server.scenarios import choose

SUBMITS = """
import json, sys, urllib.request
body = json.dumps({"prompt": json.load(open(sys.argv[2]))}).encode()
urllib.request.urlopen(sys.argv[1] + "/prompt", body)
"""


def trial(code: str) -> Trial:
    argv = (sys.executable, "-S", "-c", code, "{url}", "{workflow}")
    return Trial(choose("success"), CheckOptions(argv=argv, timeout_s=20))


@pytest.mark.parametrize("text, repeat", [("3", Repeat(1, 3)), ("2-of-3", Repeat(2, 3))])
def test_a_repeat_is_read_as_it_is_written(text: str, repeat: Repeat) -> None:
    assert Repeat.from_text(text) == repeat


@pytest.mark.parametrize("text", ["", "0", "3-of-2", "2 of 3", "101", "1-of-", "-1"])
def test_a_repeat_that_makes_no_sense_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="write N-of-M"):
        Repeat.from_text(text)


@pytest.mark.long
def test_results_come_in_the_order_of_the_trials() -> None:
    fails = trial(f"{SUBMITS}\nsys.exit(3)")

    with Trials(fails.options.argv, jobs=2) as trials:
        good, bad = trials.results([trial(SUBMITS), fails])

    assert (why(good), trials.runs, trials.flaky) == ("", 2, False)
    assert why(bad) == "it reports failed; the prompt succeeded"


@pytest.mark.long
@pytest.mark.parametrize("text, failing", [("1-of-3", True), ("2-of-3", False)])
def test_a_flaky_client_fails_as_often_as_it_has_to(
    text: str, failing: bool, tmp_path: object
) -> None:
    once = f"{SUBMITS}\nimport os\nmark = {str(tmp_path)!r} + '/was-here'\n" + (
        "fresh = not os.path.exists(mark)\nopen(mark, 'w').close()\nsys.exit(fresh)"
    )
    asked = trial(once)

    with Trials(asked.options.argv, repeat=Repeat.from_text(text)) as trials:
        (result,) = trials.results([asked])

    assert bool(why(result)) is failing
    assert trials.flaky is not failing
