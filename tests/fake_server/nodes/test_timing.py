"""How long nodes take in a lifelike run."""

from __future__ import annotations

from typing import Any

from fake_server.storage.pictures import measure
from tests.support.engine_bench import Rig, lines, node


def connected(*args: Any, **kwargs: Any) -> Rig:
    rig = Rig(*args, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


def test_lifelike_runs_take_time_and_samplers_show_their_steps() -> None:
    rig = connected(lifelike=True)
    model = node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors")

    prompt_id = rig.queue(
        {
            "1": model,
            "2": node("CLIPTextEncode", clip=["1", 1], text="a"),
            "3": node("EmptyLatentImage", width=64, height=48, batch_size=1),
            "4": node(
                "KSampler",
                model=["1", 0],
                positive=["2", 0],
                negative=["2", 0],
                latent_image=["3", 0],
                seed=1,
                steps=4,
                cfg=1.0,
                sampler_name="euler",
                scheduler="simple",
                denoise=1.0,
            ),
            "5": node("VAEDecode", samples=["4", 0], vae=["1", 2]),
            "6": node("SaveImage", images=["5", 0], filename_prefix="life"),
        }
    )
    rig.finish()

    told = lines(rig.told())
    assert rig.now > 1_000_000
    assert told.count("binary 1") == 4
    assert "progress 4 4/4" in told
    [saved] = rig.history(prompt_id)["outputs"]["6"]["images"]
    file = rig.folders.read("output", saved["subfolder"], saved["filename"])
    assert file is not None
    size = measure(file.data)
    assert size is not None and size[:2] == (64, 48)
