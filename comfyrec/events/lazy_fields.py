"""A field that keeps its JSON text and is read when somebody first looks at it.

Strategy: ``progress_state`` makes up most of the text on a socket, and few readers look at each
one. So the first pass only checks the syntax of its entries. The first access reads them and
remembers the result; the text stays beside it, because it may say more than the schema knows.
Reading cannot go wrong any more: entries that do not fit are left out and listed, with the reason.

Two threads that look for the first time at once both read, and one result stays: they are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgspec

from .python_json import BAD_INPUT, comfy_json, members, read_json, text_of

if TYPE_CHECKING:
    # ``Seen[what a reader of the field gets, what the first pass decodes]``
    from typing import Annotated as Seen
else:

    class Seen:
        """Stands for its second argument, so that msgspec decodes that one."""

        def __class_getitem__(cls, pair):
            return pair[1]


__all__ = [
    "NOT_ON_THE_WIRE",
    "ByAttribute",
    "Later",
    "Seen",
    "anything",
    "entries",
    "later",
    "misfits_of",
    "written",
]

NOT_ON_THE_WIRE: Final = msgspec.UnsetType
"""A field of this type takes no value from a message, whatever key somebody sends."""

S_ = TypeVar("S_", bound=type)
Reader = Callable[[str], tuple[Any, dict[str, str]]]
"""JSON text -> the value and its misfits: where, and what does not fit."""


class Reading(NamedTuple):
    """What a field says, and the text that it was read from."""

    value: Any
    misfits: dict[str, str]
    text: str


class Later:
    """The attribute that stands before such a field."""

    def __init__(self, slot: Any, read: Reader) -> None:
        self._slot, self._read = slot, read

    def __get__(self, holder: Any, owner: type | None = None) -> Any:
        if holder is None:
            return self
        held = self.held(holder)
        return held.value if isinstance(held, Reading) else held

    def held(self, holder: Any) -> Any:
        """A ``Reading`` of what came with a message; or the value that somebody gave."""
        held = self._slot.__get__(holder)
        if isinstance(held, msgspec.Raw):
            text = text_of(memoryview(held))
            held = Reading(*self._read(text), text)
            self._slot.__set__(holder, held)
        return held


NOT_SENT: Final = msgspec.Raw(b"")
"""The text of a field that is not in the message."""


def later(**fields: Reader) -> Callable[[S_], S_]:
    """Let fields of a struct class, which are declared as ``Raw``, be read on first access."""

    def decorate(struct: S_) -> S_:
        for name, read in fields.items():
            type.__setattr__(struct, name, Later(struct.__dict__[name], read))
        return struct

    return decorate


# --- how to read ------------------------------------------------------------------------------


def anything(text: str) -> tuple[Any, dict[str, str]]:
    """Read a free-form field."""
    return (read_json(text) if text else None), {}


def entries(container: type, kind: type[msgspec.Struct]) -> Reader:
    """Make the reader of an object or array (``dict`` or ``list``) of structs of one kind.

    A field that was not sent, or null, reads as ``None``.
    """
    decode = msgspec.json.Decoder(dict[str, kind] if container is dict else list[kind]).decode  # type: ignore[valid-type]  # made at run time

    def read(text: str) -> tuple[Any, dict[str, str]]:
        if not text or text == "null":
            return None, {}
        try:
            return decode(text), {}
        except BAD_INPUT:
            return _fitting(read_json(text), container, kind)

    return read


def _fitting(plain: Any, container: type, kind: type) -> tuple[Any, dict[str, str]]:
    """Sort entries into those that fit and the reasons of those that do not."""
    numbered: Any = dict.items if container is dict else enumerate
    if not isinstance(plain, container):
        return container(), {"": f"Expected {container.__name__}, got {type(plain).__name__}"}
    fitting: dict[Any, Any] = {}
    misfits: dict[str, str] = {}
    for key, entry in numbered(plain):
        try:
            fitting[key] = msgspec.convert(entry, kind)
        except BAD_INPUT as misfit:
            misfits[str(key)] = str(misfit)
    return (fitting if container is dict else list(fitting.values())), misfits


def misfits_of(struct: Any, field: str) -> dict[str, str]:
    """What does not fit in a field that is read later."""
    held = type(struct).__dict__[field].held(struct)
    return held.misfits if isinstance(held, Reading) else {}


def written(struct: msgspec.Struct) -> str:
    """Write a struct as a server does; fields that are read later as they came."""
    parts = ((comfy_json(name), written_field(struct, field)) for name, field in members(struct))
    return f"{{{', '.join(f'{name}: {value}' for name, value in parts if value)}}}"


def written_field(struct: msgspec.Struct, field: str) -> str:
    """The JSON text of one field; "" if it came with a message that does not have it."""
    attribute = getattr(type(struct), field)
    if not isinstance(attribute, Later):
        return comfy_json(getattr(struct, field))
    held = attribute.held(struct)
    return held.text if isinstance(held, Reading) else comfy_json(held)


class ByAttribute:
    """Compared and shown by what the attributes say, not by what is held behind them."""

    __slots__ = ()

    def _says(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field) for field in self._fields())

    def _fields(self) -> tuple[str, ...]:
        fields: tuple[str, ...] = self.__struct_fields__  # type: ignore[attr-defined]  # a struct
        return tuple(field for field in fields if field != "kept")

    def _family(self) -> type:
        return type(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ByAttribute) or self._family() is not other._family():
            return NotImplemented
        return self._says() == other._says()

    def __repr__(self) -> str:
        facts = (f"{field}={_shown(getattr(self, field))}" for field in self._fields())
        return f"{self._family().__name__}({', '.join(facts)})"


def _shown(value: Any) -> str:
    return f"<{value.nbytes} bytes>" if isinstance(value, memoryview) else repr(value)
