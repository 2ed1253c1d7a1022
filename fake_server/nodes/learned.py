"""What workflows need beyond a catalogue: classes, model files, input files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from comfyrec.wording import plural
from fake_server.nodes.catalogue import Catalogue

__all__ = ["Learned"]


class Learned(msgspec.Struct, frozen=True):
    """What workflows need beyond a catalogue."""

    classes: Mapping[str, Mapping[str, Any]] = {}
    """Class -> its entry in object_info: new classes, and known ones that are used otherwise."""
    new: Sequence[str] = ()
    """Those of the classes that the catalogue did not have at all."""
    models: Mapping[str, Sequence[str]] = {}
    """Folder -> model files that it lacks."""
    loaders: Mapping[str, Mapping[str, str]] = {}
    """New class -> its inputs that name the files of a folder."""
    files: Sequence[str] = ()
    """Files of the input folder, with their subfolders."""
    workflows: int = 0
    notes: Sequence[str] = ()
    """One sentence each about uses that contradict each other, and what is still refused."""

    def added_to(self, catalogue: Catalogue) -> Catalogue:
        """The catalogue with all of it."""
        return catalogue.with_learned(self.classes, self.models, self.loaders)

    def __str__(self) -> str:
        files = sum(map(len, self.models.values()))
        parts = [plural(len(self.new), "new class", "new classes"), plural(files, "model file")]
        if len(self.classes) > len(self.new):
            parts.append(plural(len(self.classes) - len(self.new), "use") + " of known classes")
        parts.append(plural(len(self.files), "input file"))
        return f"learned {', '.join(parts)} from {plural(self.workflows, 'workflow')}"

    def facts(self) -> dict[str, Any]:
        """The same in plain JSON values."""
        return {
            "classes": sorted(self.new),
            "widened": sorted(set(self.classes) - set(self.new)),
            "models": {folder: list(names) for folder, names in self.models.items()},
            "files": list(self.files),
            "workflows": self.workflows,
            "notes": list(self.notes),
        }

    def with_more(self, more: Learned) -> Learned:
        """This and what was learned after it."""
        return Learned(
            classes={**self.classes, **more.classes},
            new=list(dict.fromkeys([*self.new, *more.new])),
            models={
                folder: list(dict.fromkeys([*self.models.get(folder, ()), *names]))
                for folder, names in {**self.models, **more.models}.items()
            },
            loaders={**self.loaders, **more.loaders},
            files=list(dict.fromkeys([*self.files, *more.files])),
            workflows=self.workflows + more.workflows,
            notes=[*self.notes, *more.notes],
        )
