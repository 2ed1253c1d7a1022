"""``export --to parquet``: recordings into a folder of tables, each exactly once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from comfyrec.cli.stats import SkippedFiles
from comfyrec.tables.convert import cassettes_in, convert_all, jobs_by_default
from comfyrec.tables.duck import connected
from comfyrec.tables.schema import TABLES
from comfyrec.tables.store import opened_store
from comfyrec.wording import plural

__all__ = ["export_tables"]


def export_tables(folder: Path, names: Sequence[Path], *, jobs: int) -> int:
    """Add what is new; gives the exit status.

    Raises:
        UsageError: a name is not there, or the folder cannot be used.
        TablesError: the tables cannot be written.
    """
    paths = cassettes_in(names)
    jobs = jobs or jobs_by_default()
    wrong, copies, added = SkippedFiles("export"), 0, 0
    with (
        tempfile.TemporaryDirectory(prefix="comfyrec-") as scratch,
        connected(scratch, threads=jobs) as duck,
        opened_store(folder, duck) as store,
    ):
        new = [path for path in paths if store.is_new(path)]
        for one in convert_all(new, tuple(TABLES), jobs=jobs):
            wrong.saw(one)
            if not one.skipped:
                kept = store.add(one)
                added, copies = added + kept, copies + (not kept)
        store.commit()
    words = [f"{plural(added, 'recording')} with {plural(store.rows, 'row')} added to {folder}"]
    if len(paths) > len(new):
        known = len(paths) - len(new)
        words.append(f"{plural(known, 'file is', 'files are')} in it already, unchanged")
    if copies:
        hold = plural(copies, "file holds a recording", "files hold recordings")
        words.append(f"{hold} that it has from another file")
    print("; ".join(words))
    return wrong.status()
