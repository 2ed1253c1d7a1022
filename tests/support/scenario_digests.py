"""One line per scenario: its name, and a digest of every byte of a rehearsal with a seed.

``python -m tests.support.scenario_digests SEED [NAME ...]`` tells of frames, HTTP answers
with head and body, cuts, and the virtual time of each. Without names, the whole catalogue.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from comfyrec.check.play import IMAGES
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source, transport_of
from fake_server.scenarios import choose, names
from fake_server.scenarios.kit import PLAIN
from fake_server.scenarios.kit.dry_run import dry_run
from fake_server.source import Action, Happened, Source, WaitRealTime, Wake


class Taped:
    """A source, and a digest of all that it does."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.digest = hashlib.blake2b(digest_size=12)

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """As the source; what the shell waits for is nothing that a client is sent."""
        for action in self.source.handle(happened, now):
            if not isinstance(action, Wake | WaitRealTime):
                kind = type(action).__name__.encode()
                self.digest.update(b"%d %s " % (now, kind) + msgspec.msgpack.encode(action))
            yield action

    def facts(self) -> Mapping[str, Any]:
        """As the source's."""
        return self.source.facts()


def digest_of(text: str, seed: int) -> str:
    """A scenario, with parameters as typed -> the digest of a rehearsal."""
    choice = choose(text)
    taped = Taped(scenario_source([choice], ServerOptions(seed=seed)))
    workflow, prefix = choice.scenario.workflow or PLAIN, transport_of([choice]).prefix
    for line in dry_run(taped, workflow, prefix=prefix, images=IMAGES):
        taped.digest.update(f"{line.t} {line.text}".encode())
    return taped.digest.hexdigest()


def main(seed: str, *chosen: str) -> None:
    """Print the digests."""
    for name in chosen or names():
        sys.stdout.write(f"{name} {digest_of(name, int(seed))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
