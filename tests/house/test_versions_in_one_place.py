"""No code outside ``comfyrec/versions/`` compares versions of ComfyUI."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.paths import ROOT

VERSIONS = ROOT / "comfyrec" / "versions"
MODULES = sorted(
    path
    for package in ("comfyrec", "fake_server")
    for path in (ROOT / package).rglob("*.py")
    if VERSIONS not in path.parents
)


_MAY_HOLD_A_RELEASE = re.compile(r"release|comfyui_version|\(\s*\d+,\s*\d+,")


def _is_release(node: ast.expr) -> bool:
    """A tuple of three numbers, or an attribute that holds one."""
    if isinstance(node, ast.Tuple):
        return len(node.elts) == 3 and all(
            isinstance(one, ast.Constant) and isinstance(one.value, int) for one in node.elts
        )
    return isinstance(node, ast.Attribute) and node.attr in ("release", "comfyui_version")


def compared_in(source: str) -> list[int]:
    """The lines in which releases are compared by size."""
    if not _MAY_HOLD_A_RELEASE.search(source):
        return []  # most modules; to parse them all takes seconds
    ordered = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(isinstance(one, ordered) for one in node.ops)
        and any(map(_is_release, [node.left, *node.comparators]))
    ]


def test_no_other_module_compares_versions() -> None:
    comparing = {
        str(path.relative_to(ROOT)): lines
        for path in MODULES
        if (lines := compared_in(path.read_text()))
    }

    assert comparing == {}


@pytest.mark.parametrize(
    "source", ["a >= (0, 27, 0)", "era.release < x", "(0, 1, 0) <= b <= c", "x > s.release"]
)
def test_a_comparison_of_versions_is_found(source: str) -> None:
    assert compared_in(source) == [1]
