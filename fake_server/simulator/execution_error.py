"""An exception in a node -> what execution_error says of it.

protocol.md, section 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from comfyrec.versions import Era
from fake_server.nodes.values import NodeFailed
from fake_server.simulator.call_values import printed
from fake_server.simulator.graph import NodeInputError
from fake_server.storage.filenames import LeavesFolder

__all__ = ["NODE_FAILURES", "ExecutionFailed", "failure"]

NODE_FAILURES: Final = (NodeFailed, NodeInputError, LeavesFolder)
"""What a node may raise; everything else is a mistake of ours."""

_OOM_TIP: Final = (
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before "
    "you might have accidentally set the batch_size to a large number."
)
_SHAPES_TIP: Final = (
    '\n\nTIPS: If you have any "Load CLIP" or "*CLIP Loader" nodes in your workflow connected to '
    "this sampler node make sure the correct file(s) and type is selected."
)


class ExecutionFailed(Exception):
    """A prompt ends with execution_error."""

    def __init__(
        self, node_id: str, kind: str, message: str, traceback: list[str], inputs: Any
    ) -> None:
        super().__init__(node_id, kind, message)
        self.node_id, self.kind, self.message = node_id, kind, message
        self.traceback, self.inputs = traceback, inputs
        self.success = False

    @classmethod
    def in_cycle(cls, node_id: str, success: bool) -> ExecutionFailed:
        """Nodes that came while the prompt ran wait for each other.

        The server's success flag is only set after a node ran, so it keeps what the last one said.
        """
        kind, message = "graph.DependencyCycleError", "Dependency cycle detected"
        failed = cls(node_id, kind, message, [], [])
        failed.success = success
        return failed


def _named(failed: Exception) -> tuple[str, str]:
    """The exception's name and text as the server would report it."""
    if isinstance(failed, NodeFailed):
        return failed.kind, failed.message
    if isinstance(failed, NodeInputError):
        return "comfy_execution.graph.NodeInputError", str(failed)
    if isinstance(failed, LeavesFolder):
        return "Exception", str(failed)
    return type(failed).__name__, str(failed)


def failure(
    node_id: str,
    class_type: str,
    failed: Exception,
    given: Mapping[str, Any],
    *,
    era: Era,
    base: str,
) -> ExecutionFailed:
    """What a node's exception ends the prompt with; ``given`` are its inputs, as far as known."""
    kind, message = _named(failed)
    if era.has("error_tips"):
        message += "\n" + _tip(class_type, kind, message)
    inputs = {name: [printed(one) for one in items] for name, items in given.items()}
    trace = [f'  File "{base}/execution.py", in execute\n']
    return ExecutionFailed(node_id, kind, message, trace, inputs)


def _tip(class_type: str, kind: str, message: str) -> str:
    if kind.rpartition(".")[2] in ("OutOfMemoryError", "AcceleratorError"):
        return _OOM_TIP
    shapes = kind == "RuntimeError" and "mat1 and mat2 shapes" in message
    return _SHAPES_TIP if shapes and "Sampler" in class_type else ""
