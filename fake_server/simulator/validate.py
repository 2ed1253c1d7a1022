"""A submitted prompt -> which outputs may run, and every refusal as the real server words it.

protocol.md, sections 6 and 6.1. Values are converted in the prompt itself, as the server does it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.versions import Era
from fake_server.nodes.catalogue import Catalogue, Input, NodeClass

__all__ = ["Broken", "Verdict", "types_fit", "validate"]

# The server recurses and is stopped by Python at about 1,000 frames.
DEPTH_MAX: Final = 900
# Longer lists are not repeated in a refusal.
CHOICES_SHOWN_MAX: Final = 20

Problem = dict[str, Any]
Check = Callable[[NodeClass, Mapping[str, Any]], Sequence[tuple[str, str | None]]]


class Broken(Exception):
    """The prompt is shaped so that the server's own code fails: 500."""


class Verdict(msgspec.Struct, frozen=True):
    """What validation says: ``error`` is None when at least one output may run."""

    outputs: tuple[str, ...]
    error: Mapping[str, Any] | None
    node_errors: Mapping[str, Any] | Sequence[Any]


class _Told(msgspec.Struct):
    """What is known of a node that was looked at."""

    valid: bool
    problems: list[Problem]


def validate(
    prompt: Any,
    targets: Any,
    *,
    catalogue: Catalogue,
    era: Era,
    checks: Check,
    checked: Callable[[NodeClass], Container[str]],
) -> Verdict:
    """Look at a prompt as POST /prompt does; values in it are converted in place.

    Args:
        targets: ``partial_execution_targets`` as they came; None for all outputs.
        checks: what the node class itself says of its inputs, as (input, complaint) pairs; the
            complaint None stands for a bare False.
        checked: the inputs that a class checks itself; the ordinary checks leave those out.

    Raises:
        Broken: the real server answers 500.
    """
    if not isinstance(prompt, Mapping):
        raise Broken
    outputs: list[str] = []
    for node_id, node in prompt.items():
        node_class = _class_of(node_id, node, catalogue, era)
        if not isinstance(node_class, NodeClass):
            return Verdict((), node_class, {})
        if node_class.output_node and _is_wanted(node_id, targets):
            outputs.append(node_id)
    if not outputs:
        return Verdict((), _error("prompt_no_outputs", "Prompt has no outputs"), {})
    return _Validator(prompt, catalogue, era, checks, checked).all(outputs)


def _is_wanted(node_id: str, targets: Any) -> bool:
    try:
        return targets is None or node_id in targets
    except TypeError:  # a number, or true
        raise Broken from None


def _error(
    kind: str, message: str, details: str = "", extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra or {}}


def _class_of(
    node_id: str, node: Any, catalogue: Catalogue, era: Era
) -> NodeClass | dict[str, Any]:
    if not isinstance(node, Mapping):
        raise Broken
    if "class_type" not in node:
        return _no_class(node_id, node, era)
    try:
        found = catalogue.get(node["class_type"])
    except TypeError:  # a list or object where the name should be
        raise Broken from None
    return found if found is not None else _unknown_class(node_id, node, era)


def _title(node: Mapping[str, Any], default: Any) -> Any:
    meta = node.get("_meta", {})
    if not isinstance(meta, Mapping):
        raise Broken
    return meta.get("title", default)


def _no_class(node_id: str, node: Mapping[str, Any], era: Era) -> dict[str, Any]:
    details = f"Node ID '#{node_id}'"
    if not era.has("missing_node_type"):
        said = "Cannot execute because a node is missing the class_type property."
        return _error("invalid_prompt", said, details)
    title = _title(node, None)
    return _error(
        "missing_node_type",
        f"Node '{title or f'ID #{node_id}'}' has no class_type. "
        "The workflow may be corrupted or a custom node is missing.",
        details,
        {"node_id": node_id, "class_type": None, "node_title": title},
    )


def _unknown_class(node_id: str, node: Mapping[str, Any], era: Era) -> dict[str, Any]:
    kind, details = node["class_type"], f"Node ID '#{node_id}'"
    if not era.has("missing_node_type"):
        said = f"Cannot execute because node {kind} does not exist."
        return _error("invalid_prompt", said, details)
    title = _title(node, kind)
    return _error(
        "missing_node_type",
        f"Node '{title}' not found. The custom node may not be installed.",
        details,
        {"node_id": node_id, "class_type": kind, "node_title": title},
    )


def types_fit(received: Any, wanted: Any) -> bool:
    """Whether an output of one type may feed an input of another; both may be ``"A,B"``."""
    if received == wanted:
        return True
    if "*" in (received, wanted) or "COMFY_MATCHTYPE_V3" in (received, wanted):
        return True
    if isinstance(received, (list, tuple)) and wanted == "COMBO":
        return True
    if not isinstance(received, str) or not isinstance(wanted, str):
        return False
    return not _names(received).isdisjoint(_names(wanted))


def _names(kind: str) -> set[str]:
    return {one.strip() for one in kind.split(",")}


# --- values ----------------------------------------------------------------------------------

_CONVERT: Final[dict[str, Callable[[Any], Any]]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}


class _Validator:
    """Looks at the ancestors of outputs, each node once."""

    def __init__(
        self,
        prompt: Mapping[str, Any],
        catalogue: Catalogue,
        era: Era,
        checks: Check,
        checked: Callable[[NodeClass], Container[str]],
    ) -> None:
        self._prompt, self._catalogue, self._era = prompt, catalogue, era
        self._checks, self._checked = checks, checked
        self._told: dict[str, _Told] = {}
        self._visiting: dict[str, None] = {}

    def all(self, outputs: Sequence[str]) -> Verdict:
        good: list[str] = []
        lines: list[str] = []
        node_errors: dict[str, Any] = {}
        for output in outputs:
            told = self._output(output)
            if told.valid:
                good.append(output)
                continue
            lines += [f"{one['message']}: {one['details']}" for one in told.problems]
            self._file(node_errors, output)
        if good:
            return Verdict(tuple(good), None, node_errors)
        said = "Prompt outputs failed validation"
        error = _error("prompt_outputs_failed_validation", said, "\n".join(lines))
        return Verdict((), error, node_errors)

    def _output(self, output: str) -> _Told:
        try:
            return self._node(output)
        except Exception as failed:  # whatever the prompt makes Python say, the server reports
            self._visiting.clear()
            extra = {"exception_type": _type_name(failed), "traceback": _traceback(failed)}
            said = "Exception when validating node"
            problem = _error("exception_during_validation", said, str(failed), extra)
            told = self._told[output] = _Told(False, [problem])
            return told

    def _file(self, node_errors: dict[str, Any], output: str) -> None:
        for node_id, told in self._told.items():
            # A node that is only invalid because of its ancestors is not listed.
            if not told.valid and told.problems:
                entry = node_errors.setdefault(
                    node_id,
                    {
                        "errors": told.problems,
                        "dependent_outputs": [],
                        "class_type": self._prompt[node_id]["class_type"],
                    },
                )
                entry["dependent_outputs"].append(output)

    def _node(self, node_id: str) -> _Told:
        told = self._told.get(node_id)
        if told is not None:
            return told
        if node_id in self._visiting:
            return self._cycle(node_id)
        if len(self._visiting) > DEPTH_MAX:
            raise RecursionError("maximum recursion depth exceeded")
        node = self._prompt[node_id]
        given = node["inputs"]
        node_class = self._catalogue.get(node["class_type"])
        assert node_class is not None, "every class was looked up before"
        problems: list[Problem] = []
        valid = True
        own = self._checked(node_class)
        # The walk down stands here and not in a helper: one Python frame for each node.
        for each in node_class.finalized(given).values():
            if each.name not in given:
                if each.required:
                    problems.append(_missing(each, node_class))
                continue
            value = given[each.name]
            if not isinstance(value, list):
                problem = _literal(each, given, own, self._era)
                if problem is not None:
                    problems.append(self._dated(problem, each))
                continue
            problem = self._link_problem(each, value)
            if problem is not None:
                problems.append(self._dated(problem, each))
                continue
            source = value[0]
            self._visiting[node_id] = None
            try:
                valid = self._node(source).valid and valid
            except Exception as failed:
                valid = False
                self._told[source] = _Told(False, [_inner(each, value, failed)])
            finally:
                self._visiting.pop(node_id, None)
        problems += self._complaints(node_class, given)
        return self._settle(node_id, valid, problems)

    def _complaints(self, node_class: NodeClass, given: Mapping[str, Any]) -> list[Problem]:
        found = self._checks(node_class, given)
        problems = [_complaint(name, complaint) for name, complaint in found]
        if not self._era.has("display_node"):
            for problem, (name, _) in zip(problems, found, strict=True):
                more = {"input_config": None, "received_value": given[name]}
                problem["extra_info"] |= more
                self._dated(problem, node_class.inputs[name])
        return problems

    def _dated(self, problem: Problem, each: Input) -> Problem:
        """The same as an older server says it: the config just as the class has it."""
        extra = problem["extra_info"]
        if not self._era.has("display_node") and "input_config" in extra:
            choices = each.choices
            long = choices is not None and len(choices) > CHOICES_SHOWN_MAX
            extra["input_config"] = None if long else list(each.written)
        return problem

    def _settle(self, node_id: str, valid: bool, problems: list[Problem]) -> _Told:
        # A cycle that was found further down may have been filed under this node already.
        before = self._told.get(node_id, _Told(True, []))
        new = [one for one in problems if one not in before.problems]
        told = _Told(before.valid and valid and not problems, before.problems + new)
        self._told[node_id] = told
        return told

    def _link_problem(self, each: Input, value: list[Any]) -> Problem | None:
        if len(value) != 2:
            said = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return _about("bad_linked_input", said, each, value)
        source = self._prompt[value[0]]
        source_class = self._catalogue.get(source["class_type"])
        assert source_class is not None, "every class was looked up before"
        received = source_class.output[value[1]]
        if each.takes_any or types_fit(received, each.type):
            return None
        if self._era.has("long_mismatch"):
            details = f"{each.name}, received_type({received}) mismatch input_type({each.type})"
        else:
            details = f"{each.name}, {received} != {each.type}"
        extra = {
            "input_name": each.name,
            "input_config": each.config,
            "received_type": received,
            "linked_node": value,
        }
        said = "Return type mismatch between linked nodes"
        return _error("return_type_mismatch", said, details, extra)

    def _cycle(self, node_id: str) -> _Told:
        if not self._era.has("cycle_check"):
            raise RecursionError("maximum recursion depth exceeded")
        walked = list(self._visiting)
        nodes = walked[walked.index(node_id) :]
        path = " -> ".join(
            f"{one} ({self._prompt[one]['class_type']})" for one in (*nodes, node_id)
        )
        for one in nodes:
            extra = {"node_id": one, "cycle_nodes": nodes}
            problem = _error("dependency_cycle", "Dependency cycle detected", path, extra)
            self._told[one] = _Told(False, [problem])
        return self._told[node_id]


def _missing(each: Input, node_class: NodeClass) -> Problem:
    extra = {"input_name": each.name}
    name = each.name.rpartition(".")[2] if node_class.v3 else each.name
    return _error("required_input_missing", "Required input is missing", name, extra)


def _about(kind: str, said: str, each: Input, value: Any, details: str | None = None) -> Problem:
    extra = {"input_name": each.name, "input_config": each.config, "received_value": value}
    return _error(kind, said, each.name if details is None else details, extra)


def _literal(each: Input, given: Any, own: Container[str], era: Era) -> Problem | None:
    value = given[each.name]
    if each.takes_any:
        return None
    if isinstance(value, dict) and "__value__" in value and era.has("value_wrapper"):
        value = given[each.name] = value["__value__"]
    convert = _CONVERT.get(each.type) if isinstance(each.type, str) else None
    if convert is not None:
        try:
            value = given[each.name] = convert(value)
        except Exception as failed:
            return _unconverted(each, value, failed)
    if each.name in own:
        return None
    return _out_of_bounds(each, value) or _not_listed(each, value, era)


def _unconverted(each: Input, value: Any, failed: Exception) -> Problem:
    said = f"Failed to convert an input value to a {each.type} value"
    details = f"{each.name}, {value}, {failed}"
    problem = _about("invalid_input_type", said, each, value, details)
    problem["extra_info"]["exception_message"] = str(failed)
    return problem


def _out_of_bounds(each: Input, value: Any) -> Problem | None:
    least, most = each.options.get("min"), each.options.get("max")
    if least is not None and value < least:
        said = f"Value {value} smaller than min of {least}"
        return _about("value_smaller_than_min", said, each, value)
    if most is not None and value > most:
        said = f"Value {value} bigger than max of {most}"
        return _about("value_bigger_than_max", said, each, value)
    return None


def _not_listed(each: Input, value: Any, era: Era) -> Problem | None:
    choices = each.choices
    if choices is None or each.options.get("remote") or each.options.get("remote_combo"):
        return None
    if each.options.get("multiselect") and isinstance(value, list):
        wrong = [one for one in value if one not in choices]
    else:
        wrong = [] if value in choices else [value]
    if not wrong:
        return None
    long = len(choices) > CHOICES_SHOWN_MAX
    shown = f"(list of length {len(choices)})" if long else str(list(choices))
    what = ", ".join(map(repr, wrong)) if era.has("reprs_in_lists") else f"'{value}'"
    details = f"{each.name}: {what} not in {shown}"
    problem = _about("value_not_in_list", "Value not in list", each, value, details)
    if long:
        problem["extra_info"]["input_config"] = None
    return problem


def _complaint(name: str, complaint: str | None) -> Problem:
    details = name if complaint is None else f"{name} - {complaint}"
    said = "Custom validation failed for node"
    return _error("custom_validation_failed", said, details, {"input_name": name})


def _inner(each: Input, value: list[Any], failed: Exception) -> Problem:
    extra = {
        "input_name": each.name,
        "input_config": each.config,
        "exception_message": str(failed),
        "exception_type": _type_name(failed),
        "traceback": _traceback(failed),
        "linked_node": value,
    }
    said = "Exception when validating inner node"
    return _error("exception_during_inner_validation", said, str(failed), extra)


def _type_name(failed: Exception) -> str:
    return type(failed).__qualname__


def _traceback(failed: Exception) -> list[str]:
    # The server prints its own source lines here. Ours says only where it comes from.
    return [f'  File "/ComfyUI/execution.py", in validate_inputs\n    {type(failed).__name__}\n']
