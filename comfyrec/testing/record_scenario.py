"""One run of a correct client in a scenario, recorded."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.records import AnyRecord
from comfyrec.check.play import IMAGES, Playing, play
from comfyrec.client.shells.blocking import Client
from comfyrec.errors import ClientError, UsageError
from comfyrec.testing.recording import Recording
from fake_server.scenarios import Choice

__all__ = ["recorded_scenario_run"]

LIMIT_S: Final = 20.0


def recorded_scenario_run(choice: Choice, seed: int = 0) -> list[AnyRecord]:
    """What our own client and the server of a scenario say to each other.

    It is our client's run, since one that fails may leave before the prompt has ended.

    Args:
        choice: the scenario.
        seed: of the scenario.

    Raises:
        UsageError: the scenario is about TLS.
    """
    if choice.scenario.direct(choice.settings).transport.tls:
        raise UsageError(
            f"{choice.title} is about TLS, of which a recording holds nothing; give another one"
        )
    with TemporaryDirectory(prefix="comfyrec-shrink-") as home:
        file = Path(home, "run.jsonl")
        with play(choice, seed=seed) as playing, Recording(playing.url, file) as recording:
            _run(playing, recording.url)
        with open_cassette(file) as reader:
            return list(reader)


def _run(playing: Playing, url: str) -> None:
    with Client(
        url, environment={}, idle_limit_s=0.5, timeout_s=LIMIT_S, grace_s=1.0, patience_s=2.0
    ) as client:
        try:
            for name in IMAGES.keys() & _loaded(playing.workflow):
                client.upload(IMAGES[name], name=name)
            client.run(playing.workflow)
        except ClientError:
            return  # refused, or never let in: that is the recording


def _loaded(workflow: Any) -> set[str]:
    images = [node["inputs"].get("image") for node in workflow.values()]
    return {name for name in images if isinstance(name, str)}
