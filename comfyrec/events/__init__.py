"""Messages <-> events: what a ComfyUI server sends on its WebSocket and in HTTP bodies, typed.

``decode(message)`` turns one WebSocket message into one event, ``encode(event)`` turns it back.
What is not in the schema is an ``Unknown``, what does not fit is a ``Misfit``; only what is not a
message at all raises, and only ``DecodeError``. ``decode_http(kind, body)`` reads HTTP bodies, and
``check(stream)`` finds the rules of the server's order that a stream of events breaks.

Light to import: msgspec and the standard library's json; ``http``, ``cloud`` and
``order`` when they are used.
"""

from typing import TYPE_CHECKING

from comfyrec.errors import DecodeError

from .binary import *  # noqa: F403  # what it has in __all__ is public here
from .binary import __all__ as _binary
from .codec import *  # noqa: F403
from .codec import __all__ as _codec
from .outputs import *  # noqa: F403
from .outputs import __all__ as _outputs
from .python_json import Message, comfy_json, read_json
from .schema import *  # noqa: F403
from .schema import __all__ as _schema

if TYPE_CHECKING:
    from .cloud import *  # noqa: F403
    from .http import *  # noqa: F403
    from .order import *  # noqa: F403

_LATE = ("http", "cloud", "order")

__all__ = ["DecodeError", "Message", "comfy_json", "read_json"]
__all__ += _binary
__all__ += _codec
__all__ += _outputs
__all__ += _schema


def __getattr__(name: str) -> object:
    for module in () if name.startswith("_") else _LATE:
        late = __import__(f"{__name__}.{module}", fromlist=["__all__"])
        if name in late.__all__:
            return getattr(late, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
