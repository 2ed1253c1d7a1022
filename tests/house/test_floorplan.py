"""Which room may look into which: the plan, and that the code keeps to it.

The plan is a staircase in each package. A module may import its own room and any room on a lower
stair, unless ``ONLY`` says less; rooms on one stair do not see each other. Shells and front doors
touch the world (sockets, files, clocks, threads); all other modules are quiet, through everything
that they import.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Lowest first. A room is a package or a module; the longest name that fits a module is its room.
STAIRS: tuple[tuple[str, ...], ...] = (
    ("comfyrec", "comfyrec.errors", "fake_server"),
    ("comfyrec.versions", "comfyrec.timing"),
    ("comfyrec.wire", "comfyrec.events"),
    ("comfyrec.http",),
    ("comfyrec.cassette",),
    ("comfyrec.timeline",),
    ("comfyrec.show", "comfyrec.tables"),
    ("comfyrec.workflows",),
    (
        "comfyrec.client",
        "comfyrec.proxy",
        "comfyrec.bench_adapter",
        "comfyrec.conform",
        "comfyrec.flight",
    ),
    ("fake_server.source", "fake_server.seeded"),
    ("fake_server.storage",),
    ("fake_server.nodes",),
    # How a server was started: its node classes and its folders are among that.
    ("fake_server.options",),
    ("fake_server.simulator",),
    ("fake_server.http",),
    ("fake_server.simulated_server", "fake_server.surfaces"),
    # A replay simulates what was not recorded.
    ("fake_server.replay",),
    ("fake_server.scenarios",),
    ("fake_server.scenario_source", "fake_server.server"),
    ("fake_server.testing", "comfyrec.check"),
    ("comfyrec.testing",),
    ("comfyrec.strategies", "comfyrec.control"),
    ("comfyrec.fuzz",),
    ("comfyrec.pytest_plugin", "comfyrec.cli"),
    ("comfyrec.__main__",),
)
ROOMS = {room: stair for stair, rooms in enumerate(STAIRS) for room in rooms}

# Rooms that may look into less than their stair allows: what they look into, apart from errors.
ONLY: dict[str, set[str]] = {
    "comfyrec.wire": {"comfyrec"},
    "comfyrec.events": {"comfyrec", "comfyrec.versions"},
    "comfyrec.workflows": {"comfyrec", "comfyrec.events"},
    # The proxy writes what crosses the wire; it has no opinion on what it means.
    "comfyrec.proxy": {
        "comfyrec",
        "comfyrec.wire",
        "comfyrec.events",
        "comfyrec.http",
        "comfyrec.cassette",
    },
    "comfyrec.conform": {"comfyrec", "comfyrec.versions"},
    "comfyrec.bench_adapter": {"comfyrec.cassette", "comfyrec.wire"},
}

# Nothing imports a front door, but ``python -m comfyrec`` has to open one.
FRONT_DOORS = {"comfyrec.cli", "comfyrec.pytest_plugin"}
FRONT_DOORS_OPENED_BY = {"comfyrec.__main__"}

# Modules and packages that touch the world. Everything else is quiet.
SHELLS = {
    "comfyrec.__main__",
    "comfyrec.bench_adapter",
    "comfyrec.cassette.files",
    "comfyrec.check.command",
    "comfyrec.check.long_lived",
    "comfyrec.check.play",
    "comfyrec.check.process_tree",
    "comfyrec.check.recorded",
    "comfyrec.check.causes.reference_client",
    "comfyrec.check.runner",
    "comfyrec.check.causes.shrink_files",
    "comfyrec.check.causes.shrink_trials",
    "comfyrec.check.causes.trials",
    "comfyrec.cli",
    "comfyrec.client.shells",
    "comfyrec.conform.server",
    "comfyrec.fuzz.adapter",
    "comfyrec.fuzz.client_process",
    "comfyrec.fuzz.search",
    "comfyrec.control",
    "comfyrec.flight.control",
    "comfyrec.flight.keeping",
    "comfyrec.flight.rotation",
    "comfyrec.proxy",
    "comfyrec.pytest_plugin",
    "comfyrec.strategies.machine",
    "comfyrec.strategies.saving",
    "comfyrec.strategies.serving",
    "comfyrec.tables.ask",
    "comfyrec.tables.convert",
    "comfyrec.tables.duck",
    "comfyrec.tables.store",
    "comfyrec.testing",
    "fake_server.server",
    "fake_server.storage.disk",
    "fake_server.testing",
}
# Packages that hand on what their modules have, shells among them.
HANDS_ON_SHELLS = {"comfyrec.check", "comfyrec.client", "comfyrec.proxy", "comfyrec.strategies"}
TOUCHES_THE_WORLD = {
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
    ("comfyrec.cassette.redact.pseudonyms.blank_image", "io"),
    # The words that the system has for the number of an error.
    ("comfyrec.wording", "os"),
    # So does what writes zips.
    ("fake_server.storage.archives", "io"),
}
# Loaded in a fresh interpreter, a quiet module brings none of these along.
HEAVY = {"aiohttp", "asyncio", "hypothesis", "pytest", "requests", "rich", "yarl"}
# Imports that still run the wrong way, to be turned.
OPEN = {
    ("fake_server.nodes.replacements", "fake_server.simulator"),
}
OPEN_CIRCLES = {
    "comfyrec.testing.handle", "fake_server.simulator.engine", "fake_server.simulator.execution",
    "fake_server.simulator.node_call",
}  # fmt: skip


def _modules() -> dict[str, Path]:
    """Every module of both packages, by dotted name."""
    found = {}
    for package in ("comfyrec", "fake_server"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path
    return found


MODULES = _modules()
QUIET = [
    name
    for name in MODULES
    if not any(name == shell or name.startswith(f"{shell}.") for shell in SHELLS)
]


def room_of(name: str) -> str:
    """The longest room that holds the module."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        candidate = ".".join(parts[:length])
        if candidate in ROOMS:
            return candidate
    raise AssertionError(f"{name} is in no room of the plan")


@cache
def imports(name: str) -> frozenset[str]:
    """Absolute names of all imports, lazy ones and those under ``TYPE_CHECKING`` as well."""
    path = MODULES[name]
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
    return frozenset(found)


def looked_into(name: str) -> set[str]:
    """The other rooms that a module imports from."""
    ours = {i for i in imports(name) if i.split(".")[0] in ("comfyrec", "fake_server")}
    return {room_of(i) for i in ours} - {room_of(name)}


def test_imports_run_down_the_stairs() -> None:
    too_high = {
        (name, other)
        for name in MODULES
        for other in looked_into(name)
        if ROOMS[other] >= ROOMS[room_of(name)] and (name, other) not in OPEN
    }
    beyond = {
        (name, other)
        for name in MODULES
        for other in looked_into(name) - ONLY.get(room_of(name), set(ROOMS)) - {"comfyrec.errors"}
    }

    assert too_high == set()
    assert beyond == set()


def test_nothing_imports_a_front_door() -> None:
    opened = {
        (name, door)
        for name in set(MODULES) - FRONT_DOORS_OPENED_BY
        for door in looked_into(name) & FRONT_DOORS
    }

    assert opened == set()


@pytest.mark.parametrize("package", ["comfyrec", "fake_server"])
def test_no_import_runs_in_a_circle(package: str) -> None:
    graph = {
        name: {i for i in imports(name) if i in MODULES and i != name and not name.startswith(i)}
        for name in MODULES
        if name.startswith(package) and name not in OPEN_CIRCLES
    }

    try:
        TopologicalSorter(graph).prepare()
        circle = []
    except CycleError as error:
        circle = error.args[1]

    assert circle == []


def test_a_quiet_module_names_nothing_that_touches_the_world() -> None:
    loud = {
        (name, door)
        for name in QUIET
        for imported in imports(name)
        for door in {imported, imported.split(".")[0]} & TOUCHES_THE_WORLD
        if not any(name.startswith(room) and door == allowed for room, allowed in ALLOWED)
    }

    assert loud == set()


def test_a_quiet_module_imports_no_shell() -> None:
    shells = {
        (name, shell)
        for name in set(QUIET) - set(HANDS_ON_SHELLS)
        for shell in imports(name)
        if shell in MODULES and shell not in QUIET
    }

    assert shells == set()


@pytest.mark.slow
def test_quiet_modules_load_nothing_heavy() -> None:
    quiet = [name for name in QUIET if name not in HANDS_ON_SHELLS and not _above_shells(name)]
    code = (
        "import importlib, sys\n"
        f"for name in {quiet!r}:\n"
        "    importlib.import_module(name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))\n"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "[]"


def _above_shells(name: str) -> bool:
    """Whether the module is in a package whose ``__init__`` hands on shells."""
    return any(name.startswith(f"{package}.") for package in HANDS_ON_SHELLS)


def test_every_room_of_the_plan_exists() -> None:
    missing = (set(ROOMS) | SHELLS | HANDS_ON_SHELLS | set(ONLY)) - set(MODULES)

    assert missing == set()


# Folders with a module for each thing of a list: a scenario, a command.
LISTS = {"comfyrec/cli", "fake_server/scenarios", "fake_server/scenarios/v2"}
MODULES_MAX = 18


def test_no_folder_is_a_hall() -> None:
    sizes = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for path in MODULES.values()
        if path.name != "__init__.py"
    )

    crowded = {
        folder: size for folder, size in sizes.items() if size > MODULES_MAX and folder not in LISTS
    }

    assert crowded == {}
