"""Score a ComfyUI-compatible server against transcripts recorded from real ones.

python -m tests.parity run    BASE_URL [--golden VERSION] [--only GLOB] [--json FILE]
python -m tests.parity diff   CASE     what the last run saw, against the golden
python -m tests.parity show   CASE     the golden transcript, readable
python -m tests.parity list            every case with its title
python -m tests.parity record BASE_URL --golden VERSION [--times N] [--add]
python -m tests.parity catalogue BASE_URL --out FILE    the /object_info that the cases need
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import re
import sys
import time
from pathlib import Path

import aiohttp

from comfyrec.versions import DEFAULT_VERSION
from tests.parity.files import CASES, golden_path, last_path, load_cases, write_json
from tests.parity.normalize import blank_catalogue
from tests.parity.points import compare, same, score
from tests.parity.render import render
from tests.parity.target import Target, connected

RUN_LIMIT = 900.0
"""Seconds that a whole run may take."""


async def with_target(base: str, work) -> int:
    async with connected() as s:
        target = Target(s, base)
        try:
            await target.look()
        except aiohttp.ClientError as error:
            print(f"parity: no server at {base}: {error}")
            return 2
        return await work(target)


def wanted(cases: list[dict], without: list[str]) -> list[dict]:
    return [case for case in cases if not set(case.get("needs", [])) & set(without)]


async def run(args: argparse.Namespace) -> int:
    cases = wanted(load_cases(args.cases, args.only), args.without)

    async def work(target: Target) -> int:
        started, rows = time.monotonic(), []
        for case in cases:
            path = golden_path(args.cases, args.golden, case["name"])
            if not path.exists():
                print(f"?      {case['name']}: no golden {args.golden}")
                continue
            golden = json.loads(path.read_text())
            if time.monotonic() - started > args.limit:
                actual = {"problem": "set-up: the run is over its time limit", "http": [], "ws": {}}
            else:
                actual = await target.play(case)
            write_json(last_path(case["name"]), actual)
            good, total, wrong = score(golden["transcript"], actual, set(golden["tolerant"]))
            rows.append(
                {
                    "case": case["name"],
                    "ok": good == total,
                    "points": good,
                    "of": total,
                    "tolerated": len(golden["tolerant"]),
                    "problem": actual["problem"],
                    "wrong": wrong,
                }
            )
            first = actual["problem"] or (wrong[0]["point"] if wrong else "")
            word = "ok    " if good == total else "DIFF  "
            print(f"{word} {case['name']:<46} {good:>4}/{total:<4} {first[:90]}", flush=True)
        right, good, total = (
            sum(r["ok"] for r in rows),
            sum(r["points"] for r in rows),
            sum(r["of"] for r in rows),
        )
        share = 100 * good / total if total else 0.0
        print(f"parity: {right} of {len(rows)} cases, {good} of {total} points ({share:.1f} %)")
        if args.json:
            write_json(
                Path(args.json),
                {
                    "target": target.base,
                    "golden": args.golden,
                    "cases_ok": right,
                    "cases": len(rows),
                    "points": good,
                    "of": total,
                    "rows": rows,
                },
            )
        return 0 if rows and right == len(rows) else 1

    return await with_target(args.base, work)


async def record(args: argparse.Namespace) -> int:
    cases = wanted(load_cases(args.cases, args.only), args.without)

    async def work(target: Target) -> int:
        tolerated = failed = 0
        for case in cases:
            path = golden_path(args.cases, args.golden, case["name"])
            takes = [await target.play(case) for _ in range(args.times)]
            old = json.loads(path.read_text()) if args.add and path.exists() else None
            golden = old["transcript"] if old else takes[0]
            tolerant = set(old["tolerant"]) if old else set()
            for take in takes:
                tolerant |= {
                    name for name, want, got in compare(golden, take) if not same(want, got)
                }
            problems = {take["problem"] for take in takes if take["problem"]}
            names = [name for name, _, _ in compare(golden, golden)]
            write_json(
                path,
                {
                    "case": case["name"],
                    "recordings": (old["recordings"] if old else 0) + len(takes),
                    "points": len(set(names) - tolerant),
                    "tolerant": sorted(tolerant),
                    "transcript": golden,
                },
            )
            tolerated += len(tolerant)
            failed += bool(problems)
            print(
                f"{'!!    ' if problems else 'golden'} {case['name']:<46} {len(names):>4} points, "
                f"{len(tolerant)} tolerant {'; '.join(sorted(problems))}",
                flush=True,
            )
        print(f"recorded {len(cases)} cases, {tolerated} tolerant points, {failed} with a problem")
        return 1 if failed else 0

    return await with_target(args.base, work)


def classes_used(cases: list[dict]) -> set[str]:
    """Every node class that appears in the workflows, the requests or the paths of the cases."""
    text = json.dumps(cases)
    used = set(re.findall(r'"class_type": "(\w+)"', text)) | set(
        re.findall(r"/object_info/(\w+)", text)
    )
    for chosen in re.findall(r'"get": "/object_info", "only": "\^\(([\w|]+)\)', text):
        used |= set(chosen.split("|"))
    return used


async def catalogue(args: argparse.Namespace) -> int:
    used = classes_used(
        load_cases(args.cases, None) + [c for more in args.also for c in load_cases(more, None)]
    )

    async def work(target: Target) -> int:
        async with target.session.get(target.base + "/object_info") as answer:
            info = blank_catalogue(await answer.json())
        kept = {name: info[name] for name in sorted(used) if name in info}
        for node in kept.values():
            for spec in (spec for group in node["input"].values() for spec in group.values()):
                if len(spec) > 1 and isinstance(spec[1], dict) and spec[1].get("image_upload"):
                    spec[0] = []  # the files that happened to be in the input folder
        write_json(Path(args.out), kept)
        missing = ", ".join(sorted(used - set(kept))) or "none"
        print(f"{len(kept)} classes; not on this server: {missing}")
        return 0

    return await with_target(args.base, work)


def diff(args: argparse.Namespace) -> int:
    path = golden_path(args.cases, args.golden, args.case)
    if not path.exists() or not last_path(args.case).exists():
        print(f"parity: needs {path} and {last_path(args.case)} (from `run`)")
        return 2
    golden, last = json.loads(path.read_text()), json.loads(last_path(args.case).read_text())
    lines = list(
        difflib.unified_diff(
            render(golden["transcript"]),
            render(last),
            "golden",
            "last run",
            lineterm="",
            n=args.context,
        )
    )
    print("\n".join(lines) if lines else "no difference")
    if golden["tolerant"]:
        print("not scored, differs between recordings:", *golden["tolerant"], sep="\n  ")
    return 1 if lines else 0


def show(args: argparse.Namespace) -> int:
    path = golden_path(args.cases, args.golden, args.case)
    print("\n".join(render(json.loads(path.read_text())["transcript"])))
    return 0


def list_cases(args: argparse.Namespace) -> int:
    for case in load_cases(args.cases, args.only):
        print(f"{case['name']:<46} {case.get('title', '')}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "record", "catalogue", "diff", "show", "list"):
        sub = commands.add_parser(name)
        if name in ("run", "record", "catalogue"):
            sub.add_argument("base", metavar="BASE_URL")
            sub.add_argument(
                "--without",
                action="append",
                default=[],
                metavar="NEED",
                help="leave out cases that need this (e.g. checkpoint)",
            )
        if name in ("diff", "show"):
            sub.add_argument("case")
        sub.add_argument("--cases", type=Path, default=CASES)
        sub.add_argument("--golden", default=DEFAULT_VERSION)
        sub.add_argument("--only", metavar="GLOB")
        if name == "run":
            sub.add_argument("--json", metavar="FILE")
            sub.add_argument(
                "--limit", type=float, default=RUN_LIMIT, help="seconds for the whole run"
            )
        if name == "record":
            sub.add_argument("--times", type=int, default=3)
            sub.add_argument(
                "--add",
                action="store_true",
                help="keep the golden, only mark points that differ now",
            )
        if name == "catalogue":
            sub.add_argument(
                "--also", type=Path, action="append", default=[], metavar="DIR", help="more cases"
            )
            sub.add_argument("--out", default="object_info.json")
        if name == "diff":
            sub.add_argument("--context", type=int, default=2)
    args = parser.parse_args()
    if args.command in ("run", "record", "catalogue"):
        return asyncio.run(
            {"run": run, "record": record, "catalogue": catalogue}[args.command](args)
        )
    return {"diff": diff, "show": show, "list": list_cases}[args.command](args)


if __name__ == "__main__":
    sys.exit(main())
