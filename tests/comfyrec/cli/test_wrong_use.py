"""Wrong uses of the command line: one sentence each, the right status, and a mend that works.

A row has what was typed, words of the sentence, and what it leads to, which is run as well.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from comfyrec.cli import WRONG_USE, main, record
from comfyrec.control import controlled
from comfyrec.testing.settings import PluginSettings
from fake_server.storage.pictures import picture
from tests.support.paths import ROOT

OF_PYTHON = re.compile(
    r"Traceback|\[Errno|usage:|`\w+`|<class|NoneType|object has no|invalid literal|\(char \d"
)
"""What only somebody who writes Python reads as a sentence."""


class Row(NamedTuple):
    """What was typed, words of the answer, what it leads to, and the status of the wrong use."""

    typed: str
    words: str
    mended: str
    status: int = WRONG_USE


RUN = "run wf.json --yes --no-progress --server {url}"
SHOWN = RUN.replace(" --no-progress", "")
RECORD = "record --upstream {url} --listen 127.0.0.1:0"
SERVE = "serve --port 0 --exit-on-stdin-close"
CHECK = "check --scenarios success"

ROWS = [
    # --- the command itself
    Row("recrod", "did you mean 'record'?", "record --help"),
    Row("--verion", "did you mean '--version'?", "--version"),
    Row("--scenario x", "'comfyrec --help' lists the options", "--help"),
    # --- what argparse finds
    Row("run", "WORKFLOW is missing; write 'comfyrec run WORKFLOW'", RUN),
    Row(f"{RUN} --no-wiat", "unknown option '--no-wiat'; did you mean '--no-wait'?",
        f"{RUN} --no-wait"),
    Row(f"{RUN} extra", "'extra' is one argument too many; write 'comfyrec run WORKFLOW'", RUN),
    Row("run wf.json --yes --server", "--server needs a value; write --server URL", RUN),
    Row(f"{RUN} --filepattern -##.png --save-images out",
        "write --filepattern=-##.png", f"{RUN} --filepattern=-##.png --save-images out"),
    Row(f"{RUN} --index-offset x --save-images out", "--index-offset 'x': give a whole number",
        f"{RUN} --index-offset 3 --save-images out"),
    Row("record -o new.crec", "--upstream is missing; write 'comfyrec record --upstream URL",
        f"{RECORD} -o new.crec"),
    Row("record --upstream {url} -o new.crec --port 8190", "did you mean '--listen'?",
        f"{RECORD} -o new.crec"),
    Row("record", "--upstream and -o/--output are missing", f"{RECORD} --output new.crec"),
    Row(f"{RECORD} -o new.crec --append --overwrite",
        "--append and --overwrite cannot be combined; give one of them",
        f"{RECORD} -o new.crec --overwrite"),
    Row(f"{SERVE} --scenaro success", "did you mean '--scenario'?", f"{SERVE} --scenario success"),
    Row(f"{SERVE} --see 3", "unknown option '--see'; did you mean '--seed'?",
        f"{SERVE} --seed 3"),
    Row("serve --port", "--port needs a value; write --port P", SERVE),
    Row(f"{SERVE} --step=1", "--step takes no value; write it without '=1'", f"{SERVE} --step"),
    Row(f"{SERVE} --unknown-nodes accpt", "give accept or refuse; did you mean 'accept'?",
        f"{SERVE} --unknown-nodes accept"),
    Row(f"{SERVE} all-cached --match grph", "did you mean 'graph'?",
        f"{SERVE} all-cached --match graph"),
    Row(f"{SERVE} --print yaml", "--print 'yaml': give text or json", f"{SERVE} --print json"),
    Row(f"{SERVE} --cache-classic --cache-none", "cannot be combined; give one of them",
        f"{SERVE} --cache-none"),
    Row(f"{SERVE} all-cached extra", "one argument too many; write 'comfyrec serve [FILE]'",
        f"{SERVE} all-cached"),
    Row("info", "FILE is missing; write 'comfyrec info FILE'", "info have.jsonl"),
    Row("info have.jsonl --jsn", "did you mean '--json'?", "info have.jsonl --json"),
    Row("export have.jsonl", "--to is missing; write 'comfyrec export --to perfetto|",
        "export --to otlp have.jsonl"),
    Row("export have.jsonl --to perfeto -o x.trace",
        "did you mean 'perfetto'?",
        "export have.jsonl --to perfetto -o x.trace"),
    Row("diff have.jsonl", "B is missing; write 'comfyrec diff A B'", "diff have.jsonl all-cached"),
    Row("diff have.jsonl all-cached --fail-on warn", "did you mean 'warns'?",
        "diff have.jsonl all-cached --fail-on warns"),
    Row("catalogue lern wf.json -o o.json", "give learn or show; did you mean 'learn'?",
        "catalogue learn wf.json -o o.json"),
    Row("catalogue learn wf.json", "-o/--output is missing; write 'comfyrec catalogue learn",
        "catalogue learn wf.json --output o.json"),
    Row("schema --typscript", "did you mean '--typescript'?", "schema --typescript"),
    Row(f"{CHECK} --seed x -- true", "--seed 'x': give a whole number",
        f"{CHECK} --seed 3 -- true"),
    Row(f"{CHECK} --timeout 0 -- true", "seconds must be a number greater than 0",
        f"{CHECK} --timeout 9 -- true"),
    Row(f"{CHECK} --jobs 99 -- true", "jobs must be a number from 1 to 64",
        f"{CHECK} --jobs 1 -- true"),
    # --- run
    Row(f"{SHOWN} --format '{{nope}}'", "unknown field 'nope'; the fields are type,",
        f"{SHOWN} --format '{{type}}'"),
    Row(f"{SHOWN} --format '{{typ}}'", "did you mean 'type'?",
        f"{SHOWN} --format '{{type}}'"),
    Row(f"{SHOWN} --format '{{type:.2f}}'", "write {type}",
        f"{SHOWN} --format '{{type}}'"),
    Row(f"{SHOWN} --format '{{'", "write {type} for a field",
        f"{SHOWN} --format '{{type}}'"),
    Row(f"{SHOWN} --format '{{data[x]}}'", "write {data}",
        f"{SHOWN} --format '{{data}}'"),
    Row(f"{RUN} --timeout soon", "--timeout: 'soon' is not a number of seconds greater than 0",
        f"{RUN} --timeout 30"),
    Row(f"{RUN} --index-offset -1 --save-images out", "give 0 or more",
        f"{RUN} --index-offset 0 --save-images out"),
    Row(f"{RUN} --save-images bad.txt", "cannot be created (File exists); give another folder",
        f"{RUN} --save-images out", status=10),
    Row(f"{RUN} --save-images out --filepattern a.png", "put '###' or '%04d' where the number goes",
        f"{RUN} --save-images out --filepattern a###.png"),
    Row(f"{RUN} --filepattern a#.png", "no effect without --save-images; give both",
        f"{RUN} --filepattern a#.png --save-images out"),
    Row(f"{RUN} --header nocolon", "--header: give it as 'NAME: VALUE'",
        f"{RUN} --header 'no: colon'"),
    Row(f"{RUN} --ca-file nofile.pem", "give certificates in PEM form", f"{RUN} --insecure"),
    Row("run wf.json --yes --no-progress --server ftp://x", "use http:// or https://", RUN),
    Row("run wf.json --yes --no-progress --server http://h:99999",
        "give one like http://127.0.0.1:8188", RUN),
    Row("run wf.json --yes --no-progress --server 127.0.0.1:1 --connect-timeout 0.1",
        "(Connection refused); start one, or name another with --server", RUN, status=8),
    Row(f"{RUN} --record have.jsonl", "have.jsonl exists already; give --record another name",
        f"{RUN} --record new.crec"),
    Row(f"{RUN} --upload-images nodir", "there is no such folder; give one with files",
        f"{RUN} --upload-images folder"),
    Row(f"{RUN} --no-wait --timeout 3", "give one of them", f"{RUN} --timeout 3"),
    Row(f"{RUN} --listen 127.0.0.1:0", "no effect without --continuous; give both",
        "run --help"),
    Row("run torn.json --yes --server {url}", "not JSON from line 2, column 1 on; give a workflow",
        RUN),
    Row("run nofile.json --yes --server {url}", "cannot be read (No such file or directory); give",
        RUN),
    Row("run obj.json --yes --server {url}", "the workflow has no nodes", RUN),
    # --- record
    Row("record --upstream ftp://x -o new.crec", "give one like http://127.0.0.1:8188",
        f"{RECORD} -o new.crec"),
    Row("record --upstream {url} -o new.crec --listen 8189", "give HOST:PORT",
        f"{RECORD} -o new.crec"),
    Row(f"{RECORD} -o have.jsonl", "give another name, --append or --overwrite",
        f"{RECORD} -o have.jsonl --append"),
    Row(f"{RECORD} -o nofolder/new.crec", "there is no folder nofolder; make it, or give another",
        f"{RECORD} -o new.crec"),
    Row(f"{RECORD} -o folder", "is a folder; give the name of a file", f"{RECORD} -o new.crec"),
    Row(f"{RECORD} -o new.crec --ca nofile", "give certificates in PEM form",
        f"{RECORD} -o new.crec"),
    Row(f"{RECORD} -o new.crec --upstream-header x", "takes 'Name: value'",
        f"{RECORD} -o new.crec --upstream-header 'x: y'"),
    # --- serve and with
    Row(f"{SERVE} --scenario ws-slient", "did you mean 'ws-silent'?",
        f"{SERVE} --scenario ws-silent"),
    Row(f"{SERVE} --scenario ws-silent:aftr=start", "did you mean 'after'?",
        f"{SERVE} --scenario ws-silent:after=start"),
    Row(f"{SERVE} --scenario ws-silent:after=never", "one of 'connect', 'start' or a number",
        f"{SERVE} --scenario ws-silent:after=start"),
    Row(f"{SERVE} --scenario ws-silent:after", "write ws-silent:NAME=VALUE",
        f"{SERVE} --scenario ws-silent:after=3"),
    Row("serve --port 99999", "give a whole number from 0 to 65535", SERVE),
    Row(f"{SERVE} --speed fast", "give a number above 0, max or auto", f"{SERVE} --speed max"),
    Row(f"{SERVE} --step --speed 3", "--step and --speed cannot be combined", f"{SERVE} --step"),
    Row(f"{SERVE} --models lora=a.safetensors", "did you mean 'loras'?",
        f"{SERVE} --models loras=a.safetensors"),
    Row(f"{SERVE} --models lora=", "did you mean 'loras'?", f"{SERVE} --models loras="),
    Row(f"{SERVE} --models loras", "write FOLDER=NAME,NAME", f"{SERVE} --models loras=a,b"),
    Row(f"{SERVE} --learn nofile", "give a workflow, a folder or a pattern",
        f"{SERVE} --learn wf.json"),
    Row(f"{SERVE} --learn empty", "give one that holds workflows", f"{SERVE} --learn folder"),
    Row(f"{SERVE} --object-info bad.txt", "give what GET /object_info answers",
        f"{SERVE} --object-info {{url}}"),
    Row(f"{SERVE} --object-info wf.json", "is a workflow, and not the node classes",
        f"{SERVE} --learn wf.json"),
    Row(f"{SERVE} --object-info picture.png", "is a workflow, and not the node classes",
        f"{SERVE} --learn picture.png"),
    Row(f"{SERVE} --object-info one.json", "the entry 'a' is not a node class",
        f"{SERVE} --object-info {{url}}"),
    Row(f"{SERVE} --object-info http://127.0.0.1:1", "no answer (Connection refused)",
        f"{SERVE} --object-info {{url}}"),
    Row(f"{SERVE} --comfyui-version abc", "give one like 0.27.0",
        f"{SERVE} --comfyui-version 0.27.0"),
    Row(f"{SERVE} --fact nope=on", "'comfyrec serve --comfyui-version list' lists them",
        "serve --comfyui-version list"),
    Row(f"{SERVE} --workers 3", "give both, or neither", f"{SERVE} --workers 3 --tasks"),
    Row(f"{SERVE} --cache-lru 0", "from 1 to 10000", f"{SERVE} --cache-lru 1"),
    Row(f"{SERVE} --enable-assets --comfyui-version 0.3.0", "give --comfyui-version 0.27.0",
        f"{SERVE} --enable-assets --comfyui-version 0.27.0"),
    Row(f"{SERVE} --base-directory bad.txt", "give a folder that can be written",
        f"{SERVE} --base-directory folder"),
    Row(f"{SERVE} --ready-file nofolder/x", "there is no folder nofolder",
        f"{SERVE} --ready-file x"),
    Row(f"{SERVE} all-cachd", "did you mean the bundled 'all-cached'?", f"{SERVE} all-cached"),
    Row(f"{SERVE} bad.txt", "'comfyrec record' and 'convert' write them", f"{SERVE} have.jsonl"),
    Row(f"{SERVE} --host 192.0.2.1", "give an address of this machine with --host",
        f"{SERVE} --host 127.0.0.1"),
    Row("with", "there is no command to run; write it after '--'", "with -- true"),
    Row("with -- nocommand", "give its path, or put it on PATH", "with -- true"),
    Row("with --journal sometimes -- true", "give fail, always or never",
        "with --journal always -- true"),
    Row("with --cassete all-cached -- true", "did you mean '--cassette'?",
        "with --cassette all-cached -- true"),
    # --- check and scenarios
    Row("scenarios ws-slient", "did you mean 'ws-silent'?", "scenarios ws-silent"),
    Row("check", "write it after '--', as in comfyrec check -- python", f"{CHECK} -- true"),
    Row("check --scenarios ws-slient -- true", "did you mean 'ws-silent'?",
        "check --scenarios ws-silent --keep-going -- true"),
    Row("check --scenarios all-cached -- true {urll}", "{urll}; did you mean {url}?",
        "check --scenarios all-cached --keep-going -- true {url}"),
    Row("bisect --good 9.9 -- true", "nothing is known of that release; give one up to 0.",
        "bisect --good 0.27.0 --scenarios all-cached -- false", 2),
    Row("bisect --good 0.27.0 --bad 99.1 -- true", "--bad 99.1: nothing is known of that release",
        "bisect --good 0.27.0 -- false"),
    Row("bisect --good new -- true", "--good: comfyui version 'new' is not a version",
        "bisect --good 0.27.0 -- false"),
    Row(f"{CHECK} --html folder -- true", "give another file", f"{CHECK} --html a.html -- true"),
    # --- recordings
    Row("info nofile", "there is no such file; check the name", "info have.jsonl"),
    Row("info -", "standard input is not read, since recordings are read more than once",
        "info have.jsonl"),
    Row(f"{RECORD} -o parts --rotate 5bananas", "a size as in 100MB, a time as in 1h, or both",
        f"{RECORD} -o parts --rotate 5MB"),
    Row("info wf.json", "is a workflow and not a recording; 'comfyrec run wf.json' runs it",
        "run wf.json --yes --no-progress --server {url}"),
    Row("show picture.png", "is a workflow and not a recording",
        "run picture.png --yes --no-progress --server {url}"),
    Row(f"{SERVE} wf.json", "is a workflow and not a recording; write --learn wf.json",
        f"{SERVE} --learn wf.json"),
    Row(f"{SERVE} picture.png", "is a workflow and not a recording; write --learn picture.png",
        f"{SERVE} --learn picture.png"),
    Row("with --cassette wf.json -- true", "write --learn wf.json",
        "with --learn wf.json -- true"),
    Row("info folder", "is a folder", "info have.jsonl"),
    Row("info empty.crec", "is empty; nothing was recorded into it", "info have.jsonl"),
    Row("show have.jsonl --prompt nope", "leave it out to see their ids", "show have.jsonl"),
    Row("show have.jsonl --connection 99", "there are: client-a",
        "show have.jsonl --connection client-a"),
    Row("show have.jsonl --type executin", "did you mean 'executing'?",
        "show have.jsonl --type executing"),
    Row("cat have.jsonl --node KSamplr", "did you mean 'KSampler'?",
        "cat have.jsonl --node KSampler"),
    Row("show have.jsonl --since soon", "write it as 2.5s, 800ms or 3min",
        "show have.jsonl --since 800ms"),
    Row("show have.jsonl --since 5s --until 1s", "swap them",
        "show have.jsonl --since 1s --until 5s"),
    Row("show have.jsonl --grep '('", "put \\ before signs that are meant as they are",
        "show have.jsonl --grep '\\('"),
    Row("view have.jsonl -o folder", "is a folder; give the name of a file",
        "view have.jsonl -o a.html"),
    Row("view have.jsonl -o have.jsonl --overwrite", "is the recording itself; give another name",
        "view have.jsonl -o a.html --overwrite"),
    Row("export --to parquet have.jsonl", "write 'comfyrec export --to parquet DIR have.jsonl'",
        "export --to parquet tables have.jsonl"),
    Row("export --to parquet tables", "write 'comfyrec export --to parquet tables FILES'",
        "export --to parquet tables have.jsonl"),
    Row("export --to parquet bad.txt have.jsonl", "name a folder for the tables first",
        "export --to parquet tables have.jsonl"),
    Row("export --to parquet bad.txt/t have.jsonl", "is not a folder that can be written",
        "export --to parquet tables have.jsonl"),
    Row("export have.jsonl --to har -o have.jsonl --overwrite", "give another name",
        "export have.jsonl --to har -o a.har"),
    Row("convert have.jsonl -o a.png", "end it in .crec, .jsonl", "convert have.jsonl -o a.crec"),
    Row("convert have.jsonl -o a.json", "end --output in .jsonl, .crec or .har",
        "convert have.jsonl -o a.har"),
    Row("convert wf.json -o a.crec", "is a workflow and not a recording; end --output in .json",
        "convert wf.json -o a.json"),
    Row("convert wf.json -o a.json --host x", "leave it out to convert a workflow",
        "convert wf.json -o a.json"),
    Row("recover have.jsonl -o have.jsonl", "is the damaged cassette; give another name",
        "recover have.jsonl -o a.crec"),
    Row("doctor have.jsonl --client true", "write {url} in its place",
        "doctor have.jsonl --client 'true {{url}}'"),
    Row("conform http://127.0.0.1:1", "(Connection refused); start that server", "conform {url}"),
    Row("conform nonsense", "such as http://127.0.0.1:8188", "conform {url}"),
    Row("drift abc 0.27.0", "give one like 0.27.0", "drift 0.27.0 0.27.0"),
    Row("catalogue show KSamplr", "did you mean 'KSampler'?", "catalogue show KSampler"),
    Row("catalogue learn wf.json -o have.jsonl", "give another name, or --overwrite",
        "catalogue learn wf.json -o a.json"),
    Row("demo --overwrite", "no effect without --output; give both",
        "demo --overwrite --output a.jsonl"),
]  # fmt: skip


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with closing(controlled(PluginSettings())) as server:
        yield server.url


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with files of all sorts; signals are handled as before, afterwards."""
    monkeypatch.chdir(tmp_path)
    flow = ROOT / "docs/recipes/workflow.json"
    for name in ("folder", "empty"):
        (tmp_path / name).mkdir()
    shutil.copy(flow, "wf.json")
    shutil.copy(flow, "folder")
    saved = picture(width=8, height=8, seed=1, text={"prompt": flow.read_text("utf-8")})
    Path("picture.png").write_bytes(saved)
    shutil.copy(ROOT / "cassettes/all-cached.jsonl", "have.jsonl")
    for name, text in {
        "bad.txt": "nonsense", "empty.crec": "", "obj.json": "{}", "torn.json": '{"1":\n',
        "one.json": '{"a": {}}',
    }.items():  # fmt: skip
        Path(name).write_text(text)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


async def _recorded_nothing(*_: Any) -> None:
    """In place of recording until somebody presses Ctrl-C."""


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[row.typed for row in ROWS])
def test_a_wrong_use_is_one_sentence_with_a_mend_that_works(
    row: Row, url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_serve", _recorded_nothing)
    before = sorted(Path().iterdir())

    status = main(_argv(row.typed, url))
    out, said = capfd.readouterr()

    assert (status, out) == (row.status, "")
    assert said.startswith("comfyrec") and said.count("\n") == 1, said
    assert row.words in said
    assert not OF_PYTHON.search(said), said
    assert sorted(Path().iterdir()) == before, "nothing was left"

    status = main(_argv(row.mended, url))

    assert status not in (WRONG_USE, row.status), capfd.readouterr().err


def _argv(typed: str, url: str) -> list[str]:
    marked = typed.replace("{{", "\1").replace("}}", "\2").replace("{url}", url)
    return shlex.split(marked.replace("\1", "{").replace("\2", "}"))
