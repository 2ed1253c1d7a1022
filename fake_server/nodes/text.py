"""What the core nodes for text make of it: inputs -> a text, a number, or yes and no.

Each function takes those inputs of a call that are known and gives None where too little is.
Regular expressions are left out: one that never ends would stop the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = [
    "LENGTH_MAX",
    "cased",
    "compared",
    "contains",
    "cut",
    "joined",
    "length",
    "replaced",
    "trimmed",
]

LENGTH_MAX: Final = 1 << 24
"""Letters of a text that is made; a few nodes in a row could fill any memory."""

_Inputs = Mapping[str, Any]
_CASES: Final[dict[str, Callable[[str], str]]] = {
    "UPPERCASE": str.upper,
    "lowercase": str.lower,
    "Capitalize": str.capitalize,
    "Title Case": str.title,
}
_TRIMS: Final[dict[str, Callable[[str], str]]] = {
    "Both": str.strip,
    "Left": str.lstrip,
    "Right": str.rstrip,
}
_COMPARISONS: Final[dict[str, Callable[[str, str], bool]]] = {
    "Equal": str.__eq__,
    "Starts With": str.startswith,
    "Ends With": str.endswith,
}


def _text(inputs: _Inputs, name: str) -> str | None:
    one = inputs.get(name)
    return one if isinstance(one, str) else None


def cased(inputs: _Inputs) -> str | None:
    text = _text(inputs, "string")
    change = _CASES.get(str(inputs.get("mode")))
    return text if text is None or change is None else change(text)


def trimmed(inputs: _Inputs) -> str | None:
    text = _text(inputs, "string")
    change = _TRIMS.get(str(inputs.get("mode")))
    return text if text is None or change is None else change(text)


def cut(inputs: _Inputs) -> str | None:
    text, start, end = _text(inputs, "string"), inputs.get("start"), inputs.get("end")
    if text is None or not isinstance(start, int) or not isinstance(end, int):
        return None
    return text[start:end]


def replaced(inputs: _Inputs) -> str | None:
    text, find, new = (_text(inputs, name) for name in ("string", "find", "replace"))
    if text is None or find is None or new is None:
        return None
    if len(text) + text.count(find) * len(new) > LENGTH_MAX:
        return None
    return text.replace(find, new)


def joined(inputs: _Inputs) -> str | None:
    first, second, between = (
        _text(inputs, name) or "" for name in ("string_a", "string_b", "delimiter")
    )
    if len(first) + len(second) + len(between) > LENGTH_MAX:
        return None
    return between.join((first, second))


def length(inputs: _Inputs) -> int | None:
    text = _text(inputs, "string")
    return None if text is None else len(text)


def _folded(inputs: _Inputs, *names: str) -> list[str] | None:
    texts = [_text(inputs, name) for name in names]
    folds = not inputs.get("case_sensitive", True)
    found = [one.lower() if folds else one for one in texts if one is not None]
    return found if len(found) == len(names) else None


def contains(inputs: _Inputs) -> bool | None:
    texts = _folded(inputs, "string", "substring")
    return None if texts is None else texts[1] in texts[0]


def compared(inputs: _Inputs) -> bool | None:
    texts = _folded(inputs, "string_a", "string_b")
    compare = _COMPARISONS.get(str(inputs.get("mode")))
    return None if texts is None or compare is None else compare(*texts)
