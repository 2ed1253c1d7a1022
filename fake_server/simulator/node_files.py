"""What nodes read from and write to the folders: pictures with their names, counters, metadata."""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final

import msgspec

from comfyrec.events.outputs import FileEntry
from fake_server.nodes.catalogue import NodeClass
from fake_server.nodes.saving import Saves
from fake_server.nodes.values import RGB, RGBA, NodeFailed, Value, literal
from fake_server.options import ServerOptions
from fake_server.seeded import SeededRandom
from fake_server.simulator.graph import Graph
from fake_server.simulator.node_plan import NodePlan
from fake_server.simulator.server_time import ServerTime
from fake_server.storage.filenames import SavePath, fill_in, next_counter, save_path
from fake_server.storage.media import media
from fake_server.storage.memory import Folders, StoredFile, inside
from fake_server.storage.pictures import is_image, measure, picture

__all__ = ["NodeFiles"]

_ANNOTATED: Final = re.compile(r"(.*?) ?\[(input|output|temp)\]\Z", re.DOTALL)
PREVIEWS_KEPT_MAX: Final = 64
# Previews of a long run repeat after this many; nobody looks at more.
_PREVIEW_VARIETY: Final = 8
_FORMATS: Final = {"webp": "WEBP", "jpg": "JPEG", "jpeg": "JPEG", "gif": "GIF"}


class Change(msgspec.Struct, frozen=True):
    """What a node's change check came to."""

    key: Any
    """Part of the cache key; something that equals nothing else for a node that always changes."""
    said: Any = None
    """What the server notes of it in the prompt that nodes see, under ``is_changed``."""


_SAME: Final = Change(False)
_INPUT_SIZE: Final = (64, 64)
_NO_MASK: Final = Value(64, 64)


class NodeFiles:
    """The folders as nodes see them."""

    def __init__(
        self,
        folders: Folders,
        options: ServerOptions,
        time: ServerTime,
        random: SeededRandom,
    ) -> None:
        self.folders, self._time = folders, time
        self._random, self._seed, self._base = random, options.seed, options.base_directory
        self._before_dot = options.era.has("counts_before_the_dot")
        self._letters: dict[tuple[str, str], str] = {}
        # (kind, subfolder, name) -> the file written last, and the number behind it
        self._counters: dict[tuple[str, str, str], tuple[str, int]] = {}
        self._previews: dict[tuple[str, int, int, int], bytes] = {}

    # --- lives of node objects -----------------------------------------------------------------

    def begin(self, prompt: Mapping[str, Mapping[str, Any]]) -> None:
        """A prompt starts: node objects that it does not have are let go, with their letters."""
        self._letters = {
            (one, kind): letters
            for (one, kind), letters in self._letters.items()
            if _root_kind(prompt, one, kind)
        }

    def forget_objects(self) -> None:
        """All node objects go, as with POST /free."""
        self._letters.clear()

    # --- loading -------------------------------------------------------------------------------

    def find(self, name: Any) -> StoredFile | None:
        """The file that a loader's input names, ``name [output]`` and subfolders understood."""
        if not isinstance(name, str):
            return None
        kind, path = _place(name)
        return None if path is None else self.folders.read(kind, *posixpath.split(path))

    def exists(self, kind: NodeClass, name: Any) -> bool:
        """Whether a loader finds its file, or one that the catalogue itself lists."""
        if not isinstance(name, str):
            return False
        where, path = _place(name)
        if path is not None and self.folders.has(where, *posixpath.split(path)):
            return True
        file = kind.behaviour.file
        each = None if file is None else kind.inputs.get(file.input)
        return each is not None and name in (each.choices or ())

    def unreadable(self, kind: NodeClass, given: Mapping[str, Any]) -> NodeFailed | None:
        """How a loader fails on its file; None if it can read it."""
        name = _file_of(kind, given)
        if name is None or kind.behaviour.file is None:
            return None
        file = self.find(name)
        where, path = _place(name)
        full = posixpath.join(self._base, where, path or "")
        if file is None:
            if self.exists(kind, name):
                return None
            said = f"[Errno 2] No such file or directory: {full!r}"
            return NodeFailed("FileNotFoundError", said)
        if kind.behaviour.file.is_picture and not is_image(file.data):
            return NodeFailed("PIL.UnidentifiedImageError", f"cannot identify image file {full!r}")
        return None

    def loaded(self, kind: NodeClass, given: Mapping[str, Any]) -> Sequence[Value]:
        """What a loader of pictures loads: the picture, and its mask; nothing for other classes."""
        name, loads = _file_of(kind, given), kind.behaviour.file
        if name is None or loads is None or not loads.is_picture:
            return ()
        file = self.find(name)
        size = measure(file.data) if file is not None else None
        width, height, mode = size or (512, 512, "RGBA")
        # Transparency leaves a picture for its mask.
        whole = Value(width, height, channels=RGB if kind.output[0] == "IMAGE" else 0)
        # A file without transparency has a mask of a size of its own; LoadImageMask makes it some.
        masked = mode in ("RGBA", "LA", "PA", "P") or kind.output[0] == "MASK"
        return whole, whole if masked else _NO_MASK

    def change(self, graph: Graph, node_id: str, planned: NodePlan) -> Change:
        """What a node's own change check (IS_CHANGED, fingerprint_inputs) says of it."""
        kind = graph.node_class(node_id)
        loads = kind.behaviour.file
        if not (planned.uncached or kind.behaviour.changes_always or loads):
            # A node that fails is another one than its like that does not: it has left no result,
            # nor has what hangs on it.
            return _SAME if planned.fails is None else Change(("fails", *planned.fails))
        if "is_changed" in graph.node(node_id):
            # A prompt out of a picture's metadata carries what was found then, and is believed.
            return _believed(graph.node(node_id)["is_changed"])
        if planned.uncached:
            return Change(object(), [math.nan])
        if loads is None:
            return Change(object(), [self._time.unix_ms / 1000])
        file = self.find(graph.inputs(node_id).get(loads.input))
        if file is None:
            return _SAME
        digest = sha256(file.data).hexdigest()
        return Change(digest, [digest])

    # --- saving --------------------------------------------------------------------------------

    def save(
        self,
        saves: Saves,
        given: Mapping[str, Any],
        seen: Value,
        count: int,
        *,
        owner: tuple[str, str],
        texts: Callable[[], Mapping[str, str]],
    ) -> list[dict[str, Any]]:
        """Write files and say where, as the node's output does.

        Args:
            seen: what is on them; it has a size.
            owner: id and class of the node, whose letters go into the names of temporary files.
            texts: gives the texts that go into the files, once it is known where they go.

        Raises:
            LeavesFolder: the prefix points out of the output folder.
        """
        size = (seen.width, seen.height)
        prefix = self._prefix(saves, given, owner)
        path = self._path(saves.kind, prefix, size if saves.sized else (0, 0))
        files = []
        for number in range(count):
            file = path.file(number, saves.extension, single=saves.single, bare=saves.bare)
            seed = self._seed + self._random.below(1 << 32)
            self.folders.write(
                saves.kind, path.subfolder, file, _drawn(seen, seed, saves, texts()), self._time.now
            )
            files.append({"filename": file, "subfolder": path.subfolder, "type": saves.kind})
        if files:
            key = (saves.kind, path.subfolder, path.name)
            self._counters[key] = files[-1]["filename"], path.counter + count
        return files

    def save_text(
        self, saves: Saves, given: Mapping[str, Any], text: str, extension: str
    ) -> dict[str, Any]:
        """Write a text, and say where.

        Raises:
            LeavesFolder: the prefix points out of the output folder.
        """
        path = self._path(saves.kind, self._prefix(saves, given, ("", "")), (1, 1))
        file = f"{path.name}_{path.counter:05}.{extension}"
        self.folders.write(saves.kind, path.subfolder, file, text.encode(), self._time.now)
        if self._before_dot:
            self._counters[saves.kind, path.subfolder, path.name] = file, path.counter + 1
        return {"filename": file, "subfolder": path.subfolder, "type": saves.kind}

    def _path(self, kind: str, prefix: str, size: tuple[int, int]) -> SavePath:
        return save_path(
            fill_in(prefix, width=size[0], height=size[1], now_ms=self._time.unix_ms),
            root=posixpath.join(self._base, kind),
            counter=lambda *where: self._counter(kind, *where),
        )

    def _prefix(self, saves: Saves, given: Mapping[str, Any], owner: tuple[str, str]) -> str:
        if saves.kind == "temp":
            if saves.fresh_letters:
                return f"ComfyUI_temp_{self._random.temp_letters()}"
            if owner not in self._letters:
                self._letters[owner] = self._random.temp_letters()
            return f"ComfyUI_temp_{self._letters[owner]}"
        one = given.get("filename_prefix")
        return str(one.literal) if isinstance(one, Value) and one.known else "ComfyUI"

    def _counter(self, kind: str, subfolder: str, name: str, length: int) -> int:
        # Looking through a folder takes its time. While the file that was written last is still
        # there, the number behind it is known.
        last = self._counters.get((kind, subfolder, name))
        whole = length == len(name)
        if whole and last is not None and self.folders.has(kind, subfolder, last[0]):
            return last[1]
        if len(self._counters) > 10_000:
            self._counters.clear()
        there = self.folders.names(kind, subfolder)
        return next_counter(name, length, there, before_dot=self._before_dot)

    def put_inputs(self, names: Iterable[str]) -> None:
        """Let the input files that workflows name be there, small ones of the kind they name."""
        for name in names:
            kind, path = _place(name)
            if path is not None:
                subfolder, filename = posixpath.split(path)
                self.provide(FileEntry(filename, subfolder, kind), *_INPUT_SIZE)

    def provide(self, file: FileEntry, width: int, height: int) -> None:
        """Write a file that a planned output names, unless it is there."""
        kind = file.type
        path = inside(file.subfolder, file.filename)
        if kind not in ("output", "temp", "input") or not path:
            return
        where = posixpath.split(path)
        if not self.folders.has(kind, *where):
            saves = Saves(extension=path.rpartition(".")[2].lower())
            seen = Value(width, height)
            self.folders.write(kind, *where, _drawn(seen, self._seed, saves, {}), self._time.now)

    def preview(self, kind: str, width: int, height: int, number: int) -> bytes:
        """A preview picture; those of a run look different, but repeat."""
        key = (kind, width, height, number % _PREVIEW_VARIETY)
        found = self._previews.get(key)
        if found is None:
            if len(self._previews) >= PREVIEWS_KEPT_MAX:
                self._previews.clear()
            seed = self._seed + key[3]
            found = picture(width=width, height=height, seed=seed, format=kind.upper())
            self._previews[key] = found
        return found


def _file_of(kind: NodeClass, given: Mapping[str, Any]) -> str | None:
    """The name that a loader is given, if it is a text."""
    name = None if kind.behaviour.file is None else literal(given, kind.behaviour.file.input)
    return name if isinstance(name, str) else None


def _believed(said: Any) -> Change:
    try:
        text = json.dumps(said)
    except RecursionError:
        return Change(object(), said)
    return Change(object() if "NaN" in text else text, said)


def _root_kind(prompt: Mapping[str, Mapping[str, Any]], node_id: str, kind: str) -> bool:
    node = prompt.get(node_id)
    if node is not None:
        return bool(node["class_type"] == kind)
    # The object of an expanded node lives as long as the node it came from.
    return node_id.partition(".")[0] in prompt and "." in node_id


def _place(name: str) -> tuple[str, str | None]:
    """A loader's file name -> the kind of folder and the path there; None outside of it."""
    match = _ANNOTATED.match(name)
    kind, path = (match[2], match[1]) if match else ("input", name)
    return kind, inside(path) or None


def _drawn(seen: Value, seed: int, saves: Saves, texts: Mapping[str, str]) -> Callable[[], bytes]:
    """A function that makes the file, for few of them are ever looked at."""
    shape = (seen.batch, seen.height // 8, seen.width // 8)
    other = media(saves.extension, shape=shape, texts=texts)
    if other is not None:
        return other
    kind = _FORMATS.get(saves.extension, "PNG")
    mode = "RGBA" if seen.channels == RGBA and kind != "JPEG" else "RGB"
    text, hidden = (texts, None) if saves.animated is None else (None, texts)
    return partial(
        picture,
        width=seen.width,
        height=seen.height,
        seed=seed,
        text=text,
        hidden=hidden,
        mode=mode,
        format=kind,
    )
