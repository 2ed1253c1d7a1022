"""What a client reported, and what truly happened -> which of the invariants K1 to K9 hold.

Each invariant is judged by one function: it holds, it does not hold and why, or what is known does
not tell. Nothing here looks at the client's code, only at what it reported and did.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.check.case import Case
from comfyrec.events.outputs import FileEntry, all_files_in, texts_in
from comfyrec.wording import plural, shortened, shortened_list

__all__ = ["ALWAYS", "INVARIANTS", "Verdict", "judge", "truth_in_words"]

INVARIANTS: Final[Mapping[str, str]] = {
    "K1": "reports exactly one outcome per prompt",
    "K2": "reports it soon after the prompt has ended, whatever happens to the WebSocket",
    "K3": "reports the true outcome: no success for a failure, no failure for a success",
    "K4": "ignores messages about other prompts",
    "K5": "reports the outputs in the history entry, of every kind",
    "K6": "skips what it does not understand, and carries on",
    "K7": "opens the WebSocket before it submits the prompt",
    "K8": "is bounded: does not flood the server, does not keep every message, "
    "names the prompt id when it times out",
    "K9": "shows the server's own reason, never a secret, and takes its key to no other host",
}
"""What a correct client does; each continues the words "a correct client"."""

ALWAYS: Final = ("K1", "K2", "K3")
"""Judged in every scenario; the others where the scenario tests them."""


class Verdict(msgspec.Struct, frozen=True):
    """How a client did by one invariant. ``passed`` is None if what is known does not tell."""

    invariant: str
    passed: bool | None
    why: str = ""
    """What the client did wrong; it continues the words "the client"."""


Finding = bool | str | None
"""True: it holds; a text: it does not, and why; None: what is known does not tell."""


def judge(case: Case) -> list[Verdict]:
    """A verdict for each invariant that the scenario tests, in order."""
    tested = sorted({*ALWAYS, *case.scenario.keeps})
    return [_verdict(name, _RULES[name](case)) for name in tested]


def _verdict(name: str, finding: Finding) -> Verdict:
    if isinstance(finding, str):
        return Verdict(name, False, finding)
    return Verdict(name, finding)


def truth_in_words(truths: Sequence[str]) -> str:
    """What became of a prompt: ``the prompt failed``, ``the prompt failed or was rejected``."""
    return f"the prompt {' or '.join(_TRUTHS[truth] for truth in truths)}"


_TRUTHS: Final[Mapping[str, str]] = {
    "success": "succeeded",
    "error": "failed",
    "interrupted": "was interrupted",
    "cancelled": "was canceled",
    "rejected": "was rejected",
    "lost": "was lost",
    "timed-out": "did not end in time",
}


# --- a rule for each invariant ----------------------------------------------------------------


def _one_outcome(case: Case) -> Finding:
    report = case.report
    if report.at_s is None:
        return "never reported an outcome"
    if report.crash and not report.outcomes:
        return f"ended without an outcome: {report.crash}"
    if not report.outcomes:
        return "ended without an outcome"
    if len(report.outcomes) > 1:
        return f"reported {len(report.outcomes)} outcomes: {', '.join(report.outcomes)}"
    return True


def _in_time(case: Case) -> Finding:
    if case.report.at_s is None:
        return None if case.truth.at_s is None else "was still waiting when it was stopped"
    if case.truth.at_s is None:
        return None
    late = case.report.at_s - case.truth.at_s
    if late > case.limits.late_s:
        return f"reported {late:.1f} s after the prompt ended (limit {case.limits.late_s:g} s)"
    return True


def _true_outcome(case: Case) -> Finding:
    outcome = case.outcome
    if outcome is None:
        return None
    if case.too_early:
        return f"reported {outcome} before the prompt ended"
    if outcome == "success" and case.truth.prompt_id is None:
        return "reported success; the server never accepted a prompt from it"
    if not case.truthful:
        return f"reported {outcome}; {truth_in_words(case.scenario.truth)}"
    if not case.foreseen and not case.traffic.attempts:
        return f"reported {outcome}, but never contacted the server"
    if not case.foreseen and case.truth.reached:
        return f"reported {outcome}; the server was there, but never accepted a prompt from it"
    return True


def _own_prompt(case: Case) -> Finding:
    if case.report.at_s is None or case.outcome is None:
        return None
    if case.truth.at_s is not None and case.report.at_s < case.truth.at_s - _CLOCK_S:
        return "reported an outcome before its prompt ended"
    reported, true = case.report.outputs, case.truth.outputs
    if reported is not None and true is not None:
        ours, its = _compared(case, reported, true)
        if foreign := ours - its:
            return f"reported files of another prompt: {_names(foreign)}"
    if case.foreseen:
        return True
    others, outcome = case.truth.ends_of_others, case.outcome
    told = others is None or outcome in others or (outcome == "failed" and others - {"success"})
    return "mistook the end of another prompt for its own" if told else None


def _true_outputs(case: Case) -> Finding:
    if case.outcome != "success" or case.truth.outputs is None:
        return None
    if case.report.outputs is not None:
        reported, true = _compared(case, case.report.outputs, case.truth.outputs)
        if missing := true - reported:
            return f"did not report {_names(missing)}"
        if invented := reported - true:
            return f"reported files that do not exist: {_names(invented)}"
    return _true_files(case)


def _compared(
    case: Case, reported: Mapping[str, Any], true: Mapping[str, Any]
) -> tuple[set[FileEntry], set[FileEntry]]:
    """The files that were reported, and those that there are, as far as a client can tell."""
    ours, its = set(all_files_in(reported)), set(all_files_in(true))
    if not case.truth.by_name:
        return ours, its
    texts = any(True for output in true.values() for _ in texts_in(output))
    names = {FileEntry(one.filename) for one in ours}
    if texts:
        names = {one for one in names if not one.filename.endswith(".txt")}
    return names, {FileEntry(one.filename) for one in its}


def _true_files(case: Case) -> Finding:
    saved, true = case.report.files, case.truth.contents
    if saved is None:
        return None if case.report.outputs is None else True
    # Temporary files are previews; nobody has to save them.
    results = {file for file in all_files_in(case.truth.outputs) if file.type != "temp"}
    wanted = min(len(results), len(true)) if case.truth.obtainable else 0
    if len(saved) < wanted:
        return f"saved {len(saved) or 'none'} of {plural(wanted, 'file')}"
    if any(one not in true and _is_beginning(one, true) for one in saved):
        return "saved an incomplete file"
    if any(saved.count(one) > max(true.count(one), 1) for one in set(saved)):
        return "saved a file more than once"
    return True


def _carried_on(case: Case) -> Finding:
    if case.report.crash and not case.foreseen:
        return f"crashed: {case.report.crash}"
    if case.report.at_s is None:
        return "stopped reacting"
    if beyond := _beyond_all(case.report.text):
        return f"showed a progress of {beyond}"
    return True if case.foreseen else "was misled by something that it should have skipped"


def _beyond_all(text: str) -> str:
    """A share that is none: more than 100 %, less than nothing, not a number."""
    for share in _SHARE.finditer(text):
        if not 0 <= float(share[1].replace(",", ".")) <= _ALL_PERCENT:
            return shortened(share[0], _SHARE_CHARACTERS_MAX)
    return ""


def _socket_first(case: Case) -> Finding:
    if case.traffic.socket_first is False:
        return "submitted the prompt before its WebSocket was open"
    return case.traffic.socket_first


def _bounded(case: Case) -> Finding:
    """The first of several ways to go beyond all bounds."""
    for rule in (_memory, _requests, _names_its_prompt, _ends, _patience):
        if wrong := rule(case):
            return wrong
    return True


def _memory(case: Case) -> str:
    grew, most = case.grew_bytes, case.limits.memory_bytes
    if grew is None or most is None or grew <= most:
        return ""
    return f"grew by {_mib(grew)} of memory during the flood (limit {_mib(most)})"


def _requests(case: Case) -> str:
    if case.traffic.busiest_second <= case.limits.busy:
        return ""
    return f"sent {case.traffic.busiest_second} requests within a second (limit {case.limits.busy})"


def _names_its_prompt(case: Case) -> str:
    prompt_id = case.truth.prompt_id
    if case.outcome != "timed-out" or not case.traffic.posts or not prompt_id:
        return ""
    named = prompt_id == case.report.prompt_id or prompt_id in case.report.text
    return "" if named else "gave up without naming the prompt id, so nobody can look it up"


def _ends(case: Case) -> str:
    return "has no time limit" if case.report.at_s is None else ""


def _patience(case: Case) -> str:
    if case.nothing_came and not case.foreseen and case.traffic.attempts < case.limits.attempts:
        return f"gave up after {plural(case.traffic.attempts, 'attempt')} on a starting server"
    gave_up = case.outcome in ("error", "failed", "lost", "timed-out")
    if gave_up and not case.truthful and case.truth.ending in ("success", None):
        return "gave up on a healthy prompt"
    return ""


def _reason_and_no_secret(case: Case) -> Finding:
    text = case.report.text
    if case.truth.secret and case.truth.secret in text:
        return "printed a secret"
    if case.traffic.leaks:
        return f"sent {shortened_list([*case.traffic.leaks], 1)[0]}"
    wanted = case.scenario.reason
    if case.outcome in (None, "success") or not wanted:
        return True if case.traffic.keyed else None
    if not any(words in text for words in wanted):
        return f"did not print the server's reason, such as '{wanted[0]}'"
    return True


_RULES: Final[Mapping[str, Callable[[Case], Finding]]] = {
    "K1": _one_outcome,
    "K2": _in_time,
    "K3": _true_outcome,
    "K4": _own_prompt,
    "K5": _true_outputs,
    "K6": _carried_on,
    "K7": _socket_first,
    "K8": _bounded,
    "K9": _reason_and_no_secret,
}

_CLOCK_S: Final = 0.02
"""A report that comes this much before the true end may be the same moment, seen twice."""
_NAMES_MAX: Final = 3
_ALL_PERCENT: Final = 100
_SHARE_CHARACTERS_MAX: Final = 20
_SHARE: Final = re.compile(
    r"(?<![\w.,])(-?(?:[0-9]{1,15}(?:[.,][0-9]{1,15})?|nan|inf))[ \u00a0]?%(?![0-9A-Fa-f]{2})", re.I
)
"""A number with a percent sign; in an address that is the beginning of ``%20``."""


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MiB"


def _names(files: set[FileEntry]) -> str:
    return ", ".join(shortened_list(sorted(file.filename for file in files), _NAMES_MAX))


def _is_beginning(saved: bytes, true: Sequence[bytes]) -> bool:
    return any(len(saved) < len(whole) and whole.startswith(saved) for whole in true)
