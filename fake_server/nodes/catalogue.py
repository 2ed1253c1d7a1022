"""What nodes exist: a server's /object_info -> node classes that can be asked about.

A catalogue is made from the built-in core nodes or from any server's own ``/object_info``. It never
changes; other model lists, or classes learned from workflows, make another catalogue.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

import msgspec

from comfyrec.errors import UsageError
from comfyrec.versions import Era, era_of, generation_of
from fake_server.nodes import core_nodes
from fake_server.nodes.behaviour import Behaviour, behaviour_of
from fake_server.nodes.model_folders import (
    ALWAYS_OFFERED,
    CORE_MODELS,
    LOADERS,
    MODEL_FOLDERS,
    checked_folders,
)

__all__ = ["LEARNED_MODULE", "TAKES_ANY", "WIDENED", "Catalogue", "Input", "NodeClass"]

LEARNED_MODULE: Final = "custom_nodes.learned"
"""The ``python_module`` of classes that are known from workflows alone."""
WIDENED: Final = "fake_widened"
"""In the entry of a class that workflows use otherwise than it says: it fails on nothing then."""

TAKES_ANY: Final = "fake_takes_any"
"""Option of an input that workflows were seen to use otherwise than its class says: it may be left
out, and takes any value and any link; so do the inputs that it brings."""

_AUTOGROW: Final = "COMFY_AUTOGROW_V3"
_DYNAMIC_COMBO: Final = "COMFY_DYNAMICCOMBO_V3"
# An autogrow template may promise more; nobody links more than this by hand.
AUTOGROW_INPUTS_MAX: Final = 256


class Input(msgspec.Struct, frozen=True):
    """One input of a node class; ``type`` is a name or, for a list to choose from, that list."""

    name: str
    type: Any
    options: Mapping[str, Any]
    required: bool
    written: tuple[Any, ...]
    """As object_info has it: one or two elements."""

    @property
    def config(self) -> list[Any]:
        """``input_config`` of a refusal: the type and its options, always both."""
        return [self.type, dict(self.options)]

    @property
    def choices(self) -> Sequence[Any] | None:
        """What can be chosen, for a list or a ``COMBO``; None for everything else."""
        if isinstance(self.type, (list, tuple)):
            return self.type
        if self.type == "COMBO":
            choices = self.options.get("options", ())
            return choices if isinstance(choices, (list, tuple)) else ()
        return None

    @property
    def takes_any(self) -> bool:
        """Whether nothing that is given to it is refused."""
        return bool(self.options.get(TAKES_ANY))

    @property
    def chooses(self) -> bool:
        """Whether it is a dynamic combo: each of its choices has inputs of its own."""
        return bool(self.type == _DYNAMIC_COMBO)


class NodeClass(msgspec.Struct, frozen=True):
    """What is known of a node class: its entry in object_info, taken apart."""

    name: str
    inputs: Mapping[str, Input]
    hidden: Mapping[str, str]
    output: Sequence[Any]
    output_is_list: tuple[bool, ...]
    output_node: bool
    intermediate: bool
    input_is_list: bool
    v3: bool
    """Written against the newer node interface: hidden inputs stay out of its inputs."""
    lazy: frozenset[str]
    unique_id: bool
    dynamic: bool
    is_async: bool
    core: bool
    """Comes with ComfyUI, so that it is known how it fails."""
    behaviour: Behaviour

    def finalized(self, given: Mapping[str, Any]) -> Mapping[str, Input]:
        """The inputs, with those spelled out that depend on what is given."""
        if not self.dynamic:
            return self.inputs
        found: dict[str, Input] = {}
        with _fit(self.name):
            for each in self.inputs.values():
                found |= _spelled_out(each, given)
        return found


def _spelled_out(each: Input, given: Mapping[str, Any]) -> dict[str, Input]:
    if each.type == _AUTOGROW:
        found = _autogrown(each)
    elif each.chooses:
        found = _chosen(each, given)
    else:
        return {each.name: each}
    return {name: _freed(one) for name, one in found.items()} if each.takes_any else found


def _freed(each: Input) -> Input:
    options = {**each.options, TAKES_ANY: True}
    return msgspec.structs.replace(each, options=options, required=False)


def _autogrown(each: Input) -> dict[str, Input]:
    template = each.options.get("template", {})
    sections = template.get("input", {})
    kinds = [written for section in sections.values() for written in section.values()]
    if not kinds:
        return {}
    names = template.get("names") or [
        f"{template.get('prefix', '')}{n}"
        for n in range(min(int(template.get("max", 10)), AUTOGROW_INPUTS_MAX))
    ]
    least = int(template.get("min", 1)) if each.required else 0
    grown = (
        _input(f"{each.name}.{name}", kinds[0], required=number < least)
        for number, name in enumerate(names)
    )
    return {one.name: one for one in grown}


def _chosen(each: Input, given: Mapping[str, Any]) -> dict[str, Input]:
    """What belongs to a choice, and the combo behind it; nothing at all when nothing is chosen."""
    picked = given.get(each.name)
    for option in each.options.get("options", ()):
        if option.get("key") == picked:
            found: dict[str, Input] = {}
            for section in ("required", "optional"):
                for name, written in option.get("inputs", {}).get(section, {}).items():
                    one = _input(f"{each.name}.{name}", written, required=section == "required")
                    found |= _spelled_out(one, given)
            return {**found, each.name: each}
    return {}


def _input(name: str, written: Any, *, required: bool) -> Input:
    parts = tuple(written) if isinstance(written, (list, tuple)) and written else (written,)
    options = parts[1] if len(parts) > 1 and isinstance(parts[1], Mapping) else {}
    required = required and not options.get(TAKES_ANY)
    return Input(name=name, type=parts[0], options=options, required=required, written=parts)


def _node_class(name: str, info: Mapping[str, Any]) -> NodeClass:
    sections = info.get("input") or {}
    inputs = {
        key: _input(key, written, required=section == "required")
        for section in ("required", "optional")
        for key, written in (sections.get(section) or {}).items()
    }
    hidden = {
        key: str(value[0] if isinstance(value, (list, tuple)) and value else value)
        for key, value in (sections.get("hidden") or {}).items()
    }
    v3 = "api_node" in info and "output_matchtypes" in info
    output = info.get("output") or ()
    listed = tuple(bool(one) for one in info.get("output_is_list") or ())[: len(output)]
    output_node = info.get("output_node") is True
    core = not str(info.get("python_module", "nodes")).startswith("custom_nodes.")
    behaviour = behaviour_of(
        name,
        inputs={key: one.type for key, one in inputs.items()},
        output=output,
        output_node=output_node,
        core=core,
    )
    return NodeClass(
        name=name,
        inputs=inputs,
        hidden=hidden,
        output=list(output) if v3 else tuple(output),
        output_is_list=listed + (False,) * (len(output) - len(listed)),
        output_node=output_node,
        intermediate=info.get("has_intermediate_output") is True,
        input_is_list=info.get("is_input_list", behaviour.takes_lists) is True,
        v3=v3,
        lazy=frozenset(key for key, one in inputs.items() if one.options.get("lazy")),
        # The server looks for the bare word, which the newer interface writes differently.
        unique_id=not v3 and "UNIQUE_ID" in hidden.values(),
        dynamic=any(one.type in (_AUTOGROW, _DYNAMIC_COMBO) for one in inputs.values()),
        is_async=info.get("api_node") is True,
        core=core and WIDENED not in info,
        behaviour=behaviour,
    )


@contextlib.contextmanager
def _fit(name: str) -> Iterator[None]:
    """Say which entry it is that does not have the shape of a node class."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
        raise UsageError(
            f"object_info: the entry {name!r} is not a node class: its 'input', its 'output' or a "
            "template in them has another shape than in what GET /object_info answers"
        ) from None


class Catalogue:
    """Node classes by name, their object_info, and the model files that loaders offer.

    An entry is looked at when its class is first asked for; what is not a node class is a
    ``UsageError`` then. ``checked`` looks at all of them.

    Args:
        info: class -> its entry in object_info.
        models: folder -> its files; ComfyUI's own folders are there without files.
        filled: the folders whose files stand in the lists of loaders, whatever ``info`` has there.
        loaders: class -> its inputs whose lists are the files of a folder.
        learned: more classes, as workflows use them; they win over those of ``info``.
    """

    def __init__(
        self,
        info: Mapping[str, Mapping[str, Any]],
        models: Mapping[str, Sequence[str]],
        *,
        filled: Collection[str] = (),
        loaders: Mapping[str, Mapping[str, str]] = LOADERS,
        learned: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._info = info
        self.learned: Mapping[str, Mapping[str, Any]] = learned or {}
        self._filled = frozenset(filled)
        self._loaders = loaders
        self._entries: dict[str, Mapping[str, Any]] = {}
        self._classes: dict[str, NodeClass] = {}
        self.models: Mapping[str, tuple[str, ...]] = {
            **dict.fromkeys(MODEL_FOLDERS, ()),
            **{folder: tuple(files) for folder, files in models.items()},
        }

    @classmethod
    def core(cls, era: Era | None = None) -> Catalogue:
        """The classes that come with a version of ComfyUI; with the default one for None."""
        return _core(generation_of(era or era_of(), core_nodes.VERSIONS))

    @classmethod
    def from_object_info(cls, info: Any) -> Catalogue:
        """A server's own answer to GET /object_info, parsed.

        Raises:
            UsageError: it is not an object of node classes.
        """
        if not isinstance(info, Mapping) or not info:
            raise UsageError(
                "object_info must be a JSON object of node classes, as GET /object_info answers it"
            )
        for name, entry in info.items():
            known = isinstance(entry, Mapping) and ("input" in entry or "output" in entry)
            if not known or not isinstance(entry.get("input", {}), Mapping):
                raise UsageError(
                    f"object_info: the entry {name!r} is not a node class; it needs at least "
                    "'input' and 'output', as GET /object_info answers it"
                )
        return cls.of_entries(info)

    @classmethod
    def of_entries(cls, info: Mapping[str, Mapping[str, Any]]) -> Catalogue:
        """The same of entries that were looked at, or are looked at when they are asked for."""
        return cls(info, _models_in(info))

    def checked(self) -> Catalogue:
        """This catalogue, if every entry is a node class.

        Raises:
            UsageError: one is not.
        """
        self.all_info()
        for name in self:
            node_class = self.get(name)
            assert node_class is not None, "its name comes from the catalogue"
            node_class.finalized({})
            for one in node_class.inputs.values():
                choices = one.options.get("options", ()) if one.type == _DYNAMIC_COMBO else ()
                for each in choices:
                    node_class.finalized({one.name: each.get("key")})
        return self

    def with_models(self, models: Mapping[str, Sequence[str]]) -> Catalogue:
        """Another catalogue whose loaders offer these files, by folder; other folders stay.

        Raises:
            UsageError: ComfyUI has no such folder.
        """
        custom = [folder for folder in self.models if folder not in MODEL_FOLDERS]
        return self._with_folders(checked_folders(models, custom))

    def with_learned(
        self,
        info: Mapping[str, Mapping[str, Any]],
        models: Mapping[str, Collection[str]],
        loaders: Mapping[str, Mapping[str, str]],
    ) -> Catalogue:
        """Another catalogue that also has these classes, model files and loaders."""
        more = {folder: [*self.models.get(folder, ()), *files] for folder, files in models.items()}
        together = Catalogue(
            self._info,
            self.models,
            filled=self._filled,
            loaders={**self._loaders, **loaders},
            learned={**self.learned, **info},
        )
        return together._with_folders({key: dict.fromkeys(files) for key, files in more.items()})

    def _with_folders(self, models: Mapping[str, Iterable[str]]) -> Catalogue:
        together = {**self.models, **{key: tuple(files) for key, files in models.items()}}
        filled = self._filled | models.keys()
        return Catalogue(
            self._info, together, filled=filled, loaders=self._loaders, learned=self.learned
        )

    def get(self, name: Any) -> NodeClass | None:
        """The class of that name. ``TypeError`` for what cannot be a name, as a dict has it."""
        found = self._classes.get(name)
        if found is None and name in self:
            with _fit(name):
                found = self._classes[name] = _node_class(name, self.entry(name))
        return found

    def entry(self, name: str) -> Mapping[str, Any]:
        """The entry of a class, with the lists that model folders fill; ``KeyError`` for none."""
        found = self._entries.get(name)
        if found is None:
            found = self.learned[name] if name in self.learned else self._info[name]
            for key, folder in self._loaders.get(name, {}).items():
                if folder in self._filled:
                    offered = ALWAYS_OFFERED.get((name, key), ())
                    found = _with_choices(found, key, [*self.models[folder], *offered])
            self._entries[name] = found
        return found

    def folder_of(self, name: str, key: str) -> str | None:
        """The model folder that fills an input's list."""
        return self._loaders.get(name, {}).get(key)

    def unknown_in(self, prompt: Any, *, besides: Container[str] = ()) -> list[str]:
        """The classes of a prompt that are not here, each once; whatever the prompt is.

        Args:
            besides: classes that count as unknown although they are here.
        """
        nodes = prompt.values() if isinstance(prompt, Mapping) else ()
        names = (node.get("class_type") for node in nodes if isinstance(node, Mapping))
        texts = dict.fromkeys(name for name in names if isinstance(name, str))
        return [name for name in texts if name not in self or name in besides]

    def __contains__(self, name: object) -> bool:
        return name in self._info or name in self.learned

    def __iter__(self) -> Iterator[str]:
        return chain(self._info, (one for one in self.learned if one not in self._info))

    def __len__(self) -> int:
        return len(self._info) + sum(one not in self._info for one in self.learned)

    def info(self, name: str, input_files: Iterable[str] = ()) -> dict[str, Any] | None:
        """One class as GET /object_info/{class} has it; uploads stand in the lists they feed."""
        return _with_uploads(name, self.entry(name), input_files) if name in self else None

    def all_info(self, input_files: Iterable[str] = ()) -> dict[str, Any]:
        """Every class, as GET /object_info has it."""
        files = tuple(input_files)
        return {name: _with_uploads(name, self.entry(name), files) for name in self}


@cache
def _core(version: str) -> Catalogue:
    return Catalogue(core_nodes.core_classes(version), CORE_MODELS, filled=CORE_MODELS)


def _models_in(info: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    rows = ((name, key, folder) for name, one in LOADERS.items() for key, folder in one.items())
    for name, key, folder in rows:
        with _fit(name):
            written = info.get(name, {}).get("input", {}).get("required", {}).get(key)
            choices = None if written is None else _input(key, written, required=True).choices
            if choices and folder not in found:
                offered = ALWAYS_OFFERED.get((name, key), ())
                found[folder] = tuple(str(one) for one in choices if one not in offered)
    return found


def _with_choices(entry: Mapping[str, Any], key: str, choices: list[str]) -> Mapping[str, Any]:
    sections = {section: dict(found) for section, found in entry["input"].items()}
    for found in sections.values():
        written = found.get(key)
        if written is not None and written[0] == "COMBO":
            found[key] = ["COMBO", {**written[1], "options": choices}]
        elif written is not None:
            found[key] = [choices, *written[1:]]
    return {**entry, "input": sections}


_UPLOADS: Final = ("image_upload", "audio_upload", "video_upload", "file_upload")


def _with_uploads(name: str, entry: Mapping[str, Any], files: Iterable[str]) -> dict[str, Any]:
    changed = dict(entry)
    with _fit(name):
        sections = entry.get("input") or {}
        for section in ("required", "optional"):
            for key, written in (sections.get(section) or {}).items():
                one = _input(key, written, required=True)
                if one.choices is not None and any(one.options.get(flag) for flag in _UPLOADS):
                    choices = sorted({*map(str, one.choices), *files})
                    changed = dict(_with_choices(changed, key, choices))
    return changed
