from hypothesis import given, settings
from my_project import my_client

from comfyrec.strategies import Stream, fake_comfyui, runs


@settings(deadline=None)
@given(runs())
def test_my_client_tells_the_truth(run: Stream) -> None:
    with fake_comfyui(run) as server:
        told = server.bounded(lambda: my_client(server.url, server.workflow))
        server.judge(told.outcome, told.outputs)
