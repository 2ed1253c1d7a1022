"""``comfyrec serve``: what it takes, what it refuses in one sentence, how it starts and ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cli import main
from fake_server.scenario_source import scenario_source
from fake_server.server.thread import serve
from tests.support.json_over_http import get_json, post_json
from tests.support.paths import ROOT

pytestmark = pytest.mark.long


def rest_of(out: str) -> str:
    """Output without the page's address, some of which may have been read with the first line."""
    return re.sub(r"^What it does is shown at \S+\n", "", out)


@contextmanager
def command(
    *arguments: str, stdin: int | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own, and the sentence it begins with."""
    process = subprocess.Popen(
        [sys.executable, "-m", "comfyrec", "serve", "--port", "0", *arguments], stdin=stdin,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout.readline(), process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_with_0_at_a_signal(number: signal.Signals) -> None:
    with command("--scenario", "lifelike", "--seed", "3", "--comfyui-version", "0.3.64") as (
        line,
        process,
    ):
        url = line.split()[-1]
        stats, about = get_json(f"{url}/system_stats"), get_json(f"{url}/__fake__/")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert line == f"Playing lifelike as ComfyUI 0.3.64 at {url}\n"
    assert stats["system"]["comfyui_version"] == "0.3.64"
    assert (about["scenario"]["title"], about["seed"]) == ("lifelike", 3)
    assert (process.returncode, rest_of(out), err) == (0, "", "")


def test_it_says_where_it_is_as_json_and_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    file.write_text("of an earlier server")

    with command("--print", "json", "--ready-file", str(file)) as (line, process):
        told, kept = json.loads(line), json.loads(file.read_text())
        stats = get_json(f"{told['url']}/system_stats")
        process.terminate()
        process.communicate(timeout=20)

    assert told == kept
    assert told["ws_url"] == told["url"].replace("http://", "ws://")
    assert told["pid"] == process.pid
    assert stats["system"]["comfyui_version"]
    assert not file.exists()


def test_it_ends_when_its_standard_input_is_closed() -> None:
    with command("--exit-on-stdin-close", stdin=subprocess.PIPE) as (_, process):
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        out, err = process.communicate(timeout=20)

    assert (process.returncode, rest_of(out), err) == (0, "", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows does not say that a parent has ended")
def test_it_ends_with_the_process_that_started_it() -> None:
    parent = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-m', 'comfyrec', 'serve', '--port', '0',"
        " '--exit-with-parent'])\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        process.kill()
        # The server has the other end of this pipe: it is at its end when both are gone.
        rest = process.stdout.read()

    assert line.startswith("Playing success")
    assert rest.startswith("What it does is shown at http://127.0.0.1:")
    assert len(rest.splitlines()) == 1


def test_options_of_comfyui_are_understood(tmp_path: Path) -> None:
    options = (
        "--enable-cors-header", "--max-upload-size", "1", "--multi-user", "--cache-none",
        "--base-directory", str(tmp_path), "--models", "loras=mine.safetensors", "--step",
    )  # fmt: skip
    with command(*options) as (line, _):
        url = line.split()[-1]
        request = urllib.request.Request(f"{url}/features", headers={"Origin": "http://a.example"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            flags, allowed = (
                json.loads(answer.read()),
                answer.headers["Access-Control-Allow-Origin"],
            )
        loras, users = get_json(f"{url}/models/loras"), get_json(f"{url}/users")
        speed = get_json(f"{url}/__fake__/time")["speed"]

    assert (flags["max_upload_size"], allowed) == (1_048_576.0, "*")
    assert (loras, users) == (["mine.safetensors"], {"storage": "server", "users": {}})
    assert speed == 0
    assert (tmp_path / "output").is_dir()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("--comfyui-version", "0.33.0", "--enable-assets"), 200),
        (("--comfyui-version", "0.46.0", "--disable-assets"), 503),
    ],
)
def test_assets_are_on_or_off_as_the_flag_says(options: tuple[str, ...], status: int) -> None:
    with command(*options) as (line, _):
        url = line.split()[-1]
        try:
            with urllib.request.urlopen(f"{url}/api/assets", timeout=10) as answer:
                told = answer.status
        except urllib.error.HTTPError as refused:
            told = refused.code
            refused.close()

    assert told == status


REFUSED = {
    "an unknown scenario": (["--scenario", "sucess"], "did you mean 'success'?"),
    "an unknown parameter": (["--scenario", "success:nods=1"], "did you mean 'nodes'?"),
    "a port that is none": (["--port", "99999"], "--port 99999: give a whole number from 0"),
    "a port in words": (["--port", "http"], "--port http"),
    "a host that is not here": (["--host", "203.0.113.7"], "give an address of this machine"),
    "a speed of nothing": (["--speed", "0"], "--speed 0: give a number above 0, max or auto"),
    "a speed that is none": (["--speed", "nan"], "--speed nan"),
    "a seed below zero": (["--seed", "-1"], "--seed -1"),
    "a version that is none": (["--comfyui-version", "banana"], "banana"),
    "a fact that is none": (["--fact", "jbs=on"], "--fact jbs=on: there is no fact 'jbs'"),
    "a fact that is neither": (["--fact", "jobs=maybe"], "write NAME=on or NAME=off"),
    "assets before there were any": (
        ["--comfyui-version", "0.8.2", "--enable-assets"],
        "--enable-assets: ComfyUI 0.8.2 has no assets; give --comfyui-version 0.27.0",
    ),
    "assets while there was no flag": (
        ["--comfyui-version", "0.12.0", "--disable-assets"],
        "--disable-assets: ComfyUI 0.12.0 has assets on always, and no such flag; leave it out",
    ),
    "a size of nothing": (["--max-upload-size", "0"], "--max-upload-size 0"),
    "a cache of nothing": (["--cache-lru", "0"], "--cache-lru 0: give a whole number from 1"),
    "a pause below zero": (["all-cached", "--idle-time-limit", "-1"], "--idle-time-limit -1"),
    "models without a folder": (["--models", "loras"], "--models loras: write FOLDER=NAME"),
    "a catalogue that is not there": (["--object-info", "none.json"], "--object-info none.json"),
    "a server that is not there": (["--object-info", "http://127.0.0.1:9"], "start that server"),
    "a cassette that is not there": (["none.crec"], "none.crec"),
    "a file for nobody": (["--ready-file", "none/ready"], "there is no folder none"),
    "a frontend that is not there": (["--frontend"], "comfyui-frontend-package"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_said_in_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever works on the page has it installed.
    monkeypatch.setitem(sys.modules, "comfyui_frontend_package", None)
    arguments, words = REFUSED[name]
    # As where it is not installed, whether or not it is here.
    monkeypatch.setitem(sys.modules, "comfyui_frontend_package", None)

    status = main(["serve", "--port", "0", *arguments])
    out, err = capsys.readouterr()

    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("all-cached", "--strict", "--models", "loras=b"),
            "--models changes nothing here: all-cached is replayed",
        ),
        (
            ("all-cached", "--unmatched", "next", "--unknown-nodes", "accept"),
            "--unknown-nodes changes nothing here",
        ),
        (("all-cached", "--enable-assets"), "--enable-assets changes nothing here"),
        (("all-cached", "--multi-user"), "--multi-user changes nothing here"),
        (("--strict",), "--strict changes nothing here: it is for a cassette"),
        (("--match", "any"), "--match changes nothing here"),
    ],
)
def test_a_flag_that_changes_nothing_is_told_of(options: tuple[str, ...], said: str) -> None:
    with command(*options) as (line, process):
        process.terminate()
        _, err = process.communicate(timeout=10)

    assert line.split()[-1].startswith("http://")
    assert err.startswith(f"comfyrec serve: {said}") and err.count("\n") == 1
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [("nonsense", "neither JSON nor a cassette"), ("[1]", "JSON object of node classes"),
     ('{"A": 1}', "'A'"), ('{"A": {"input": {"required": "x"}}}', "'A' is not a node class"),
     ("", "neither JSON nor a cassette")],
)  # fmt: skip
def test_a_catalogue_that_is_none_is_said_so(
    content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "info.json"
    file.write_text(content)

    status = main(["serve", "--port", "0", "--object-info", str(file)])

    err = capsys.readouterr().err
    assert status == 2
    assert words in err
    assert f"--object-info {file}" in err


def test_a_taken_port_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(scenario_source([])) as taken:
        status = main(["serve", "--port", str(taken.port)])

    assert status == 2
    assert "--port 0 for a free one" in capsys.readouterr().err


@pytest.fixture
def info_of() -> Callable[[str], Any]:
    from comfyrec.cli._object_info import catalogue_of

    return lambda given: catalogue_of(given).all_info()


def test_what_is_known_of_versions_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["serve", "--comfyui-version", "list"])
    out = capsys.readouterr().out

    assert status == 0
    assert "0.26.0  job_cancel" in out
    assert (
        "assets are on by default, and files have ids (since 0.41.0; only read: upstream"
        in " ".join(out.split())
    )


def test_the_catalogue_may_come_from_a_running_server(info_of: Callable[[str], Any]) -> None:
    with serve(scenario_source([])) as other:
        assert info_of(other.url) == get_json(f"{other.url}/object_info")


def test_it_speaks_the_task_interface_and_shows_no_key() -> None:
    task = {
        "consumer_id": "me",
        "api_key": "hk-5f3a9c1e7b2d",
        "task_type": "txt2img",
        "task_details": {"parameters": {"prompt": "a lighthouse"}},
        "job_id": "sdk-workflow-0123456789",
    }
    with command("--tasks", "--workers", "2", "--speed", "max") as (line, _):
        url = line.split()[-1]
        task_id = post_json(f"{url}/task_create", task)["task_id"]
        about, journal = get_json(f"{url}/__fake__/"), get_json(f"{url}/__fake__/journal")

    assert task_id
    assert "worker-2" in json.dumps(about)
    assert "hk-5f3a9c1e7b2d" not in json.dumps(journal)
    assert "a lighthouse" in json.dumps(journal)


CUSTOM = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
    "2": {"class_type": "MyLoader", "inputs": {"lora_name": "mine.safetensors"}},
    "3": {"class_type": "ShowMe", "inputs": {"image": ["1", 0], "model": ["2", 0]}},
}


def test_it_learns_workflows_and_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text(json.dumps({"prompt": CUSTOM}))
    (tmp_path / "nodes.json").write_text('{"ShowMe": {"outputs": {"text": ["hello"]}}}')

    with command("--learn", str(tmp_path), "--speed", "max") as (line, process):
        url = line.split()[-1]
        prompt_id = post_json(f"{url}/prompt", {"prompt": CUSTOM})["prompt_id"]
        about, loras = get_json(f"{url}/__fake__/"), get_json(f"{url}/models/loras")
        history = get_json(f"{url}/history/{prompt_id}")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)

    assert err == (
        "comfyrec serve: learned 2 new classes, 1 model file, 1 input file from 1 workflow; "
        "1 class as nodes.yaml says\n"
    )
    assert about["facts"]["learned"]["classes"] == ["MyLoader", "ShowMe"]
    assert "mine.safetensors" in loras
    assert history[prompt_id]["outputs"] == {"3": {"text": ["hello"]}}


def test_a_refused_class_comes_with_a_hint_on_the_console_once() -> None:
    unknown = {"1": {"class_type": "Nope\x1b[31m", "inputs": {}}}

    with command() as (line, process):
        url = line.split()[-1]
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                post_json(f"{url}/prompt", {"prompt": unknown})
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)

    assert err == (
        "comfyrec serve: 'Nope\\x1b[31m' is not in the catalogue: start with --learn "
        "WORKFLOW.json, --object-info URL or --unknown-nodes accept\n"
    )


def test_each_hint_of_what_runs_in_part_is_a_line_on_the_console() -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "me.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "3": {
            "class_type": "UNETLoader",
            "inputs": {"unet_name": "it's mine.safetensors", "weight_dtype": "default"},
        },
        "4": {"class_type": "ModelSave", "inputs": {"model": ["3", 0], "filename_prefix": "x"}},
        "5": {"class_type": "CustomCombo", "inputs": {"choice": "Music"}},
        "6": {"class_type": "PreviewAny", "inputs": {"source": ["5", 0]}},
    }

    with command() as (line, process):
        answer = post_json(f"{line.split()[-1]}/prompt", {"prompt": graph})
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)

    assert sorted(answer["node_errors"]) == ["1", "3"]
    assert err == (
        'comfyrec serve: "it\'s mine.safetensors" is not in the model folder diffusion_models: '
        "start with --models diffusion_models='it'\"'\"'s mine.safetensors' or --learn "
        "WORKFLOW.json\n"
        "comfyrec serve: 'me.png' is not in the input folder: upload it first, or start with "
        "--learn WORKFLOW.json\n"
    )


def test_any_class_is_accepted_when_that_is_asked_for() -> None:
    with command("--unknown-nodes", "accept", "--speed", "max") as (line, _):
        url = line.split()[-1]
        accepted = post_json(f"{url}/prompt", {"prompt": {"1": {"class_type": "A", "inputs": {}}}})

    assert accepted["node_errors"] == {}


def test_a_replay_runs_what_was_not_recorded_with_the_nodes_of_the_flags(tmp_path: Path) -> None:
    mine = {"1": {"class_type": "Mine", "inputs": {"text": "a"}}}
    listed = {"input": {"required": {}}, "output": [], "output_node": True}
    (tmp_path / "mine.json").write_text(json.dumps(mine))
    (tmp_path / "listed.json").write_text(json.dumps({"Mine": listed}))
    ways = [
        ("--learn", str(tmp_path / "mine.json")),
        ("--object-info", str(tmp_path / "listed.json")),
        ("--unknown-nodes", "accept"),
    ]

    for way in ways:
        with command("fresh-run-previews", *way, "--speed", "max") as (line, _):
            accepted = post_json(f"{line.split()[-1]}/prompt", {"prompt": mine})

        assert accepted["node_errors"] == {}, way


WRONG_NODES = {
    "a pattern that fits nothing": (["--learn", "nothing/*.json"], "no file fits this pattern"),
    "a file that is not there": (["--learn", "nothing.json"], "No such file"),
    "a folder of models with another name": (["--models", "lora=a"], "did you mean 'loras'?"),
}


@pytest.mark.parametrize("flags, words", WRONG_NODES.values(), ids=WRONG_NODES)
def test_nodes_that_cannot_be_had_are_said_with_their_flag(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["serve", "--port", "0", *flags])

    err = capsys.readouterr().err
    assert status == 2
    assert words in err
    assert f"{flags[0]} {flags[1]}" in err
