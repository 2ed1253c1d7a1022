"""The control plane: all that the ``comfyui`` fixture does, over HTTP, for tests in any language.

``controlled(settings)`` starts a server that answers below ``/__fake__/``, and makes more servers
there on demand. ``openapi()`` describes it; ``docs/control.md`` is made from that.
"""

from comfyrec.control.plane import controlled, openapi

__all__ = ["controlled", "openapi"]
