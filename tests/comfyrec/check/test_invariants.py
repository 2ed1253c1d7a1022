"""K1 to K9: whether each holds, for a report against the truth."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from comfyrec.check.case import Case, Limits, Report, Traffic, Truth
from comfyrec.check.invariants import ALWAYS, INVARIANTS, judge, truth_in_words
from fake_server.scenarios import Directions, Scenario

PICTURE = {"9": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}}
FOREIGN = {"9": {"images": [{"filename": "z.png", "subfolder": "", "type": "output"}]}}
WHOLE = b"a whole picture"


def scenario(*truth: Any, reason: tuple[str, ...] = ()) -> Scenario:
    return Scenario(
        name="x",
        category="drift",
        summary="X.",
        correct="does",
        keeps=tuple(INVARIANTS),
        truth=truth or ("success",),
        reason=reason,
        direct=lambda settings: Directions(),
    )


def report(outcome: Any = "success", **more: Any) -> Report:
    return Report(**{"outcomes": (outcome,), "at_s": 10.0, "text": "", **more})


def beside(other: str) -> Truth:
    """The prompt failed, and another one ended like this."""
    return msgspec.structs.replace(DONE, ending="error", ends_of_others=frozenset([other]))


DONE = Truth(ending="success", at_s=9.0, prompt_id="p", outputs=PICTURE, contents=(WHOLE,))
MIB = 1024 * 1024
FLOODED = Truth(
    ending="success", at_s=9.0, prompt_id="p", outputs=PICTURE, contents=(WHOLE,), flooded_s=5.0
)
THREE = {
    "9": {
        "images": [
            {"filename": f"{name}.png", "subfolder": "", "type": "output"} for name in "abc"
        ],
        "a_images": [{"filename": "d.png", "subfolder": "", "type": "temp"}],
    }
}
GOOD = Traffic(sockets=1, socket_first=True, posts=1, attempts=2)
CASES: dict[str, tuple[Case, dict[str, bool | None]]] = {
    "all is well": (
        Case(scenario=scenario(), report=report(outputs=PICTURE), truth=DONE, traffic=GOOD),
        {"K1": True, "K2": True, "K3": True, "K4": True, "K5": True, "K6": True, "K7": True,
         "K8": True},
    ),
    "it hung": (
        Case(scenario=scenario(), report=Report(), truth=DONE, traffic=GOOD),
        {"K1": False, "K2": False, "K3": None, "K4": None, "K6": False, "K8": False},
    ),
    "it broke off": (
        Case(scenario=scenario(), report=Report(at_s=10.0, crash="KeyError: 'x'"), truth=DONE,
             traffic=GOOD),
        {"K1": False, "K6": False},
    ),
    "two outcomes": (
        Case(scenario=scenario(), report=report(outcomes=("error", "success")), truth=DONE,
             traffic=GOOD),
        {"K1": False, "K3": True},
    ),
    "too late": (
        Case(scenario=scenario(), report=report(at_s=60.0), truth=DONE, traffic=GOOD),
        {"K2": False},
    ),
    "success of a failure": (
        Case(scenario=scenario("error"), report=report(), truth=Truth(ending="error", at_s=9.0),
             traffic=GOOD),
        {"K3": False},
    ),
    "failure without a kind": (
        Case(scenario=scenario("error"), report=report("failed"),
             truth=Truth(ending="error", prompt_id="p"), traffic=GOOD),
        {"K3": True},
    ),
    "a success of nothing": (
        Case(scenario=scenario(), report=report(), truth=Truth(), traffic=Traffic(attempts=1)),
        {"K1": True, "K3": False},
    ),
    "a failure without an attempt": (
        Case(scenario=scenario(), report=report("failed"), truth=Truth(reached=False),
             traffic=Traffic()),
        {"K3": False},
    ),
    "given up at once": (
        Case(scenario=scenario(), report=report("lost"), truth=Truth(reached=False),
             traffic=Traffic(attempts=2)),
        {"K3": True, "K8": False},
    ),
    "given up after some attempts": (
        Case(scenario=scenario(), report=report("lost"), truth=Truth(reached=False),
             traffic=Traffic(attempts=3)),
        {"K3": True, "K8": True},
    ),
    "given up though the server was there": (
        Case(scenario=scenario(), report=report("lost"), truth=Truth(),
             traffic=Traffic(attempts=3)),
        {"K3": False},
    ),
    "rejected in truth": (
        Case(scenario=scenario("rejected"), report=report("rejected"),
             truth=Truth(ending="rejected"), traffic=Traffic(attempts=1, posts=1)),
        {"K3": True},
    ),
    "an error of a prompt that was never accepted": (
        Case(scenario=scenario("error"), report=report("error"), truth=Truth(),
             traffic=Traffic(attempts=1)),
        {"K3": False},
    ),
    "failure of a success": (
        Case(scenario=scenario(), report=report("failed"), truth=DONE, traffic=GOOD),
        {"K3": False, "K8": False},
    ),
    "an end that was not its own": (
        Case(scenario=scenario(), report=report(at_s=8.0), truth=DONE, traffic=GOOD),
        {"K4": False},
    ),
    "an end that others had, too": (
        Case(scenario=scenario("error"), report=report(), traffic=GOOD, truth=beside("success")),
        {"K3": False, "K4": False},
    ),
    "an end that nobody had": (
        Case(scenario=scenario("error"), report=report(), traffic=GOOD, truth=beside("error")),
        {"K3": False, "K4": None},
    ),
    "an end before any": (
        Case(scenario=scenario(), report=report(), truth=Truth(prompt_id="p", unfinished=True),
             traffic=GOOD),
        {"K3": False},
    ),
    "somebody else's files": (
        Case(scenario=scenario(), report=report(outputs=FOREIGN), truth=DONE, traffic=GOOD),
        {"K4": False, "K5": False},
    ),
    "a missing file": (
        Case(scenario=scenario(), report=report(outputs={}), truth=DONE, traffic=GOOD),
        {"K5": False},
    ),
    "a half file saved": (
        Case(scenario=scenario(), report=report(files=(WHOLE[:4],)), truth=DONE, traffic=GOOD),
        {"K5": False},
    ),
    "nothing saved": (
        Case(scenario=scenario(), report=report(files=()), truth=DONE, traffic=GOOD),
        {"K5": False},
    ),
    "a whole file saved": (
        Case(scenario=scenario(), report=report(files=(WHOLE,)), truth=DONE, traffic=GOOD),
        {"K5": True},
    ),
    "no socket": (
        Case(scenario=scenario(), report=report(), truth=DONE, traffic=Traffic(posts=1)),
        {"K7": None},
    ),
    "socket behind the prompt": (
        Case(scenario=scenario(), report=report(), truth=DONE,
             traffic=Traffic(posts=1, sockets=1, socket_first=False)),
        {"K7": False},
    ),
    "two of three files saved": (
        Case(scenario=scenario(), report=report(files=(WHOLE, b"b")),
             truth=Truth(ending="success", at_s=9.0, prompt_id="p", outputs=THREE,
                         contents=(WHOLE, b"b", b"c", b"d")), traffic=GOOD),
        {"K5": False},
    ),
    "all but a temporary file saved": (
        Case(scenario=scenario(), report=report(files=(WHOLE, b"b", b"c")),
             truth=Truth(ending="success", at_s=9.0, prompt_id="p", outputs=THREE,
                         contents=(WHOLE, b"b", b"c", b"d")), traffic=GOOD),
        {"K5": True},
    ),
    "a hoard": (
        Case(scenario=scenario(), report=report(memory=((1.0, 50 * MIB), (8.0, 131 * MIB))),
             truth=FLOODED, traffic=GOOD),
        {"K8": False},
    ),
    "a hoard that nobody minds": (
        Case(scenario=scenario(), report=report(memory=((1.0, 50 * MIB), (8.0, 131 * MIB))),
             truth=FLOODED, traffic=GOOD, limits=Limits(memory_bytes=None)),
        {"K8": True},
    ),
    "memory taken before the flood": (
        Case(scenario=scenario(),
             report=report(memory=((1.0, 50 * MIB), (4.9, 500 * MIB), (8.0, 579 * MIB))),
             truth=FLOODED, traffic=GOOD),
        {"K8": True},
    ),
    "memory that nobody measured": (
        Case(scenario=scenario(), report=report(), truth=FLOODED, traffic=GOOD),
        {"K8": True},
    ),
    "a storm of requests": (
        Case(scenario=scenario(), report=report(), truth=DONE, traffic=Traffic(busiest_second=500)),
        {"K8": False},
    ),
    "a time-out that names the prompt": (
        Case(scenario=scenario("timed-out"), report=report("timed-out", text="gave up on p"),
             truth=Truth(prompt_id="p", unfinished=True), traffic=GOOD),
        {"K3": True, "K8": True},
    ),
    "a time-out that does not": (
        Case(scenario=scenario("timed-out"), report=report("timed-out", text="gave u_"),
             truth=Truth(prompt_id="p", unfinished=True), traffic=GOOD),
        {"K8": False},
    ),
    "the server's reason": (
        Case(scenario=scenario("error", reason=("out of luck",)),
             report=report("error", text="RuntimeError: out of luck"),
             truth=Truth(ending="error"), traffic=GOOD),
        {"K9": True},
    ),
    "no reason": (
        Case(scenario=scenario("error", reason=("out of luck",)),
             report=report("error", text="something failed"),
             truth=Truth(ending="error"), traffic=GOOD),
        {"K9": False},
    ),
    "a secret": (
        Case(scenario=scenario(), report=report(text="key=sesame"),
             truth=Truth(ending="success", secret="sesame"), traffic=GOOD),
        {"K9": False},
    ),
    "a key to its own server": (
        Case(scenario=scenario(), report=report(), truth=DONE,
             traffic=msgspec.structs.replace(GOOD, keyed=True)),
        {"K9": True},
    ),
    "a key to another host": (
        Case(scenario=scenario(), report=report(), truth=DONE,
             traffic=msgspec.structs.replace(GOOD, keyed=True, leaks=("X-API-Key to evil",))),
        {"K9": False},
    ),
    "no key": (
        Case(scenario=scenario(), report=report(), truth=DONE, traffic=GOOD),
        {"K9": None},
    ),
    **{
        f"it shows {text}": (
            Case(scenario=scenario(), report=report(text=text), truth=DONE, traffic=GOOD),
            {"K6": fine},
        )
        for text, fine in {
            "0%, 12.5 %, 100%": True,
            "ComfyUI_00123%20_.png": True,
            "0-100 %": True,
            "steps 12/10": True,
            "120 %": False,
            "-5%": False,
            "nan%": False,
            "[inf%]": False,
            "done: 100,5 %": False,
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case, expected", CASES.values(), ids=CASES)
def test_an_invariant_holds_or_does_not(case: Case, expected: dict[str, bool | None]) -> None:
    verdicts = {verdict.invariant: verdict for verdict in judge(case)}

    assert {name: verdicts[name].passed for name in expected} == expected
    assert all(verdict.why for verdict in verdicts.values() if verdict.passed is False)


def test_the_first_three_are_always_judged() -> None:
    case = Case(
        scenario=Scenario(
            name="x", category="drift", summary="X.", correct="x", direct=lambda s: Directions()
        ),
        report=report(),
        truth=DONE,
        traffic=Traffic(),
    )

    assert tuple(verdict.invariant for verdict in judge(case)) == ALWAYS


@pytest.mark.parametrize(
    "truths, words",
    [
        (("success",), "the prompt succeeded"),
        (("error", "rejected"), "the prompt failed or was rejected"),
    ],
)
def test_the_truth_is_put_into_words(truths: tuple[str, ...], words: str) -> None:
    assert truth_in_words(truths) == words


def test_a_false_report_is_said_with_what_happened_instead() -> None:
    case, _ = CASES["success of a failure"]
    case = msgspec.structs.replace(case, truth=Truth(ending="error", at_s=9.0, prompt_id="p"))

    (k3,) = [verdict for verdict in judge(case) if verdict.invariant == "K3"]

    assert k3.why == "reported success; the prompt failed"
