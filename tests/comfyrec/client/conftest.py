"""What the tests of the client share."""

from __future__ import annotations

import socket

import pytest

from tests.support.tracker_sim import Sim


@pytest.fixture
def unused_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def accepted() -> Sim:
    """A session whose one prompt was accepted, and waits."""
    sim = Sim()
    sim.accept()
    return sim


@pytest.fixture
def running(accepted: Sim) -> Sim:
    """A session whose one prompt runs."""
    accepted.start()
    return accepted
