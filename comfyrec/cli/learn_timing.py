"""Learn from recordings how long node classes take, for 'comfyrec serve --timing FILE'.

Says how well it fits: every fifth recording is left out, and predicted from the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import msgspec

from comfyrec.cassette.files import write_file
from comfyrec.cli.stats import SkippedFiles
from comfyrec.cli.terminal.drawing import draw
from comfyrec.errors import UsageError
from comfyrec.show.text import Line, duration, line
from comfyrec.tables.convert import cassettes_in, convert_all, jobs_by_default
from comfyrec.tables.learn_timing import NOISE_US, Learned, Recorded, learn
from comfyrec.wording import plural, shortened
from fake_server.seeded import SeededRandom

__all__ = ["add_arguments", "run"]

SHOWN: Final = 12
"""Classes that are listed, those that take most time first."""
GOOD: Final = 0.15
_NAME: Final = 26
_NO_TIME: Final = (
    "no class takes a millisecond: of a server at full speed (--speed max) no times are learned"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec learn-timing``."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILES", help="cassettes, or folders of them"
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help="the timing, as JSON"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="cassettes read at once (default: cores)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Learn, write, say how well it fits; exit 3 if a recording was skipped or lacks its end."""
    wrong, recordings, seen = SkippedFiles("learn-timing"), list[Recorded](), set[str]()
    paths = cassettes_in(arguments.files)
    jobs = arguments.jobs or jobs_by_default()
    for one in convert_all(paths, ("prompts", "node_runs"), jobs=jobs):
        wrong.saw(one)
        if one.skipped or one.recording in seen:
            continue
        seen.add(one.recording)
        rows = (_rows(one.lines["prompts"]), _rows(one.lines["node_runs"]))
        recordings.append(Recorded.of_rows(*rows))
    random = SeededRandom(len(recordings))
    learned = learn(recordings, lambda: random.below(1 << 53) / (1 << 53))
    if not learned.timing.classes:
        raise UsageError("no node ran in these recordings, so there is nothing to learn from")
    data = msgspec.json.format(msgspec.json.encode(learned.timing), indent=1) + b"\n"
    write_file(arguments.output, data, overwrite=arguments.overwrite)
    draw(_lines(learned))
    timing = learned.timing
    classes = plural(len(timing.classes), "class", "classes")
    runs = f"{plural(timing.node_runs, 'run')} in {plural(timing.recordings, 'recording')}"
    print(f"wrote {arguments.output}: {classes}, {runs}")
    return wrong.status()


def _rows(lines: bytes) -> list[dict[str, object]]:
    return [msgspec.json.decode(row) for row in lines.splitlines()]


def _lines(learned: Learned) -> list[Line]:
    classes = sorted(
        learned.timing.classes.items(), key=lambda both: -both[1].median_us * both[1].warm.runs
    )
    head = (
        f"  {'class':<{_NAME}}  {'runs':>5}  {'median':>8}  {'spread':>6}  {'cold':>8}  measured by"
    )
    lines = [line((head, "dim"))]
    for name, one in classes[:SHOWN]:
        cold = "-" if one.cold is None else duration(one.cold.draw(one.usual_amount, 0.5))
        runs = one.warm.runs + (one.cold.runs if one.cold is not None else 0)
        middle, spread = duration(round(one.median_us)), f"{min(one.spread, 999):.1f}x"
        lines.append(
            line(
                f"  {shortened(name, _NAME):<{_NAME}}  {runs:>5}  {middle:>8}  {spread:>6}"
                f"  {cold:>8}  {one.by}"
            )
        )
    if len(classes) > SHOWN:
        lines.append(
            line((f"  ... {plural(len(classes) - SHOWN, 'more class', 'more classes')}", "dim"))
        )
    lines.append(())
    if all(one.median_us < NOISE_US for one in learned.timing.classes.values()):
        lines.append(line((_NO_TIME, "warn")))
    if not learned.held_out:
        lines.append(line(("too few recordings to hold any out: how well it fits is open", "warn")))
        return [*lines, ()]
    held = plural(learned.held_out, "recording")
    lines.append(line((f"{held} held out: median and p95 as recorded, and as foretold", "bold")))
    for fit in learned.fits[: SHOWN + 2]:
        real = _pair(fit.median, fit.p95)
        foretold = (
            f"{duration(round(fit.foretold_median)):>8} {duration(round(fit.foretold_p95)):>8}"
        )
        style = "good" if fit.off <= GOOD else "warn"
        name = f"{shortened(fit.what, _NAME):<{_NAME}}"
        lines.append(line(f"  {name} {real}  {foretold}  ", (f"{100 * fit.off:.0f} % off", style)))
    return [*lines, ()]


def _pair(median: float, p95: float) -> str:
    return f"{duration(round(median)):>8} {duration(round(p95)):>8}"
