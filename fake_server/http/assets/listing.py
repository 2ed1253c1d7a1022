"""GET /api/assets and the lists of tags: filters, orders, pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from fake_server.http.assets.answers import Refused, described, invalid, unread
from fake_server.http.context import Context, user_of
from fake_server.http.responses import json_response
from fake_server.source import Request, Response
from fake_server.storage.assets import Asset

__all__ = ["list_assets", "list_tags", "refine_tags"]

_SORTS: Final = ("name", "created_at", "updated_at", "size", "last_access_time")
_ORDERS: Final = ("asc", "desc")
_TAG_ORDERS: Final = ("count_desc", "name_asc")
_TAGS_MAX: Final = 100


class _Cursor(msgspec.Struct, frozen=True):
    """Where a page ends, in the letters of the wire: sort, value, id, order."""

    s: str
    v: str
    id: str
    o: str


def list_assets(context: Context, request: Request) -> Response:
    """One page of the assets that fit the filters."""
    limit = _number(request, "limit", 20, least=1, most=500)
    offset = _number(request, "offset", 0, least=0, most=None)
    sort = _choice(request, "sort", "created_at", _SORTS)
    order = _choice(request, "order", "desc", _ORDERS)
    fitting = _filtered(context, request)
    user_of(context, request)
    key = _key(context, sort)
    fitting.sort(key=lambda one: (key(one), one.id), reverse=order == "desc")
    after = request.first("after")
    rest = fitting[offset:] if not after else _behind(context, fitting, after, sort, order)
    page = rest[:limit]
    answer: dict[str, Any] = {
        "assets": [described(context, one, "listed") for one in page],
        "total": len(fitting),
        "has_more": len(rest) > limit,
    }
    if answer["has_more"] and context.era.has("asset_cursors") and sort != "last_access_time":
        last = page[-1]
        value = str(key(last) + context.epoch_us) if sort.endswith("_at") else str(key(last))
        answer["next_cursor"] = _written(_Cursor(sort, value, last.id, order))
    return json_response(answer)


def refine_tags(context: Context, request: Request) -> Response:
    """How often each tag is among the assets that fit the filters."""
    limit = _number(request, "limit", 100, least=1, most=1000)
    counts: Counter[str] = Counter()
    fitting = _filtered(context, request)
    user_of(context, request)
    for asset in fitting:
        counts.update(asset.tags)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return json_response({"tag_counts": dict(ranked[:limit])})


def list_tags(context: Context, request: Request) -> Response:
    """The tags that were ever used, with how often they are in use."""
    limit = _number(request, "limit", 100, least=1, most=1000)
    offset = _number(request, "offset", 0, least=0, most=10_000_000)
    order = _choice(request, "order", "count_desc", _TAG_ORDERS)
    prefix = (request.first("prefix") or "").strip()
    user_of(context, request)
    zero = (request.first("include_zero") or "true").lower() not in ("false", "0", "no", "off")
    counts = [
        (name, count)
        for name, count in context.assets.tag_counts().items()
        if name.startswith(prefix) and (count or zero)
    ]
    counts.sort(key=lambda pair: pair[0] if order == "name_asc" else (-pair[1], pair[0]))
    page = counts[offset : offset + limit]
    more = {"type": "user"} if context.era.has("asset_tag_types") else {}
    return json_response(
        {
            "tags": [{"name": name, "count": count, **more} for name, count in page],
            "total": len(counts),
            "has_more": offset + limit < len(counts),
        }
    )


# --- filters ---------------------------------------------------------------------------------


def _filtered(context: Context, request: Request) -> list[Asset]:
    """The assets that the query's filters let through.

    Raises:
        Refused: a filter that does not fit, or that nothing can fit.
    """
    wanted = _tags(request, "tags_all", "include_tags")
    any_of = _tags(request, "tags_any")
    unwanted = _tags(request, "tags_none", "exclude_tags")
    if both := sorted(set(wanted) & set(unwanted)):
        raise Refused(
            400,
            "INVALID_TAG_FILTER",
            f"Query can never match: {', '.join(map(repr, both))} required by 'tags_all' but "
            f"rejected by 'tags_none'.",
            {"conflicting_tags": both, "parameters": ["tags_all", "tags_none"]},
        )
    metadata = _metadata_filter(context, request)
    part = (request.first("name_contains") or "").lower()
    return [
        one
        for one in context.assets
        if one.tags.issuperset(wanted)
        and (not any_of or not one.tags.isdisjoint(any_of))
        and one.tags.isdisjoint(unwanted)
        and part in one.name.lower()
        and all(_has(one, name, value) for name, value in metadata.items())
    ]


def _has(asset: Asset, name: str, value: Any) -> bool:
    """Whether the asset's own metadata say so; a list gives values to choose from."""
    said = asset.user_metadata.get(name)
    return bool(said in value if isinstance(value, list) else said == value)


def _tags(request: Request, name: str, older: str = "") -> list[str]:
    written = [*request.query.get(name, ()), *request.query.get(older, ())]
    tags = [tag.strip() for text in written for tag in text.split(",") if tag.strip()]
    if len(tags) > _TAGS_MAX:
        raise Refused(
            400,
            "INVALID_TAG_FILTER",
            f"'{name}' lists {len(tags)} tags; the maximum is {_TAGS_MAX}.",
            {"parameter": name},
        )
    return list(dict.fromkeys(tags))


def _metadata_filter(context: Context, request: Request) -> dict[str, Any]:
    text = request.first("metadata_filter")
    if not text or not text.strip():
        return {}
    if context.era.has("assets_reworked"):
        raise Refused(400, "UNSUPPORTED_PARAM", "metadata_filter is no longer supported")
    try:
        read = json.loads(text)
        why = "" if isinstance(read, dict) else "metadata_filter must be a JSON object"
    except (ValueError, RecursionError) as error:
        read, why = {}, f"metadata_filter must be JSON: {error}"
    if why:
        where = ["metadata_filter"]
        wrong = invalid("value_error", where, f"Value error, {why}", text, context={"error": why})
        raise unread("INVALID_QUERY", wrong)
    return dict(read)


# --- values of the query ---------------------------------------------------------------------


def _number(request: Request, name: str, default: int, *, least: int, most: int | None) -> int:
    text = request.first(name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise unread("INVALID_QUERY", invalid("int_parsing", [name], message, text)) from None
    if number < least:
        message, bound = f"Input should be greater than or equal to {least}", {"ge": least}
        error = invalid("greater_than_equal", [name], message, text, context=bound)
        raise unread("INVALID_QUERY", error)
    if most is not None and number > most:
        message, bound = f"Input should be less than or equal to {most}", {"le": most}
        error = invalid("less_than_equal", [name], message, text, context=bound)
        raise unread("INVALID_QUERY", error)
    return number


def _choice(request: Request, name: str, default: str, choices: tuple[str, ...]) -> str:
    text = request.first(name)
    if text is None or text in choices:
        return default if text is None else text
    quoted = [f"'{one}'" for one in choices]
    expected = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    message = f"Input should be {expected}"
    error = invalid("literal_error", [name], message, text, context={"expected": expected})
    raise unread("INVALID_QUERY", error)


# --- pages -----------------------------------------------------------------------------------


def _key(context: Context, sort: str) -> Callable[[Asset], Any]:
    if sort == "size":
        for asset in context.assets:
            context.assets.content(asset)
    keys: dict[str, Callable[[Asset], Any]] = {
        "name": lambda one: one.name,
        "created_at": lambda one: one.created_us,
        "updated_at": lambda one: one.updated_us,
        "size": lambda one: one.size,
        "last_access_time": lambda one: one.accessed_us,
    }
    return keys[sort]


def _written(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def _behind(
    context: Context, ordered: Iterable[Asset], written: str, sort: str, order: str
) -> list[Asset]:
    """What stands behind a cursor, whether or not its asset is still there."""
    try:
        data = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))
        cursor = msgspec.json.decode(data, type=_Cursor)
        place: Any = cursor.v if sort == "name" else int(cursor.v)
    except (ValueError, binascii.Error) as error:
        raise Refused(400, "INVALID_CURSOR", f"payload: {error}") from None
    if sort == "last_access_time" or (cursor.s, cursor.o) != (sort, order):
        raise Refused(400, "INVALID_CURSOR", "the cursor belongs to another order")
    if sort.endswith("_at"):
        place -= context.epoch_us
    key, mark = _key(context, sort), (place, cursor.id)
    if order == "asc":
        return [one for one in ordered if (key(one), one.id) > mark]
    return [one for one in ordered if (key(one), one.id) < mark]
