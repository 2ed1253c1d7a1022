"""The right client with one thing wrong: a mutation for each scenario that needs one to fail it.

``FAILS`` says in which scenarios a mutation has to fail. They pass a normal run, but for
``WRONG_ANYWHERE``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp

from tests.comfyrec.check.specimens.by_hand import ByHand
from tests.comfyrec.check.specimens.right import TROUBLES, Client, Over, decoded, files_in

FAILS: Final[dict[type[Client], tuple[str, ...]]] = {}
WRONG_ANYWHERE: Final[set[type[Client]]] = set()
"""What these do wrong a normal run may show, too."""


def fails(*scenarios: str) -> Any:
    """Enter a mutation into the table."""

    def enter(client: type[Client]) -> type[Client]:
        FAILS[client] = scenarios
        return client

    return enter


# --- what it says --------------------------------------------------------------------------------


@fails(
    "auth-required", "html-instead-of-json", "origin-403", "rate-limit", "reject-400",
    "reject-500-text", "node-errors-list", "tls-self-signed", "upload-413",
)  # fmt: skip
class SaysNoReason(Client):
    """It reports a refusal and keeps the server's reason to itself."""

    async def report(self, over: Over) -> dict[str, Any]:
        self.problems = []
        return await super().report(Over(over.outcome, "it did not work", over.outputs))


# --- how it submits ------------------------------------------------------------------------------


@fails("http-hang")
class WaitsForEveryAnswer(Client):
    """No limit for a request."""

    request_s = 3_600


@fails("no-prompt-id-in-200", "redirect-drops-post")
class TrustsAny200(Client):
    """It takes every 200 for an accepted prompt, and lets redirects change its POST."""

    async def post(self, body: dict[str, Any]) -> tuple[str, str]:
        async with self.http.post(f"{self.base}/prompt", json=body) as answer:
            text = await answer.text()
            reply = decoded(text)
            if answer.status == 200 and not (isinstance(reply, dict) and "prompt_id" in reply):
                raise Over("success")
            return f"{answer.status} {answer.reason}", text


@fails("slow-start")
class TriesOnce(Client):
    """A server that does not answer at once is given up."""

    attempts = 1


@fails("api-prefix-only")
class KnowsBareRoutesOnly(Client):
    """A 404 means to it that the server is not up yet."""

    async def be_ready(self) -> None:
        for _ in range(self.attempts):
            async with self.http.get(f"{self.base}/prompt") as answer:
                if answer.status == 200:
                    return
        raise Over("lost", "the server does not come up")


@fails("base-path")
class ForgetsThePath(Client):
    """It joins addresses so that the path of the server is lost."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        super().__init__(f"{where.scheme}://{where.netloc}")


@fails("partial-accept")
class TakesWarningsForRefusals(Client):
    """A 200 with ``node_errors`` is a refusal to it."""

    async def post(self, body: dict[str, Any]) -> tuple[str, str]:
        status, text = await super().post(body)
        if (decoded(text) or {}).get("node_errors"):
            raise Over("rejected", text)
        return status, text


@fails("prompt-id-ignored", "prompt-id-refused")
class AssumesItsPromptId(Client):
    """It asks for an id, and does not look at the answer."""

    async def post(self, body: dict[str, Any]) -> tuple[str, str]:
        await super().post(body)
        return "200 OK", json.dumps({"prompt_id": body["prompt_id"]})


@fails("upload-renamed")
class KeepsTheOldName(Client):
    """It uploads, and does not look at the name that the answer gives."""

    async def upload(self, workflow: Any) -> None:
        names = {number: node["inputs"].get("image") for number, node in workflow.items()}
        await super().upload(workflow)
        for number, name in names.items():
            if name is not None:
                workflow[number]["inputs"]["image"] = name


@fails("upload-path-in-name")
class UploadsWithAPath(Client):
    """It puts the folder into the file name of an upload, and does not quote it."""

    async def upload(self, workflow: Any) -> None:
        loaded = [node["inputs"].get("image") for node in workflow.values()]
        for name in set(self.images) & {one for one in loaded if isinstance(one, str)}:
            form = aiohttp.FormData(quote_fields=False)
            content = self.images[name]
            form.add_field("image", content, filename=f"in/{name}", content_type="image/png")
            async with self.http.post(f"{self.base}/upload/image", data=form) as answer:
                if answer.status != 200:
                    raise Over("rejected", f"POST /upload/image: {answer.status}")
        self.images = {}


@fails("object-info-500", "object-info-huge")
class NeedsObjectInfo(Client):
    """It runs nothing without the catalogue of nodes, and has a bound for that."""

    async def be_ready(self) -> None:
        await super().be_ready()
        async with self.http.get(f"{self.base}/object_info") as answer:
            if answer.status != 200 or len(await answer.read()) > 8_000_000:
                raise Over("error", f"GET /object_info: {answer.status}")


@fails("queue-shapes")
class UnpacksRows(Client):
    """A row of the queue has five items to it, and no more."""

    async def submit(self, workflow: Any) -> None:
        await super().submit(workflow)
        queue = await self.get("/queue")
        for row in (*queue["queue_running"], *queue["queue_pending"]):
            _number, _prompt_id, _graph, _extra, _outputs = row


# --- what it takes for the end -------------------------------------------------------------------


@fails("blocked-error-then-success")
class FailsOnAnyError(Client):
    """Every ``execution_error`` is the end to it."""

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        if kind == "execution_error":
            raise Over("error", str(data.get("exception_message")))
        return super().take(kind, data)


class NeverAsks(Client):
    """It waits for the frames that it knows, however long nothing comes."""

    async def wait(self) -> None:
        while not await self.listen(60):
            if self.socket is None or self.socket.closed:
                raise Over("lost", "the socket is closed")
        await super().wait()


@fails("no-executing-null", "lying-docs")
class WaitsForTheNull(NeverAsks):
    """Only the null ``executing`` ends a prompt."""

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        super().take(kind, data)
        return kind == "executing" and data.get("node", "") is None


@fails("no-success-event", "lying-docs")
class WaitsForSuccess(NeverAsks):
    """Only ``execution_success`` ends a prompt."""

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        super().take(kind, data)
        return kind == "execution_success"


@fails("cached-intermediates", "cached-no-new-files", "partly-cached", "all-cached")
class WaitsForEveryNode(NeverAsks):
    """It counts nodes that run; the prompt is over when it has seen them all."""

    async def submit(self, workflow: Any) -> None:
        self.missing = set(workflow)
        await super().submit(workflow)

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        super().take(kind, data)
        self.missing -= {data.get("node")} if kind == "executing" else set()
        return not self.missing


@fails("no-previews")
class WaitsForAPreview(NeverAsks):
    """A node that reports steps has to have shown a preview."""

    stepped = previewed = False

    async def receive(self, within_s: float) -> tuple[str, Any] | None:
        found = await super().receive(within_s)
        self.previewed = self.previewed or found == ("", {})
        return found

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        self.stepped = self.stepped or kind == "progress"
        return super().take(kind, data) and self.previewed >= self.stepped


class EndsEarly(Client):
    """Something is the end to it, and the outputs are those that it has seen by then."""

    def is_end(self, kind: str, data: Any) -> bool:
        return False

    async def receive(self, within_s: float) -> tuple[str, Any] | None:
        found = await super().receive(within_s)
        if found is not None and self.prompt_id and self.is_end(*found):
            raise Over("success", outputs=self.outputs)
        return found


@fails("queue-zero-is-not-done")
class EndsOnQueueZero(EndsEarly):
    """An empty queue is the end of its prompt."""

    def is_end(self, kind: str, data: Any) -> bool:
        if kind != "status" or "sid" in data:
            return False
        return bool(data["status"]["exec_info"]["queue_remaining"] == 0)


@fails("duplicate-status")
class CountsStatus(EndsEarly):
    """Queued, started, done: the third ``status`` of a run is its last."""

    count = 0

    def is_end(self, kind: str, data: Any) -> bool:
        self.count += kind == "status" and "sid" not in data
        return self.count == 3


@fails("success-before-history")
class AsksOnce(Client):
    """What the history does not have at the first question is not there."""

    async def look_up(self) -> None:
        await super().look_up()
        if self.seen_end:
            raise Over("success", outputs={})


# --- what it cannot read -------------------------------------------------------------------------


@fails("composite-ids", "ids-as-numbers", "foreign-first-executing")
class LooksUpNodes(Client):
    """Every node that runs is one of its workflow, by the id that it has there."""

    async def submit(self, workflow: Any) -> None:
        self.titles = {number: node["class_type"] for number, node in workflow.items()}
        await super().submit(workflow)

    def read(self, text: str) -> tuple[str, Any]:
        kind, data = super().read(text)
        if kind == "executing" and data["node"] is not None:
            self.title = self.titles[data["node"]]
        return kind, data


@fails("progress-goes-back")
class MeasuresSpeed(Client):
    """Progress only grows, or it is wrong."""

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        if kind == "progress" and not 0 <= data["value"] <= data["max"]:
            raise ArithmeticError("more than all of it is done")
        return super().take(kind, data)


@fails("progress-goes-back", "partly-cached")
class ShowsMoreThanAll(Client):
    """It counts what runs against what is left, and clamps nothing."""

    done = 0

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        if kind == "progress":
            share = data["value"] / data["max"] if data["max"] else float("nan")
            self.problems.append(f"{share:.0%}")
        if kind == "executing" and data["node"] is not None:
            self.done += 1
            self.problems.append(f"{self.done / self.left:.0%}")
        if kind == "execution_cached":
            self.left -= len(data["nodes"]) + 2
        return super().take(kind, data)

    async def submit(self, workflow: Any) -> None:
        self.left = len(workflow)
        await super().submit(workflow)


@fails("progress-throttled")
class CountsSteps(Client):
    """Every step is reported, or some are missing."""

    step = 0

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        if kind == "progress":
            self.step += 1
            assert data["value"] == self.step, "a step is missing"
        return super().take(kind, data)


@fails("profile")
class NeedsProgressState(NeverAsks):
    """A run has begun with its first ``progress_state``."""

    begun = False

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        self.begun = self.begun or kind == "progress_state"
        return super().take(kind, data) and self.begun


@fails("fragmented")
class ReadsFramesForMessages(ByHand):
    """Each frame is a message to it."""

    joins_fragments = False

    def read(self, text: str) -> tuple[str, Any]:
        return super().read(json.dumps(json.loads(text)))


@fails("frame-with-101")
class WaitsToBeGreeted(ByHand):
    """It drops what came with the handshake, and submits when it was greeted."""

    reads_on = False

    async def learn_id(self) -> None:
        while await self.receive(60) is None:
            pass


@fails("deflate")
class OffersWhatItCannotInflate(ByHand):
    """Its handshake is copied from a browser."""

    extensions = "permessage-deflate"


# --- outputs -------------------------------------------------------------------------------------


class ReadsEntries(Client):
    """It looks at the history entry itself before the right client does."""

    def check(self, entry: Any) -> None:
        raise NotImplementedError

    async def get(self, route: str) -> Any:
        found = await super().get(route)
        if route.startswith("/history/") and found:
            self.check(next(iter(found.values())))
        return found


@fails("history-no-status", "status-null")
class IndexesStatus(ReadsEntries):
    """Every entry has a status."""

    def check(self, entry: Any) -> None:
        self.status = entry["status"]["status_str"]


@fails("missing-outputs-after-success")
class IndexesOutputs(ReadsEntries):
    """A success has outputs."""

    def check(self, entry: Any) -> None:
        self.first = next(iter(entry["outputs"].values()), None) or entry["outputs"]["9"]


@fails("non-dict-items")
class WalksImages(ReadsEntries):
    """Every item of an output is a file."""

    def check(self, entry: Any) -> None:
        for output in entry["outputs"].values():
            self.names = [item["filename"] for item in output["images"]]


@fails("output-kinds")
class ReportsImagesOnly(Client):
    """It knows pictures."""

    async def report(self, over: Over) -> dict[str, Any]:
        outputs = over.outputs or {}
        pictures = {
            node: {"images": output["images"]}
            for node, output in outputs.items()
            if "images" in output
        }
        return await super().report(Over(over.outcome, over.error, pictures))


@fails("same-node-ids")
class CollectsEveryOutput(Client):
    """Outputs are what ``executed`` said, whoever's prompt that was of."""

    def read(self, text: str) -> tuple[str, Any]:
        kind, data = super().read(text)
        if kind == "executed":
            self.outputs.setdefault(data["node"], data["output"])
        return kind, data

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        return super().take(kind, {**data, "output": None})

    async def report(self, over: Over) -> dict[str, Any]:
        return await super().report(Over(over.outcome, over.error, self.outputs))


@fails("history-slow")
class HurriesTheHistory(Client):
    """A history that does not answer within a moment does not know the prompt."""

    async def get(self, route: str) -> Any:
        return await asyncio.wait_for(super().get(route), 0.1)


class Fetches(Client):
    """It fetches the files of its outputs in a way of its own."""

    async def fetch(self, outputs: dict[str, Any]) -> None:
        for item in files_in(outputs):
            try:
                await self.fetch_one(item)
            except TROUBLES as error:
                self.problems.append(f"{item['filename']} could not be fetched: {error!r}")

    async def fetch_one(self, item: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def query_of(self, item: Mapping[str, Any]) -> dict[str, str]:
        return {name: item[name] for name in ("filename", "subfolder", "type") if name in item}


@fails("path-chars")
class PastesNames(Fetches):
    """It writes names into addresses as they are."""

    async def fetch_one(self, item: Mapping[str, Any]) -> None:
        query = "&".join(f"{name}={value}" for name, value in self.query_of(item).items())
        async with self.http.get(f"{self.base}/view?{query}") as answer:
            answer.raise_for_status()
            self.files[item["filename"]] = await answer.read()


@fails("windows-paths")
class TurnsBackslashes(Fetches):
    """It tidies the names of folders."""

    async def fetch_one(self, item: Mapping[str, Any]) -> None:
        query = self.query_of(item)
        query["subfolder"] = query.get("subfolder", "").replace("\\", "/")
        async with self.http.get(f"{self.base}/view", params=query) as answer:
            answer.raise_for_status()
            self.files[item["filename"]] = await answer.read()


@fails("view-404")
class CannotDoWithoutFiles(Fetches):
    """A file that is not there ends it."""

    async def fetch_one(self, item: Mapping[str, Any]) -> None:
        async with self.http.get(f"{self.base}/view", params=self.query_of(item)) as answer:
            if answer.status != 200:
                raise LookupError(item["filename"])
            self.files[item["filename"]] = await answer.read()


@fails("view-headers")
class GoesByTheContentType(Fetches):
    """What is not sent as a picture is none."""

    async def fetch_one(self, item: Mapping[str, Any]) -> None:
        async with self.http.get(f"{self.base}/view", params=self.query_of(item)) as answer:
            if answer.content_type.startswith("image/"):
                self.files[item["filename"]] = await answer.read()


@fails("view-redirect-302")
class FollowsNothing(Fetches):
    """It keeps the body of a redirect."""

    async def fetch_one(self, item: Mapping[str, Any]) -> None:
        async with self.http.get(
            f"{self.base}/view", params=self.query_of(item), allow_redirects=False
        ) as answer:
            answer.raise_for_status()
            self.files[item["filename"]] = await answer.read()


class HasAKey(Client):
    """It sends its key to the server, and to nobody else."""

    KEY = ("X-API-Key", "a-key-of-its-own")

    async def be_ready(self) -> None:
        self.http.headers.update([self.KEY])
        await super().be_ready()

    async def fetch(self, outputs: dict[str, Any]) -> None:
        del self.http.headers["X-API-Key"]
        await super().fetch(outputs)


@fails("view-redirect-302")
class SendsItsKeyAnywhere(HasAKey):
    """The library that it uses sends its own headers along when it is redirected."""

    async def fetch(self, outputs: dict[str, Any]) -> None:
        await Client.fetch(self, outputs)


@fails("view-redirect-302")
class PastesItsKeyIntoAddresses(Client):
    """Its key stands in the query, which a redirect repeats."""

    async def be_ready(self) -> None:
        await super().be_ready()
        self.http.headers["Authorization"] = "Bearer a-key-of-its-own"

    async def fetch(self, outputs: dict[str, Any]) -> None:
        for item in files_in(outputs):
            query = {name: item[name] for name in ("filename", "subfolder", "type")}
            address = f"{self.base}/view"
            async with self.http.get(address, params=query, allow_redirects=False) as answer:
                where = answer.headers.get("Location", f"{address}?{urlencode(query)}")
            headers = {"Authorization": ""}
            async with self.http.get(f"{where}&auth=a-key-of-its-own", headers=headers) as answer:
                self.files[item["filename"]] = await answer.read()


@fails("view-slow")
class HurriesFiles(Fetches):
    """The limit for a question is the limit for a file."""

    async def fetch_one(self, item: Mapping[str, Any]) -> None:
        limit = aiohttp.ClientTimeout(total=0.2)
        async with self.http.get(
            f"{self.base}/view", params=self.query_of(item), timeout=limit
        ) as answer:
            self.files[item["filename"]] = await answer.read()


@fails("view-truncated")
class KeepsHalfAFile(Fetches):
    """It keeps what came, however it ended."""

    async def fetch_one(self, item: Mapping[str, Any]) -> None:
        content = b""
        async with self.http.get(f"{self.base}/view", params=self.query_of(item)) as answer:
            answer.raise_for_status()
            try:
                async for piece in answer.content.iter_any():
                    content += piece
            finally:
                self.files[item["filename"]] = content


# --- what it does itself -------------------------------------------------------------------------


class Meddles(Client):
    """It asks the server to stop, and takes the 200 for done."""

    outcome = "interrupted"

    async def ask(self, route: str, body: Mapping[str, Any]) -> None:
        async with self.http.post(f"{self.base}{route}", json=body) as answer:
            if answer.status == 200:
                raise Over(self.outcome)


@fails("delete-running-noop")
class DeletesWhatRuns(Meddles):
    """A prompt with many steps is deleted from the queue, running or not."""

    outcome = "cancelled"

    async def receive(self, within_s: float) -> tuple[str, Any] | None:
        found = await super().receive(within_s)
        if found is not None and found[0] == "progress":
            await self.ask("/queue", {"delete": [self.prompt_id]})
        return found


@fails("interrupt-noop")
class InterruptsByItsClientId(Meddles):
    """It names its client where the prompt is to be named."""

    async def receive(self, within_s: float) -> tuple[str, Any] | None:
        found = await super().receive(within_s)
        if found is not None and found[0] == "progress":
            await self.ask("/interrupt", {"prompt_id": self.client_id})
        return found


@fails("interrupt-too-late")
class InterruptsAnyway(Meddles):
    """When it learns that somebody interrupts, it says so, whatever the history says."""

    async def look_up(self) -> None:
        if self.seen_end == "execution_success":
            await self.ask("/interrupt", {"prompt_id": self.prompt_id})
        await super().look_up()


WRONG_ANYWHERE |= {InterruptsAnyway, OffersWhatItCannotInflate, WaitsToBeGreeted}
