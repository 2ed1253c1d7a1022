"""Surfaces by name: which there are, their settings, and what is refused."""

from __future__ import annotations

import pytest

from comfyrec.errors import UsageError
from fake_server.options import SurfaceChoice
from fake_server.simulated_server import SimulatedServer
from fake_server.surfaces.registry import choose_surface, surface_names, with_surfaces


def test_the_native_surface_is_always_there_and_changes_nothing() -> None:
    server = SimulatedServer()

    assert surface_names()[0] == "native"
    assert choose_surface("native") == SurfaceChoice("native")
    assert with_surfaces(server, [SurfaceChoice("native")]) is server
    assert with_surfaces(server, []) is server


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("natve", "there is no surface 'natve'; did you mean 'native'?"),
        ("zzz", "there is no surface 'zzz'; there are native"),
        ("", "there is no surface ''"),
        ("native:a=b", "surface native has no settings"),
    ],
)
def test_what_cannot_be_chosen_is_said(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        choose_surface(text)

    assert says in str(refused.value)
