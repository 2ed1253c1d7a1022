"""How a benchmark that gives one table of figures is called and prints them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping

__all__ = ["main"]


def main(
    description: str, measure: Callable[..., Mapping[str, object]], argv: list[str] | None = None
) -> int:
    """Measure and print; ``measure(quick=...)`` gives name -> figure."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args(argv)
    figures = measure(quick=arguments.quick)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:<22} {figure}")
    return 0
