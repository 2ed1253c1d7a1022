"""What the pytest plugin costs: a run that does not use it, the first test, each further test.

Each figure is the CPU time of whole pytest processes, in turn with the same run without the plugin
and, where it is installed, beside pytest-httpserver's fixture. "Dry" is with
``PYTHONDONTWRITEBYTECODE=1``: what pytest rewrites it then rewrites in each run.

    python benchmarks/plugin.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FEW, MANY = 10, 510
TESTS = """
import pytest
@pytest.mark.parametrize("n", range({count}))
def test({fixture}n): pass
"""


def cpu_s(folder: Path, *options: str, dry: bool = False) -> float:
    """CPU seconds of one pytest process, which writes no bytecode if it is ``dry``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"} if dry else {}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int, many: int) -> dict[str, float]:
    """Medians in milliseconds, over an empty test without any plugin."""
    cases = {"nothing": ("", ()), "comfyui": ("comfyui, ", ("-p", "comfyrec.pytest_plugin"))}
    if importlib.util.find_spec("pytest_httpserver"):
        cases["httpserver"] = ("httpserver, ", ("-p", "pytest_httpserver.pytest_plugin"))
    unused = ("", ("-p", "comfyrec.pytest_plugin"))
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        taken = {}
        for name, (fixture, options) in {**cases, "unused": unused}.items():
            taken[name] = [run(fixture, options, count) for count in (1, FEW, many)]
            taken[f"{name}, dry"] = [run(fixture, options, 1, dry=True)]
        if number == 0:
            continue  # the round that writes the bytecode
        for name, value in figures(taken, many).items():
            found.setdefault(name, []).append(1000 * value)
    return {name: statistics.median(values) for name, values in found.items()}


def run(fixture: str, options: tuple[str, ...], count: int, *, dry: bool = False) -> float:
    """CPU seconds of a run of ``count`` tests."""
    with tempfile.TemporaryDirectory() as folder:
        code = TESTS.format(count=count, fixture=fixture)
        (Path(folder) / "test_it.py").write_text(code, encoding="utf-8")
        return cpu_s(Path(folder), *options, dry=dry)


def figures(taken: dict[str, list[float]], many: int) -> dict[str, float]:
    """Seconds: start-up when unused, first use, and each further test, over nothing."""
    empty_first, empty_few, empty_many = taken["nothing"]
    each_empty = (empty_many - empty_few) / (many - FEW)
    result = {"plugin unused": taken["unused"][0] - empty_first}
    for name in ("comfyui", "httpserver"):
        if name in taken:
            first, few, all_of_them = taken[name]
            result[f"{name}, first use"] = first - empty_first
            result[f"{name}, each test"] = (all_of_them - few) / (many - FEW) - each_empty
    for name, what in {
        "unused": "plugin unused, dry",
        "comfyui": "comfyui, first use, dry",
    }.items():
        if f"{name}, dry" in taken:
            result[what] = taken[f"{name}, dry"][0] - taken["nothing, dry"][0]
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, fewer tests")
    parser.add_argument("--json", action="store_true", help="for a machine to read")
    arguments = parser.parse_args()
    many = 110 if arguments.quick else MANY
    medians = measure(1 if arguments.quick else 5, many)
    if arguments.json:
        print(json.dumps({"python": platform.python_version(), "cpu_ms": medians}))
        return
    print(f"Python {platform.python_version()}; CPU over an empty test without plugins")
    for name, value in medians.items():
        print(f"  {name:<24} {value:8.2f} ms")


if __name__ == "__main__":
    main()
