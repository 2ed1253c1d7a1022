"""The real web page, with a link in its corner to the panel of the server that it is served by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from fake_server.storage.memory import StoredFile

__all__ = ["with_corner"]

_END: Final = b"</body>"
_LINK: Final = (
    b'<a href="__fake__/ui/" target="_blank" title="what this server does, and how to change it" '
    b'style="position:fixed;left:210px;bottom:6px;z-index:9999;padding:1px 8px;border-radius:9px;'
    b'background:#1c1f25;color:#b79cff;font:12px sans-serif;text-decoration:none">fake server</a>'
)


def with_corner(
    frontend: Callable[[str], StoredFile | None],
) -> Callable[[str], StoredFile | None]:
    """The files of a frontend, its page with the link."""

    def found(name: str) -> StoredFile | None:
        file = frontend(name)
        if file is None or name != "index.html" or _END not in file.data:
            return file
        before, _, after = file.data.rpartition(_END)
        return replace(file, data=before + _LINK + _END + after)

    return found
