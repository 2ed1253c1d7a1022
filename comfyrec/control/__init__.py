"""The control plane: all that the ``comfyui`` fixture does, over HTTP, for tests in any language.

``controlled(settings)`` starts a server that answers below ``/__fake__/``, and makes more servers
there on demand. ``plane.openapi()`` describes it; ``docs/control.md`` is made from that.
"""

from comfyrec.control.start import controlled

__all__ = ["controlled"]
