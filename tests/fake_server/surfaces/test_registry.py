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
        ("v2:tok=1", "surface v2 has no setting 'tok'; did you mean 'token'?"),
        ("v2:token", "write v2:KEY=VALUE"),
        ("v2:queue_max=x", "surface v2: queue_max=x: expected a whole number"),
        ("v2:queue_max=-1", "surface v2: queue_max=-1: expected a whole number >= 0"),
        ("v2:links=far", "surface v2: links=far: give absolute or relative"),
        ("v2:prefix=x/", "surface v2: prefix=x/: give such a one as /deployment/dep-1"),
    ],
)
def test_what_cannot_be_chosen_is_said(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        choose_surface(text)

    assert says in str(refused.value)
