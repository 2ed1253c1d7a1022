"""A node class and the values of one node -> the inputs that its widgets give.

The page makes a widget for each input whose type has one, in the order of the class, and stores
the values of a node by position. Some widgets bring others along: a seed its
``control_after_generate``, a dynamic combo the inputs of the chosen option. Facts here were read
off the page itself: the widgets of every class of a 0.33.0 server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.workflows.graph import Node

__all__ = ["CONTROL", "ClassWidgets", "Widget", "has_widget", "input_specs", "is_seed"]

CONTROL: Final = "control_after_generate"
CONTROL_MODES: Final = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
_SEEDS: Final = ("seed", "noise_seed")

# Types of inputs that the page draws a widget for.
_WIDGET_TYPES: Final = frozenset({
    "INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "MARKDOWN", "COLOR", "IMAGECOMPARE",
    "BOUNDING_BOX", "BOUNDING_BOXES", "CHART", "GALLERIA", "PAINTER", "COMPOSITOR", "TEXTAREA",
    "CURVE", "RANGE", "VIDEO_EDIT", "RESOLUTION_PREVIEW", "LIGHT_INFO_PREVIEW", "COLORS",
    "LOAD_3D", "LOAD_3D_ADVANCED", "WEBCAM", "AUDIO_RECORD", "AUDIO_UI", "IMAGEUPLOAD",
    "AUDIOUPLOAD", "COMFY_DYNAMICCOMBO_V3", "COMFY_DYNAMICGROUP_V3",
})  # fmt: skip
_DYNAMIC_COMBO: Final = "COMFY_DYNAMICCOMBO_V3"
_AUTOGROW: Final = "COMFY_AUTOGROW_V3"
# Widgets that exist on the page only: not stored with the node, not sent.
_NOT_STORED: Final = frozenset({"AUDIO_UI", "IMAGECOMPARE"})
# Buttons that take a place among the stored values of a class, after the named widget.
_BUTTONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "Load3D": ("model_file", ("upload 3d model", "upload extra resources", "clear")),
    "LoadImageOutput": ("image", ("Auto-refresh after generation", "refresh")),
}
# A view of the result that the page adds to a class, sent along without a picture in it.
_VIEWERS: Final = ("SaveGLB", "Preview3D")
_UPLOADS: Final = ("image_upload", "video_upload", "animated_image_upload", "audio_upload")


class Widget(msgspec.Struct, frozen=True):
    """One widget of a node."""

    name: str
    type: str
    default: Any = None
    stored: bool = True
    """It has a place in ``widgets_values``."""
    sent: bool = True
    """Its value is an input of the prompt."""
    options: Sequence[Any] = ()
    """The options of a dynamic combo."""


def input_specs(node_class: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Name and spec of every input of a class, in the order of the page.

    Args:
        node_class: its entry in ``/object_info``.
    """
    sections = node_class.get("input")
    order = node_class.get("input_order")
    for section in ("required", "optional"):
        specs = sections.get(section) if isinstance(sections, Mapping) else None
        if not isinstance(specs, Mapping):
            continue
        listed = order.get(section) if isinstance(order, Mapping) else None
        names = [name for name in listed or () if name in specs]
        for name in [*names, *(name for name in specs if name not in names)]:
            if isinstance(specs[name], list | tuple) and specs[name]:
                yield name, specs[name]


def has_widget(spec: Sequence[Any]) -> bool:
    """Whether the page draws a widget for an input of this spec."""
    options = _options(spec)
    kind = options.get("widgetType") or spec[0]
    if options.get("forceInput"):
        return False
    return isinstance(kind, list) or kind in _WIDGET_TYPES


def is_seed(name: str, spec: Sequence[Any]) -> bool:
    """Whether a widget that says what happens to the value after each run follows this one."""
    kind = _options(spec).get("widgetType") or spec[0]
    control = _options(spec).get(CONTROL, name in _SEEDS if kind == "INT" else False)
    return bool(control) and (kind in ("INT", "COMBO") or isinstance(kind, list))


class _Form(msgspec.Struct, frozen=True):
    """What a class says of the widgets of its nodes."""

    specs: Mapping[str, Sequence[Any]]
    """Input -> its spec, in the order of the page."""
    groups: Sequence[tuple[str, Sequence[Any]]]
    """The inputs that grow with their links; how many widgets there are is up to the node."""
    widgets: Sequence[Widget]
    """Those that every node has, after those of the groups."""
    forced: Sequence[bool]
    """Of each value that an older page stored: whether it is that of a socket now."""


class ClassWidgets:
    """The widgets of classes; each class is looked at once, however many nodes it has.

    Args:
        classes: what ``/object_info`` of the server says.
    """

    def __init__(self, classes: Mapping[str, Any]) -> None:
        self._classes = classes
        self._forms: dict[str, _Form | None] = {}

    def spec(self, name: str, input_name: str) -> Sequence[Any]:
        """The spec of one input; nothing for a class or an input that nobody knows."""
        form = self._form(name)
        return () if form is None else form.specs.get(input_name, ())

    def values(self, node: Node) -> dict[str, Any]:
        """The inputs that a node's widgets give, by name, before any link takes their place."""
        form = self._form(node.type)
        if form is None:
            return _values_of_unknown(node)
        widgets = form.widgets
        if form.groups:
            linked = [slot.name for slot in node.inputs if slot.link is not None]
            grown = (one for name, spec in form.groups for one in _of_group(name, spec, linked))
            widgets = [*grown, *widgets]
        return _Values(node, widgets, form.forced).by_name()

    def _form(self, name: str) -> _Form | None:
        if name not in self._forms:
            node_class = self._classes.get(name)
            self._forms[name] = None if node_class is None else _form_of(name, node_class)
        return self._forms[name]


def _form_of(name: str, node_class: Any) -> _Form:
    specs = dict(input_specs(node_class)) if isinstance(node_class, Mapping) else {}
    return _Form(
        specs=specs,
        # Sockets are made first; a growing group of widgets is made together with them.
        groups=[(key, spec) for key, spec in specs.items() if spec[0] == _AUTOGROW],
        widgets=list(_widgets(name, specs)),
        forced=_forced(specs.values()),
    )


class _Values:
    """The stored values of one node, handed out widget by widget."""

    def __init__(self, node: Node, widgets: Sequence[Widget], forced: Sequence[bool]) -> None:
        self._node = node
        self._widgets = widgets
        stored = node.values
        self._mapping = stored if isinstance(stored, Mapping) else None
        values = [] if isinstance(stored, Mapping) else list(stored)
        self._values = _without_forced(values, forced)
        self._at = 0
        self._named: Mapping[str, Any] = {}

    def by_name(self) -> dict[str, Any]:
        """By position, as the page reads them; by name where the class has changed since."""
        given = self._walk()
        # Values of buttons and players may follow; they are null.
        more = [value for value in self._values[self._at :] if value is not None]
        if self._node.named_values is not None and (more or self._at > len(self._values)):
            self._at, self._named = 0, self._node.named_values
            given = self._walk()
        return given

    def _walk(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        pending = list(self._widgets)
        while pending:
            widget = pending.pop(0)
            value = self._next(widget)
            if widget.sent:
                given[widget.name] = value
            if widget.type == _DYNAMIC_COMBO:
                pending[:0] = _of_option(widget, value)
        if self._node.type == "CustomCombo":
            given |= self._custom_combo(given)
        return given

    def _next(self, widget: Widget) -> Any:
        if not widget.stored:
            return widget.default
        at, self._at = self._at, self._at + 1
        if widget.name in self._named:
            return self._named[widget.name]
        if self._mapping is not None:
            return self._mapping.get(widget.name, widget.default)
        return self._values[at] if at < len(self._values) else widget.default

    def _custom_combo(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options that a person has typed, and the place of the chosen one."""
        rest = [value for value in self._values[self._at :] if isinstance(value, str)]
        options = rest if rest and rest[-1] == "" else [*rest, ""]
        place = options.index(given["choice"]) if given.get("choice") in options else -1
        return {
            "index": place,
            **{f"option{number}": text for number, text in enumerate(options, 1)},
        }


def _widgets(name: str, specs: Mapping[str, Sequence[Any]]) -> Iterator[Widget]:
    after, buttons = _BUTTONS.get(name, ("", ()))
    upload = False
    for input_name, spec in specs.items():
        if has_widget(spec):
            yield from _made(input_name, spec)
            upload = upload or any(_options(spec).get(flag) for flag in _UPLOADS)
        if input_name == after:
            for button in buttons:
                yield Widget(button, "BUTTON", sent=button in ("refresh", *_LOAD_3D_BUTTONS))
    if upload:
        yield Widget("upload", "BUTTON", sent=False)
    if name in _VIEWERS:
        yield Widget("image", "LOAD_3D", "")
    if name == "CustomCombo":
        yield Widget("index", "HIDDEN", sent=False)


_LOAD_3D_BUTTONS: Final = _BUTTONS["Load3D"][1]


def _made(name: str, spec: Sequence[Any]) -> Iterator[Widget]:
    """The widget of one input, and the one that controls it."""
    options = _options(spec)
    kind = options.get("widgetType") or spec[0]
    choices: Any = options.get("options") or ()
    if isinstance(kind, list):
        choices, kind = kind, "COMBO"
    default = options.get("default", _default(kind, choices))
    if kind == _DYNAMIC_COMBO:
        keys = [one.get("key") for one in choices if isinstance(one, Mapping)]
        default = options.get("default", keys[0] if keys else None)
    yield Widget(
        name, kind, default, stored=kind not in _NOT_STORED, sent=kind not in _NOT_SENT,
        options=choices if kind == _DYNAMIC_COMBO else (),
    )  # fmt: skip
    if is_seed(name, spec):
        yield Widget(CONTROL, "COMBO", "randomize", sent=False)


_NOT_SENT: Final = frozenset({"AUDIO_UI", "AUDIO_RECORD", "IMAGEUPLOAD", "AUDIOUPLOAD"})


def _of_option(widget: Widget, chosen: Any) -> list[Widget]:
    """The widgets that the chosen option of a dynamic combo brings along."""
    found = next(
        (one for one in widget.options if isinstance(one, Mapping) and one.get("key") == chosen),
        None,
    )
    if found is None or not isinstance(found.get("inputs"), Mapping):
        return []
    made: list[Widget] = []
    for name, spec in input_specs({"input": found["inputs"]}):
        if has_widget(spec):
            made += _made(f"{widget.name}.{name}", spec)
    return made


def _of_group(name: str, spec: Sequence[Any], linked: Sequence[str]) -> Iterator[Widget]:
    """The widgets of a group that grows with its links, where its template has any."""
    template = _options(spec).get("template")
    if not isinstance(template, Mapping):
        return
    specs = [
        (inner, one)
        for inner, one in input_specs({"input": template.get("input")})
        if has_widget(one)
    ]
    if not specs:
        return
    names = template.get("names")
    least = template.get("min", 1)
    count = max(1, (least if isinstance(least, int) else 1) + 1)
    if isinstance(names, list):
        count = min(count, len(names))
    grown = [one for one in linked if one.startswith(f"{name}.")]
    for number in range(max(count, len(grown) + 1)):
        for inner, one in specs:
            if isinstance(names, list):
                if number >= len(names):
                    return
                base = names[number]
            else:
                base = f"{template.get('prefix', '') if len(specs) == 1 else inner}{number}"
            yield from _made(f"{name}.{base}", one)


def _forced(specs: Iterable[Sequence[Any]]) -> list[bool]:
    """Of each value that is stored: whether its input was a widget once and is a socket now."""
    forced: list[bool] = []
    for spec in specs:
        options = _options(spec)
        is_forced = bool(options.get("forceInput"))
        if has_widget(spec) or is_forced:
            forced.append(is_forced)
            if options.get(CONTROL):
                forced.append(False)
    return forced if True in forced else []


def _without_forced(values: list[Any], forced: Sequence[bool]) -> list[Any]:
    """Stored values less those of inputs that were widgets once and are sockets now."""
    if forced and len(values) == len(forced):
        return [value for value, dropped in zip(values, forced, strict=True) if not dropped]
    return values


def _values_of_unknown(node: Node) -> dict[str, Any]:
    """What a node of an unknown class says of its own widgets: names, and values in order."""
    if node.named_values is not None:
        return {name: value for name, value in node.named_values.items() if name != CONTROL}
    if isinstance(node.values, Mapping):
        return {
            name: value
            for name, value in node.values.items()
            if name not in (CONTROL, "videopreview")
        }
    names = [slot.widget for slot in node.inputs if slot.widget is not None]
    given: dict[str, Any] = {}
    values = list(node.values)
    for name in names:
        if not values:
            break
        given[name] = values.pop(0)
        controls = values and isinstance(values[0], str) and values[0] in CONTROL_MODES
        if controls and isinstance(given[name], int):
            values.pop(0)
    return given


def _default(kind: str, choices: Any) -> Any:
    match kind:
        case "INT" | "FLOAT":
            return 0
        case "BOOLEAN":
            return False
        case "STRING" | "MARKDOWN" | "TEXTAREA" | "LOAD_3D":
            return ""
        case "COMBO":
            return choices[0] if isinstance(choices, list) and choices else None
        case "IMAGECOMPARE":
            return ["", ""]  # the pictures on either side
    return None


def _options(spec: Sequence[Any]) -> Mapping[str, Any]:
    return spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
