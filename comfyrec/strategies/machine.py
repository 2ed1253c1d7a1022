"""A client's adapter -> a hypothesis state machine that uses it as restless people would.

They submit, interrupt, delete; connections drop, the client connects anew, the server starts anew;
time goes on in leaps. Whatever happens, the client reports exactly one outcome per prompt, and
never a success that the history does not tell of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.request import urlopen

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from comfyrec.strategies.serving import Judged
from fake_server.scenarios.kit.observer import ending_of

if TYPE_CHECKING:
    from comfyrec.testing.handle import ComfyUI

__all__ = ["ClientUnderTest", "client_machine"]

SLOW_S: Final = 10
_NODES: Final[Mapping[str, dict[str, Any]]] = {
    "slow": {"seconds": SLOW_S, "steps": 5},
    "failing": {"raise": {"type": "ValueError", "message": "no"}},
}
_ANSWER_S: Final = 10.0

_GONE: Final = frozenset(("lost", "cancelled", "timed-out", "failed"))
_MAY_SAY: Final[Mapping[str, frozenset[str]]] = {
    "success": frozenset(("success",)),
    "error": frozenset(("error", "failed")),
    "interrupted": frozenset(("interrupted", "failed")),
    "gone": _GONE,
}
"""What became of a prompt -> what a client may report. ``gone``: the server forgot it."""


class ClientUnderTest(Protocol):
    """What the machine needs of a client: a few lines around yours."""

    def submit(self, workflow: dict[str, Any]) -> str:
        """Submit a graph and return at once, with the prompt's id; go on listening."""
        ...

    def interrupt(self, prompt_id: str) -> None:
        """Ask for this prompt to be interrupted, if it runs."""
        ...

    def delete(self, prompt_id: str) -> None:
        """Ask for this prompt to be taken out of the queue, if it waits."""
        ...

    def reconnect(self) -> None:
        """Close the connection and open it anew."""
        ...

    def outcomes(self) -> Mapping[str, Sequence[str]]:
        """All outcomes reported so far, by prompt id; the words of ``Served.judge``."""
        ...

    def settle(self) -> None:
        """Wait, with a bound, until there is an outcome for every prompt."""
        ...

    def close(self) -> None:
        """Give back all that it holds."""
        ...


def client_machine(
    make_client: Callable[[str], ClientUnderTest], *, version: str | None = None
) -> type[RuleBasedStateMachine]:
    """A state machine for a client; ``client_machine(MyAdapter).TestCase`` is a test of unittest.

    Args:
        make_client: server's URL -> a fresh client.
        version: of ComfyUI that the server speaks; None: the newest known.

    The machine raises ``Judged`` when the client has not kept what it should.
    """
    # The room of the fixtures needs pytest, which the other strategies do without.
    from comfyrec.testing.handle import ComfyUI
    from comfyrec.testing.settings import PluginSettings

    settings = PluginSettings(params={"nodes": dict(_NODES)}, version=version)

    class ClientMachine(_Session):
        def __init__(self) -> None:
            super().__init__(make_client, lambda: ComfyUI(settings))

    return ClientMachine


class _Session(RuleBasedStateMachine):
    """One server, one client, and what truly became of each prompt."""

    def __init__(
        self,
        make_client: Callable[[str], ClientUnderTest],
        make_server: Callable[[], ComfyUI],
    ) -> None:
        super().__init__()
        self._make_client, self._make_server = make_client, make_server
        self._server: ComfyUI | None = None
        self._client: ClientUnderTest | None = None
        self._prompts: list[str] = []
        self._truth: dict[str, frozenset[str]] = {}
        self._known: dict[str, str] = {}

    @property
    def server(self) -> ComfyUI:
        """The server of this session."""
        assert self._server is not None, "the session has begun"
        return self._server

    @property
    def client(self) -> ClientUnderTest:
        """The client under test."""
        assert self._client is not None, "the session has begun"
        return self._client

    @initialize()
    def begin(self) -> None:
        """A fresh server whose time does not move, and a fresh client."""
        self._server = self._make_server()
        self._server.pause()
        self._client = self._make_client(self._server.url)

    # --- what people do --------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["quick", "failing", "slow"]), again=st.booleans())
    def submit(self, kind: str, again: bool) -> None:
        """A graph of one node; ``again``: one that may be cached."""
        source = "" if again else str(len(self._prompts))
        prompt_id = self.client.submit(
            {kind: {"class_type": "PreviewAny", "inputs": {"source": source}}}
        )
        self._prompts.append(prompt_id)

    @precondition(lambda self: self._prompts)
    @rule(data=st.data())
    def interrupt(self, data: st.DataObject) -> None:
        """The client asks for one of its prompts to stop."""
        self.client.interrupt(data.draw(st.sampled_from(self._prompts)))

    @precondition(lambda self: self._prompts)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """The client takes one of its prompts out of the queue."""
        self.client.delete(data.draw(st.sampled_from(self._prompts)))

    @rule(seconds=st.sampled_from([SLOW_S, 1]))
    def time_goes_on(self, seconds: int) -> None:
        """Virtual time moves."""
        self.server.advance(seconds)

    @rule()
    def drop_socket(self) -> None:
        """The connection breaks, without a word."""
        self.server.drop_socket()

    @rule()
    def reconnect(self) -> None:
        """The client connects anew."""
        self.client.reconnect()

    @rule()
    def restart(self) -> None:
        """The server is started anew, and knows nothing of what was before."""
        self._look()
        for prompt_id in self._prompts:
            known = self._known.get(prompt_id, "gone")
            self._truth.setdefault(prompt_id, _MAY_SAY[known] | _GONE)
        # Ids come from the seed, and a new process does not give the old ones again.
        settings = self.server.settings
        self.server.settings = msgspec.structs.replace(settings, seed=settings.seed + 1)
        self.server.restart()

    # --- what has to hold ------------------------------------------------------------------------

    @invariant()
    def the_client_reports_no_prompt_twice_and_no_lies(self) -> None:
        """Holds at any time."""
        if self._client is None:
            return
        self._look()
        for prompt_id, said in self.client.outcomes().items():
            if len(said) > 1:
                raise Judged(f"prompt {prompt_id} has {len(said)} outcomes: {', '.join(said)}")
            for outcome in said:
                self._is_true(prompt_id, outcome)

    def teardown(self) -> None:
        """Let all come to an end; then there is exactly one outcome for each prompt."""
        try:
            if self._client is not None:
                self._comes_to_an_end(self._client)
        finally:
            if self._client is not None:
                self._client.close()
            if self._server is not None:
                self._server.close()

    def _comes_to_an_end(self, client: ClientUnderTest) -> None:
        self.server.resume()
        client.settle()
        self.the_client_reports_no_prompt_twice_and_no_lies()
        told = client.outcomes()
        if missing := [one for one in self._prompts if not told.get(one)]:
            raise Judged(f"no outcome for {', '.join(missing)}")

    def _is_true(self, prompt_id: str, outcome: str) -> None:
        may_say = self._truth.get(prompt_id)
        if may_say is None:
            truth = self._known.get(prompt_id, "gone")
            may_say = _MAY_SAY[truth]
        if outcome not in may_say:
            raise Judged(
                f"prompt {prompt_id}: it reported {outcome}; true is {' or '.join(sorted(may_say))}"
            )

    def _look(self) -> None:
        """Keep in mind what the history says, as a restart takes it away."""
        with urlopen(f"{self.server.url}/history", timeout=_ANSWER_S) as answer:  # a loopback URL
            entries = json.loads(answer.read())
        self._known |= {prompt_id: ending_of(entry) for prompt_id, entry in entries.items()}
