"""Recordings as tables: ``rows_of`` turns the bytes of one cassette into rows of ``TABLES``."""

from __future__ import annotations

from comfyrec.tables.rows import Row, Rows, rows_of
from comfyrec.tables.schema import PARTITIONS, TABLES, TABLES_VERSION, Column

__all__ = ["PARTITIONS", "TABLES", "TABLES_VERSION", "Column", "Row", "Rows", "rows_of"]
