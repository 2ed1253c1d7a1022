"""One call of a node: what stands on its outputs, and how it fails before it does anything.

A server takes any literal for an input of a type that it does not check (protocol.md, section 7);
a core node then fails as Python does when it first reaches into the value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fake_server.nodes.catalogue import Input, NodeClass
from fake_server.nodes.values import NOTHING, Given, NodeFailed, Value, literal

__all__ = ["declared", "failure", "function_of", "results"]

_PLAIN: Final[dict[str, Value]] = {
    kind: Value(literal=literal)
    for kind, literal in (("STRING", ""), ("INT", 0), ("FLOAT", 0.0), ("BOOLEAN", False))
}
"""What is shown of an output that is not a picture, though nothing is computed."""


def _each_pair(value: Any) -> None:
    for one in value:
        one[0], one[1].copy()


FIRST_USE: Final[dict[str, Callable[[Any], object]]] = {
    "AUDIO": operator.itemgetter("waveform"),
    "CLIP": operator.attrgetter("tokenize"),
    "CLIP_VISION": operator.attrgetter("encode_image"),
    "CONDITIONING": _each_pair,
    "CONTROL_NET": operator.attrgetter("copy"),
    "IMAGE": operator.attrgetter("shape"),
    "LATENT": operator.itemgetter("samples"),
    "MASK": operator.attrgetter("reshape"),
    "MODEL": operator.attrgetter("clone"),
    "STYLE_MODEL": operator.attrgetter("get_cond"),
    "UPSCALE_MODEL": operator.attrgetter("model"),
    "VAE": operator.attrgetter("decode"),
}
"""What most core nodes do first with an input of a type (observed on 0.27.0)."""
_MISUSE: Final = (AttributeError, IndexError, KeyError, TypeError)


def results(
    kind: NodeClass, given: Given, items: int | None, *, loaded: Sequence[Value] = ()
) -> list[Any]:
    """The outputs of one call: an item for each, or a list of items where that is declared.

    Args:
        items: how many items a list has; None for as many as the class makes.
        loaded: what stands on the first outputs of a loader.
    """
    gives = kind.behaviour.gives
    values = loaded or gives(given)
    slots: list[Any] = []
    for slot, (wanted, is_list) in enumerate(zip(kind.output, kind.output_is_list, strict=True)):
        if isinstance(values, Value):
            one = values
        else:
            one = values[slot] if slot < len(values) else NOTHING
        one = _fitting(wanted, one)
        if not is_list:
            slots.append(one)
        elif items is not None:
            slots.append([one] * items)
        else:
            slots.append(kind.behaviour.splits(given, one))
    return slots


def _fitting(wanted: Any, value: Value) -> Value:
    # Nothing is computed; but a text is not a picture, and is not shown as one.
    plain = None if value.known or not isinstance(wanted, str) else _PLAIN.get(wanted)
    return plain or value


def function_of(kind: NodeClass) -> str:
    """How a class calls the function that runs it; most custom ones call it ``run``."""
    return kind.behaviour.function or ("execute" if kind.v3 or kind.core else "run")


def declared(kind: NodeClass, given: Given) -> Mapping[str, Input]:
    """The inputs of a node that is called with these; dynamic ones are spelled out."""
    if not kind.dynamic:
        return kind.inputs
    return kind.finalized({name: literal(given, name) for name in given})


def failure(kind: NodeClass, given: Given, *, literals: bool) -> NodeFailed | None:
    """How a core node fails on what it is called with; None if it does not.

    Args:
        literals: whether a literal in place of a link is one; what an expansion gives is not.
    """
    known = declared(kind, given)
    return (
        _unexpected(kind, given, known)
        or (_misused(given, known) if literals else None)
        or (None if kind.behaviour.fails is None else kind.behaviour.fails(given))
    )


def _unexpected(kind: NodeClass, given: Given, known: Mapping[str, Input]) -> NodeFailed | None:
    """How it fails on a link to an input that it does not have, or without a choice."""
    if kind.dynamic:
        for each in kind.inputs.values():
            # What is none of a dynamic combo's choices does not reach the node at all.
            if each.chooses and each.required and each.name not in given:
                return _miscalled(kind, f"missing 1 required positional argument: {each.name!r}")
    for name in given:
        if name not in known and name not in kind.inputs and name not in kind.hidden:
            return _miscalled(kind, f"got an unexpected keyword argument {name!r}")
    return None


def _miscalled(kind: NodeClass, said: str) -> NodeFailed:
    return NodeFailed("TypeError", f"{kind.name}.{function_of(kind)}() {said}")


def _misused(given: Given, known: Mapping[str, Input]) -> NodeFailed | None:
    """How it fails on a literal where a link is needed."""
    for name, each in known.items():
        one = given.get(name)
        if not isinstance(one, Value) or not one.known:
            continue
        # Null for an optional input is as good as leaving it out.
        if one.literal is None and not each.required:
            continue
        first_use = FIRST_USE.get(each.type) if isinstance(each.type, str) else None
        if first_use is not None:
            try:
                first_use(one.literal)
            except _MISUSE as error:
                return NodeFailed(type(error).__name__, str(error))
    return None
