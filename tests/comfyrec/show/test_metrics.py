"""Counters as Prometheus scrapes them: equal to the story, bounded, and silent on what was said."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.cassette.records import AnyRecord, Side
from comfyrec.show.metrics import CLASSES_MAX, Metrics
from comfyrec.show.watch import Watch
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell
from tests.support.timeline_samples import GRAPH, PROMPT, Recording, run, session

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
SAMPLE = re.compile(r"([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\["\\n])*)"(?:,|$)')


def text_of(records: list[AnyRecord]) -> str:
    metrics = Metrics(version="1.2")
    watch = Watch([metrics])
    watch.take(records)
    watch.finish()
    return metrics.text(watch.live)


def scraped(text: str) -> Samples:
    """The samples, as the exposition format describes them; each family is announced first."""
    found: Samples = {}
    announced: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            announced.add(line.split(" ")[2])
        elif not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            base = re.sub("_(bucket|sum|count)$", "", match[1])
            assert announced & {base, match[1]}
            labels = match[2] or ""
            assert LABEL.sub("", labels) == ""
            key = match[1], tuple(LABEL.findall(labels))
            assert key not in found
            found[key] = float(match[3])
    return found


def records_of(name: str) -> list[AnyRecord]:
    with open_cassette(find_cassette(name)) as reader:
        return list(reader)


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_figures_are_those_of_the_story(name: str) -> None:
    records = records_of(name)
    story = tell(Timeline.build(records))

    samples = scraped(text_of(records))

    outcomes = Counter(prompt.outcome or "unknown" for prompt in story.prompts)
    for outcome, count in outcomes.items():
        assert samples["comfyui_prompts_total", (("outcome", outcome),)] == count
    nodes = [node for prompt in story.prompts for node in prompt.nodes]
    ran = [node for node in nodes if node.duration_us is not None]
    cached = sum(node.cached for node in nodes)
    seconds = sum(v for (name, _), v in samples.items() if name == "comfyui_node_seconds_sum")
    waits = [p.queue_wait_us for p in story.prompts if p.queue_wait_us is not None]
    assert samples["comfyui_nodes_total", (("cached", "yes"),)] == cached
    assert samples["comfyui_nodes_total", (("cached", "no"),)] == len(nodes) - cached
    assert seconds == pytest.approx(sum(node.duration_us or 0 for node in ran) / 1e6)
    assert samples["comfyui_queue_wait_seconds_count", ()] == len(waits)
    assert samples["comfyui_queue_wait_seconds_sum", ()] == pytest.approx(sum(waits) / 1e6)
    assert samples["comfyui_queue_wait_seconds_bucket", (("le", "+Inf"),)] == len(waits)
    assert samples["comfyui_prompts_refused_total", ()] == len(story.refusals)
    received = sum(socket.received for socket in story.sockets)
    assert samples["comfyui_messages_total", (("direction", "to_client"),)] == received


def test_prometheus_reads_the_same() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    text = text_of(records_of("execution-error"))

    families = list(parser.text_string_to_metric_families(text))

    read = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    assert read == {(n, tuple(sorted(labels))): v for (n, labels), v in scraped(text).items()}


def test_labels_stay_few_and_plain_whatever_classes_there_are() -> None:
    recording = session()
    for number in range(CLASSES_MAX + 20):
        kind = f'Evil"\n\\{{}} {number}' + "x" * 200
        graph = {"1": {"class_type": "A", "inputs": {}}, "2": {"class_type": kind, "inputs": {}}}
        run(recording, prompt_id=f"p{number}", graph=graph, conn=10 + number, number=number)

    samples = scraped(text_of(recording.end()))

    classes = [labels for name, labels in samples if name == "comfyui_node_seconds_count"]
    assert len(classes) == CLASSES_MAX + 1
    assert samples["comfyui_node_seconds_count", (("class_type", "other"),)] == 20


def test_nothing_that_a_prompt_says_is_in_it() -> None:
    graph = {"1": {"class_type": "CLIPTextEncode", "inputs": {"text": "a secret castle"}}}
    graph["2"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "castle"}}

    text = text_of(run(session(), graph=graph).end())

    assert "castle" not in text


@pytest.mark.slow
def test_what_has_not_ended_is_held_and_nothing_else() -> None:
    metrics = Metrics(version="1")
    watch = Watch([metrics])
    recording = session()
    for number in range(5_200):
        run(recording, prompt_id=f"p{number}", conn=10 + number, number=number)

    watch.take(recording.records)

    assert len(watch.live.prompts.all) <= 5_001
    assert watch.live.prompts.under_way == 1


UNHEARD = "c0ffee00-0000-4000-8000-00000000000f"
ENTRY = {"outputs": {}, "status": {"status_str": "success", "completed": True, "messages": []}}
ITEM = [1, UNHEARD, {}, {}, []]


def _unheard(recording: Recording) -> None:
    recording.asked(
        5, "POST", "/prompt", {"prompt": GRAPH, "client_id": "nobody"},
        {"prompt_id": UNHEARD, "number": 1, "node_errors": {}},
    )  # fmt: skip


def _figures(recording: Recording, later_us: int = 11_000_000) -> tuple[float, dict[str, float]]:
    """What is under way, and what ended how, some time after the last record."""
    metrics = Metrics(version="1.2")
    watch = Watch([metrics])
    watch.take(recording.records)
    watch.settle(recording.t + later_us)
    samples = scraped(metrics.text(watch.live))
    ended = {
        labels[0][1]: value
        for (name, labels), value in samples.items()
        if name == "comfyui_prompts_total" and value
    }
    return samples["comfyui_prompts_under_way", ()], ended


@pytest.mark.parametrize(
    "target, answer, outcome",
    [
        (f"/history/{UNHEARD}", {UNHEARD: ENTRY}, "success"),
        (f"/api/jobs/{UNHEARD}", {"id": UNHEARD, "status": "failed"}, "error"),
        ("/api/jobs", {"jobs": [{"id": UNHEARD, "status": "cancelled"}]}, "interrupted"),
        ("/queue", {"queue_running": [], "queue_pending": []}, "unknown"),
        ("/prompt", {"exec_info": {"queue_remaining": 0}}, "unknown"),
    ],
)
def test_an_end_that_only_answers_show_is_an_end(
    target: str, answer: dict[str, Any], outcome: str
) -> None:
    recording = session()
    _unheard(recording)
    assert _figures(recording) == (1, {})

    recording.asked(6, "GET", target, b"", answer)

    assert _figures(recording) == (0, {outcome: 1})


@pytest.mark.parametrize(
    "target, answer",
    [
        ("/queue", {"queue_running": [ITEM], "queue_pending": []}),
        ("/queue", {"queue_running": None}),
        ("/prompt", {"exec_info": {"queue_remaining": 1}}),
        ("/api/jobs", {"jobs": [{"id": UNHEARD, "status": "in_progress"}, 3]}),
    ],
)
def test_what_still_waits_or_runs_has_not_ended(target: str, answer: dict[str, Any]) -> None:
    recording = session()
    _unheard(recording)

    recording.asked(6, "GET", target, b"", answer)

    assert _figures(recording) == (1, {})


def test_an_empty_queue_ends_what_nobody_tells_of_after_a_while() -> None:
    recording = session()
    _unheard(recording)
    recording.status(1, 0)

    assert _figures(recording, 1_000_000) == (1, {})
    assert _figures(recording) == (0, {"unknown": 1})
    recording.status(1, 1)
    assert _figures(recording) == (1, {})


def test_the_history_tells_the_end_of_a_prompt_whose_socket_was_lost() -> None:
    recording = run(session())
    del recording.records[-3:]  # from the success on
    recording.closed(1, Side.SERVER, "reset")
    recording.asked(6, "GET", f"/history/{PROMPT}", b"", {PROMPT: ENTRY})

    assert _figures(recording) == (0, {"success": 1})
