"""DuckDB, which reads rows and writes Parquet: loaded when it is needed, errors as one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from comfyrec.errors import TablesError, UsageError
from comfyrec.tables.schema import TABLES

__all__ = ["columns_of", "connected", "quoted", "rows_in"]

MEMORY_MAX: Final = "256MB"
"""What DuckDB may take before it goes to the disk."""
ROW_BYTES_MAX: Final = 64 << 20
_TYPES: Final = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN"}


@contextlib.contextmanager
def connected(scratch: str, *, threads: int) -> Iterator[Any]:
    """A database in memory that may use a folder when memory is short.

    Args:
        scratch: the folder.
        threads: how many it may use.

    Raises:
        UsageError: DuckDB is not installed.
        TablesError: one of its statements failed.
    """
    try:
        import duckdb
    except ImportError:
        raise UsageError("tables need DuckDB: pip install 'comfyrec[tables]'") from None
    connection = duckdb.connect(config={"threads": threads, "memory_limit": MEMORY_MAX})
    try:
        connection.execute(f"set temp_directory = {quoted(scratch)}")
        connection.execute("set preserve_insertion_order = false")
        yield connection
    except duckdb.Error as wrong:
        raise TablesError(_sentence(str(wrong))) from None
    finally:
        connection.close()


def _sentence(words: str) -> str:
    """DuckDB's words in one line, with a mend where the cause is common."""
    if "httpfs" in words and "extension" in words:
        return (
            "DuckDB reads s3:// and https:// with its extension httpfs, which is not installed and "
            "could not be downloaded; run INSTALL httpfs in DuckDB where there is a network, or "
            "copy the tables to a local folder"
        )
    first = " ".join(words.partition("\n\nLINE ")[0].split())
    if "No space left" in words or "could not write" in words.lower():
        return f"{first}; free some space, then run it again: what is finished stays"
    return first


def quoted(text: str) -> str:
    """A string as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def columns_of(table: str) -> str:
    """The columns of a table with their types, as SQL has them."""
    return ", ".join(f'"{column.name}" {_TYPES[column.type]}' for column in TABLES[table])


def rows_in(path: str, table: str) -> str:
    """A FROM item: the rows of a table in a file of JSON Lines."""
    columns = ", ".join(f"'{c.name}': '{_TYPES[c.type]}'" for c in TABLES[table])
    return (
        f"read_json({quoted(path)}, format = 'newline_delimited', columns = {{{columns}}}, "
        f"maximum_object_size = {ROW_BYTES_MAX})"
    )
