"""Which room may look into which: the plan, and that the code keeps to it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

CORE = {"comfyrec", "comfyrec.errors"}
EVENTS = CORE | {"comfyrec.events"}
RECORDS = EVENTS | {"comfyrec.wire", "comfyrec.cassette"}
TIMELINE = RECORDS | {"comfyrec.timeline"}
ANYTHING = None

# room -> rooms it may look into (itself always). The longest name that fits a module is its room.
MAY_LOOK_INTO: dict[str, set[str] | None] = {
    "comfyrec": CORE,
    "comfyrec.__main__": CORE | {"comfyrec.cli"},
    "comfyrec.errors": set(),
    "comfyrec.wire": CORE,
    "comfyrec.events": CORE,
    "comfyrec.cassette": RECORDS,
    "comfyrec.timeline": RECORDS,
    "comfyrec.show": TIMELINE,
    # It serves what it draws to a client, and judges what that reports, as check does; its machine
    # controls a server as the fixture does.
    "comfyrec.strategies": TIMELINE | {"comfyrec.check", "comfyrec.testing", "fake_server"},
    "comfyrec.client": TIMELINE,
    # It plays scenarios for a client, so it knows both packages, as the front doors do.
    "comfyrec.check": TIMELINE | {"fake_server"},
    "comfyrec.proxy": RECORDS,
    "comfyrec.bench_adapter": RECORDS,
    "comfyrec.pytest_plugin": ANYTHING,
    # What the fixtures are made of, imported when a test first asks for one.
    "comfyrec.testing": ANYTHING,
    "comfyrec.cli": ANYTHING,
    "fake_server": TIMELINE,
    # The task interface is a client of the ComfyUI behind it, by the same quiet talks.
    "fake_server.surfaces.sequencer": TIMELINE | {"comfyrec.client", "fake_server"},
}
# Nothing imports a front door, but ``python -m comfyrec`` has to open one.
FRONT_DOORS = {"comfyrec.cli", "comfyrec.pytest_plugin"}
FRONT_DOORS_OPENED_BY = {"comfyrec.__main__"}

# Modules that touch the world. Everything else is quiet.
SHELLS = {
    "comfyrec.__main__",
    "comfyrec.bench_adapter",
    "comfyrec.cassette.files",
    "comfyrec.check.command",
    "comfyrec.check.process_tree",
    "comfyrec.check.play",
    "comfyrec.check.runner",
    "comfyrec.cli",
    "comfyrec.client.shells.aio",
    "comfyrec.client.shells.blocking",
    "comfyrec.client.shells.middleware",
    "comfyrec.client.shells.printer",
    "comfyrec.client.shells.stream",
    "comfyrec.client.shells.tasks",
    "comfyrec.client.shells.tls",
    "comfyrec.proxy",
    "comfyrec.pytest_plugin",
    "comfyrec.strategies.machine",
    "comfyrec.strategies.saving",
    "comfyrec.strategies.serving",
    "comfyrec.testing",
    "fake_server.server.server",
    "fake_server.server.clock",
    "fake_server.server.control",
    "fake_server.server.fast_path.connection",
    "fake_server.server.virtual_time_loop",
    "fake_server.server.listeners",
    "fake_server.storage.disk",
    "fake_server.testing",
    "fake_server.server.thread",
}
NEVER_IN_A_QUIET_ROOM = {
    "aiohttp", "asyncio", "http", "io", "logging", "multiprocessing", "os", "pathlib", "queue",
    "random", "requests", "rich", "secrets", "select", "shutil", "signal", "socket", "ssl",
    "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "yarl",
}  # fmt: skip
# Doors that a quiet room needs all the same, each with its reason.
ALLOWED = {
    # The Sans-I/O half of websockets holds the limits and the deflate negotiation.
    ("comfyrec.wire", "websockets"),
    # Which name the codec has depends on the version of Python; types see only sys.version_info.
    ("comfyrec.cassette.packed.zstandard", "sys"),
    # Pillow draws into memory only.
    ("fake_server.storage.pictures", "io"),
}


def modules() -> dict[str, Path]:
    """Every module of both packages, by dotted name."""
    found = {}
    for package in ("comfyrec", "fake_server"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path
    return found


MODULES = modules()


def room_of(name: str, rooms: set[str]) -> str:
    """The longest room that holds the module."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        candidate = ".".join(parts[:length])
        if candidate in rooms:
            return candidate
    raise AssertionError(f"{name} stands in no room of the plan")


def imports(name: str, path: Path) -> set[str]:
    """Absolute names of all imports, lazy ones too; ``if TYPE_CHECKING`` ones as well."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = (
                ".".join([*above, node.module] if node.module else above)
                if node.level
                else node.module or ""
            )
            found |= {
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base
                for alias in node.names
            }
    return found


@pytest.mark.parametrize("name", MODULES)
def test_a_room_looks_only_where_the_plan_allows(name: str) -> None:
    rooms = set(MAY_LOOK_INTO)
    room = room_of(name, rooms)
    allowed = MAY_LOOK_INTO[room]

    every = imports(name, MODULES[name])
    ours = {i for i in every if i.split(".")[0] in ("comfyrec", "fake_server")}
    looked_into = {room_of(i, rooms) for i in ours} - {room}

    assert allowed is None or looked_into <= allowed, sorted(looked_into - (allowed or set()))
    assert name in FRONT_DOORS_OPENED_BY or not looked_into & FRONT_DOORS


@pytest.mark.parametrize(
    "name", [n for n in MODULES if not any(n == s or n.startswith(s + ".") for s in SHELLS)]
)
def test_a_quiet_room_names_nothing_that_touches_the_world(name: str) -> None:
    loud = set()
    for imported in imports(name, MODULES[name]):
        top = imported.split(".")[0]
        for bad in {imported, top} & NEVER_IN_A_QUIET_ROOM:
            if not any(name.startswith(room) and bad == door for room, door in ALLOWED):
                loud.add(bad)

    assert not loud


def test_every_shell_of_the_plan_exists_or_is_a_package() -> None:
    missing = {s for s in SHELLS if s not in MODULES}

    assert not missing
