"""A recording of the native API, met through v2."""

from __future__ import annotations

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.timeline import Timeline
from fake_server.options import SurfaceChoice
from fake_server.replay import Player
from fake_server.scenario_source import scenarios_over
from tests.support.v2_client import V2Client


def test_a_recorded_prompt_is_a_job_with_its_previews_and_outputs() -> None:
    with open_cassette(find_cassette("fresh-run-previews")) as records:
        timeline = Timeline.build(records)
    graph = timeline.prompts[0].graph
    surfaces = (SurfaceChoice("v2"),)
    client = V2Client(scenarios_over([], lambda: Player(timeline), surfaces=surfaces))

    id = client.submit(graph)
    stream = client.listen(id)
    client.wait()
    job = client.job(id)

    assert stream.states[-1] == job.status == "succeeded"
    assert stream.named("preview")
    assert [one.name for one in job.outputs] == ["gt_00001_.png"]
    assert client.ask("GET", f"/assets/{job.outputs[0].id}/content").body.startswith(b"\x89PNG")
