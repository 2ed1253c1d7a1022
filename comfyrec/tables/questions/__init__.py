"""The everyday questions, one SQL file each; they run unchanged in other engines.

Each reads the tables under their names (``prompts``, ``node_runs``) and nothing else. What SQL they
may use is what DuckDB, Spark and Polars share.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

__all__ = ["QUESTIONS", "sql_of"]

QUESTIONS: Final = {
    "node-run-times": ("how long nodes run, by class", ("node_runs",)),
    "cache-rate": ("how much is cached, by class", ("node_runs",)),
    "queue-wait": ("how long prompts wait in the queue", ("prompts",)),
    "error-rate": ("how many prompts fail", ("prompts",)),
    "error-texts": ("what errors say, most frequent first", ("prompts",)),
    "silence-before-end": ("how long nothing is said before the end", ("prompts",)),
}
"""Question -> what it asks, and the tables that it reads."""


def sql_of(question: str) -> str:
    """The SQL of a question; its result has a name for each column.

    Raises:
        KeyError: there is no such question.
    """
    QUESTIONS[question]
    file = files(__package__).joinpath(f"{question.replace('-', '_')}.sql")
    return file.read_text(encoding="utf-8")
