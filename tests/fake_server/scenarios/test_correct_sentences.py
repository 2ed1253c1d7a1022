"""Each sentence on what a correct client does, word by word: which invariant finds out.

A sentence is a promise that the check is able to see it broken. What nothing here looks at (what a
client offers to its user, whether it draws a new id each time) is not in a sentence.
"""

from __future__ import annotations

import re

import pytest

from comfyrec.check.invariants import ALWAYS, INVARIANTS
from fake_server.scenarios import Scenario, catalogue, scenario_surfaces

SCENARIOS = {
    scenario.name: scenario for surface in scenario_surfaces() for scenario in catalogue(surface)
}

CHECKED_BY: dict[str, str] = {
    # In time: a client that misses the signal and does not ask hangs, or reports late.
    "K2": """
        asks again after a short pause | asks again a few times | asks again instead of keeping the
        empty answer | asks the history | asks the history when nothing comes | connects again |
        waits before each attempt | pings | takes either signal as the end | confirms it with the
        history | waits for the null `executing` | connects first | ends all the same | goes by the
        id it is given | asks the history when its frames go elsewhere | copes with the burst |
        raises the limit | skips the message | reads both | reads what came after the handshake |
        keeps the frames of prompts that it does not know yet | relies on the history | may accept
        the old names | when nothing comes | the queue | does not wait for previews |
        it does not wait for it | goes on under the same id | takes the presence of the entry as the
        end | takes the entry as the end | does not take them as a sign that its prompt is alive |
        asks the history at once after a reconnect | asks the history for what it missed |
        asks the history meanwhile | asks the history when no frames come after a reconnect |
        asks the history when the socket says nothing | waits for the end of the prompt |
        not for each of its nodes | goes on waiting | waits on | waits for the outputs that were
        accepted | there is nothing to wait for | asks for the job when nothing comes |
        waits no longer | asks again | asks again until a word ends the job
        """,
    # True: the outcome that it reports, or whether it gets to one.
    "K3": """
        reports success | reports an error | reports interrupted | not error | not success |
        whoever asked for it | reports it as lost | reports the prompt as lost | reports it
        cancelled | reports that it was rejected | whatever the body is | reports what the history
        says | reports what the frames said | that the entry is gone | reports what happened in the
        end | reports the error in it | reads it in the history | remembers the error | confirms
        with the history before it fails on `ExecutionBlocked` | finds that the server no longer
        knows the prompt | finds it neither in the history nor in the queue | a failed request says
        nothing about the prompt | follows no redirect of a POST (or | on 307 | repeats it as a
        POST) | joins the address | its routes without losing the path | does not need it to run a
        prompt | puts the folder into the field `subfolder` | uses the name (and the subfolder) in
        the response | uses the id in the response | submits again without an id | finds out which
        of the two there is | sends its token with requests | sockets | refuses it for both requests
        | unless told to accept it | reports the outputs all the same | submits again | looks for
        the job in the list instead of calling it rejected | looks for the job in the list instead
        of calling it failed | asks for the job | asks for the job instead | uploads the bytes |
        joins links with the origin | not with its address | waits for the end | does not call it
        lost
        """,
    "K4": """
        goes by prompt_id only | compares the prompt_id of every end signal | concludes nothing from
        a frame without prompt_id | goes by frames that name its prompt | by the history | takes a
        status as what it is | the state of the queue | keeps a record for each prompt_id | asks for
        its own id | never takes the last entry | stores outputs by prompt | node
        """,
    "K5": """
        with the outputs of the history entry | with the outputs of the history | with the outputs
        that are there | reports all of its outputs | reads the outputs from the history | takes
        outputs from the history | takes the outputs from the history | no matter which run made the
        files | takes it as no outputs | walks every key | keeps the items that have a filename |
        skips what is not a file | tells them apart by `type` | goes by the file name of the history
        | not by headers | passes names back unchanged | percent-encoded in the address |
        percent-encodes every value of an address | compares the length | does not keep half a file
        | waits for the file | waits for the response | follows it | converts them to text | asks
        for the rest | keeps no half a file | takes the outputs from the job | saves each output
        once
        """,
    "K6": """
        skips them | carries on | goes on | skips what it cannot read | skips the kinds it does not
        know | tells binary from text | takes either kind | joins continuation frames | as a library
        does | offers only what it can decompress | keeps ids as text | reads what strict JSON
        refuses with a second | lenient parser | tolerates missing | additional fields | reads the
        second item of a row | accepts any number | goes by value | max | never by counting frames |
        guards every division | shows no share beyond 0 to 100 % | counts both | never shows more
        than 100 %
        """,
    "K7": "opens the socket before it submits | connects first",
    "K8": """
        goes on waiting while the queue says that the prompt runs | waits | however long the queue
        is | tries again | with pauses | may give up | says so | names the prompt so that it can be
        looked up later | names the prompt | does not pile up requests | gives up after some
        attempts | gives up | gives up at its own limit | has a limit for each request | with a
        limit | does not hammer the server | discards what it does not need | its memory does not
        grow with what it receives | does not try for ever
        """,
    "K9": """
        with the server's own reason | with the server's message | shows the server's message | not
        the key | says which limit it met | says that the file is too large | says that one is
        needed | says what was not found | an error that says what was not found | what came in
        place of JSON | with the 403 | says so | reads both shapes | without sending its key to the
        other host | reports the error in it | with the reason | follows it without its key |
        follows them without its key
        """,
}
CLAIMS = {
    invariant: {" ".join(claim.split()) for claim in claims.split("|")}
    for invariant, claims in CHECKED_BY.items()
}


def claims_of(scenario: Scenario) -> list[str]:
    """The sentence in its parts."""
    return re.split(r"[;,] (?:and |or |but )?|: | and | or ", scenario.correct)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_an_invariant_that_the_scenario_judges_checks_each_part(scenario: Scenario) -> None:
    judged = {*ALWAYS, *scenario.keeps}
    unseen = [
        claim
        for claim in claims_of(scenario)
        if not any(claim in CLAIMS[invariant] for invariant in judged & CLAIMS.keys())
    ]

    assert unseen == [], f"{scenario.name}: no invariant that it judges checks this; reword it"


@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS.values() if "K9" in one.keeps], ids=lambda one: one.name
)
def test_a_reason_that_is_promised_has_words_to_be_looked_for(scenario: Scenario) -> None:
    reasons = set(claims_of(scenario)) & CLAIMS["K9"] - {
        "not the key", "without sending its key to the other host", "follows it without its key",
        "follows them without its key",
    }  # fmt: skip

    assert not reasons or scenario.reason


def test_no_part_is_listed_that_no_sentence_has() -> None:
    said = {claim for scenario in SCENARIOS.values() for claim in claims_of(scenario)}

    assert {claim for claims in CLAIMS.values() for claim in claims} - said == set()
    assert CLAIMS.keys() <= INVARIANTS.keys()
