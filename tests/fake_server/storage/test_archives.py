"""Zips of files."""

from __future__ import annotations

import io
import zipfile

from fake_server.storage.archives import zipped


def test_a_zip_holds_the_files_as_they_are() -> None:
    files = [("a/b.png", b"one"), ("c.txt", b"")]

    data = zipped(files)

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [(info.filename, archive.read(info)) for info in archive.infolist()] == files
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert zipped(files) == data
