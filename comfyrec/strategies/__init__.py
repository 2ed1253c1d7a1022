"""chance -> examples: hypothesis strategies to fuzz a ComfyUI client with, as we fuzz ours.

``graphs`` are valid for a catalogue of nodes; ``events`` and their unknown, misfit and malformed
kin are single messages; ``streams`` are all that a server says of a graph, ``faulty_streams`` the
same with one labelled fault. ``fake_comfyui`` serves what was drawn, ``client_machine`` makes
restless users, ``save_example`` keeps what was found. Needs ``comfyrec[hypothesis]``.
"""

from hypothesis import strategies as _st

from comfyrec.check.play import IMAGES
from comfyrec.errors import ScenarioError
from comfyrec.strategies.faults import FAULTS, Fault
from comfyrec.strategies.graphs import Workflow, graphs
from comfyrec.strategies.machine import ClientUnderTest, client_machine
from comfyrec.strategies.messages import (
    Message,
    events,
    malformed_messages,
    misfit_events,
    unknown_events,
)
from comfyrec.strategies.saving import save_example
from comfyrec.strategies.serving import Judged, Served, fake_comfyui
from comfyrec.strategies.streams import Stream, faulty_streams, played, streams
from fake_server.scenarios import Choice, select

__all__ = [
    "FAULTS",
    "Choice",
    "ClientUnderTest",
    "Fault",
    "Judged",
    "Message",
    "Served",
    "Stream",
    "Workflow",
    "client_machine",
    "events",
    "fake_comfyui",
    "faulty_streams",
    "graphs",
    "malformed_messages",
    "misfit_events",
    "played",
    "runs",
    "save_example",
    "scenarios",
    "streams",
    "unknown_events",
]


def runs() -> _st.SearchStrategy[Stream]:
    """What the recipe needs: streams of which most have a fault, for ``fake_comfyui``."""
    return _st.one_of(streams(), *[faulty_streams()] * 3)


def scenarios(pattern: str = "*") -> _st.SearchStrategy[Choice]:
    """Scenarios of the catalogue, by a pattern of names or rows, for ``fake_comfyui``.

    Those that are about waiting are left out, and those for which a client has to upload a file:
    ``comfyrec check`` plays them.

    Raises:
        ScenarioError: no scenario fits.
    """
    fit = select(pattern)
    left = [one for one in fit if not one.scenario.in_real_time and not _uploads(one)]
    if not left:
        raise ScenarioError(
            f"{pattern}: only scenarios about waiting and uploads fit, and 'comfyrec check' plays "
            "these; name others"
        )
    return _st.sampled_from(left)


def _uploads(choice: Choice) -> bool:
    nodes = (choice.scenario.workflow or {}).values()
    values = [value for node in nodes for value in node["inputs"].values()]
    return any(isinstance(value, str) and value in IMAGES for value in values)
