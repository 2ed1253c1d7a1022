"""Play one case against a server: its steps -> a transcript of answers and frames."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import json
import re
import time
from collections.abc import Iterator
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import unquote

import aiohttp
from yarl import URL

from tests.parity.normalize import UUID, Names, Stop, blank_catalogue, keep_matching, shape_of
from tests.parity.pictures import image_info
from tests.parity.traffic import Socket, content, dig, matches, multipart

WAIT_LIMIT = 4.0
"""Seconds that a single wait may take unless the step says otherwise."""
QUIET = 0.15
"""A socket that said nothing for this long (seconds) has nothing more to say."""
OWN_VERBS = (
    "ws", "send", "wait", "queue", "finish", "running", "idle", "sleep", "drop", "close", "mark",
)  # fmt: skip
HTTP_VERBS = ("get", "post", "put", "delete", "patch", "head", "options")
HEADERS = (
    "Content-Type", "Content-Disposition", "Content-Range", "Accept-Ranges", "Cache-Control",
    "Allow", "Location", "ETag", "Last-Modified", "X-Content-Type-Options",
    "Access-Control-Allow-Origin",
)  # fmt: skip


class Player:
    """Plays one case against one server and collects the transcript."""

    def __init__(self, session: aiohttp.ClientSession, base: str, case: dict, fake: bool) -> None:
        self.session, self.base, self.case, self.fake = session, base.rstrip("/"), case, fake
        self.names = Names()
        self.http: list[dict] = []
        self.sockets: dict[str, Socket] = {}
        self.prompts: dict[str, str | None] = {}  # name of a prompt -> name of its socket
        self.workflows = case.get("workflows") or {}
        parsed = URL(self.base)
        self.names.put("host", f"{parsed.host}:{parsed.port}", "<host>")
        self.names.values["hostname"] = parsed.host
        for key, value in (case.get("vars") or {}).items():
            self.names.values[key] = value

    def limit(self, step: dict) -> float:
        """Seconds that a wait may take; a real server gets more where the case asks for it."""
        limit = step.get("limit", WAIT_LIMIT)
        return min(limit, WAIT_LIMIT) if self.fake else limit

    # -- raw requests

    async def request(
        self, method: str, path: str, **options
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        url = URL(self.base + path, encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **options) as answer:
            return answer, await answer.read()

    async def set_up(self) -> None:
        """Empty queue and history, stop what runs, free the caches: so every case begins."""
        for path, body in (("/queue", {"clear": True}), ("/history", {"clear": True})):
            answer, _ = await self.request("POST", path, json=body)
            if answer.status != 200:
                raise Stop(f"set-up: POST {path} answered {answer.status}")
        if not await self.idle(0):
            await self.request("POST", "/interrupt", json={})
            if not await self.idle(3.0):
                raise Stop("set-up: the queue does not become empty")
            await self.request("POST", "/history", json={"clear": True})
        await self.request("POST", "/free", json={"unload_models": True, "free_memory": True})
        await asyncio.sleep(0.08)

    async def idle(self, limit: float) -> bool:
        deadline = time.monotonic() + limit
        while True:
            _, body = await self.request("GET", "/prompt")
            try:
                if json.loads(body)["exec_info"]["queue_remaining"] == 0:
                    return True
            except (ValueError, KeyError, TypeError):
                raise Stop("GET /prompt does not tell queue_remaining") from None
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.02)

    async def poll(self, path: str, ready, limit: float, what: str) -> None:
        deadline = time.monotonic() + limit
        while True:
            _, body = await self.request("GET", path)
            try:
                if ready(json.loads(body)):
                    return
            except (ValueError, KeyError, TypeError, IndexError):
                pass
            if time.monotonic() >= deadline:
                raise Stop(f"{what} within {limit:g} s")
            await asyncio.sleep(0.02)

    # -- the verbs of a case

    async def play(self) -> dict:
        problem = None
        try:
            await self.set_up()
            for index, step in enumerate(self.case["steps"], 1):
                try:
                    await self.step(self.names.fill(step))
                except Stop as stop:
                    raise Stop(f"step {index}: {stop}") from None
        except Stop as stop:
            problem = str(stop)
        except Exception as error:  # whatever the server did, the next case must still be played
            problem = f"{type(error).__name__}: {error}"
        finally:
            await self.quiet(0.6 if problem is None else 0.0)
            await self.leave()
        return self.transcript(problem)

    async def step(self, step: dict) -> None:
        for verb in OWN_VERBS:
            if verb in step:
                return await getattr(self, "do_" + verb)(step[verb], step)
        for verb in HTTP_VERBS:
            if verb in step:
                return await self.do_http(verb.upper(), step[verb], step)
        raise Stop(f"no verb in {sorted(step)}")

    async def do_sleep(self, seconds: float, _step: dict) -> None:
        await asyncio.sleep(seconds)

    async def do_idle(self, _value: Any, step: dict) -> None:
        if not await self.idle(self.limit(step)):
            raise Stop("the queue does not become empty")

    async def do_http(self, method: str, path: str, step: dict) -> None:
        options: dict[str, Any] = {
            "headers": {k: str(v) for k, v in (step.get("headers") or {}).items()}
        }
        if "json" in step:
            options["json"] = step["json"]
        elif "form" in step:
            options["data"], options["headers"]["Content-Type"] = multipart(step["form"])
        elif "text" in step or "hex" in step or "png" in step:
            options["data"] = content(step)
            options["headers"].setdefault("Content-Type", "application/json")
        if step.get("query"):
            path += "?" + "&".join(f"{k}={v}" for k, v in step["query"].items())
        try:
            answer, body = await self.request(method, path, **options)
        except aiohttp.ClientError as error:
            self.http.append(
                {"call": f"{method} {path}", "status": f"<{type(error).__name__}>", "headers": {}}
            )
            return
        value, raw = self.body(answer, body), self.json_or_none(body)
        for name, where in (step.get("save") or {}).items():
            try:
                saved = dig(raw, where)
                odd = where == "prompt_id" and not UUID.fullmatch(str(saved))
                label = f"<{name}{', not a UUID' if odd else ''}>"
                self.names.put(name, saved, label if step.get("label", True) else None)
            except (KeyError, IndexError, TypeError, ValueError):
                raise Stop(f"{method} {path} has no {where} to save") from None
        if (
            path.split("?")[0] in ("/prompt", "/api/prompt")
            and method == "POST"
            and isinstance(raw, dict)
            and "number" not in (step.get("json") or {})
        ):
            self.names.queue_number(raw.get("number"))
        if not step.get("silent"):
            entry = {
                "call": f"{method} {path}",
                "status": answer.status,
                "headers": {h: answer.headers[h] for h in HEADERS if h in answer.headers},
            }
            entry["headers"] = self.headers(entry["headers"])
            if "pick" in step:
                entry["picked"] = True
            self.http.append(entry | {"body": self.choose(value, step)})

    @staticmethod
    def json_or_none(body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError:
            return None

    @staticmethod
    def body(answer: aiohttp.ClientResponse, body: bytes) -> Any:
        if not body:
            return "<empty>"
        kind = answer.headers.get("Content-Type", "")
        image = image_info(body)
        if image:
            return {"<image>": image}
        if "json" in kind:
            try:
                return json.loads(body)
            except ValueError:
                pass
        if kind.startswith("text/html"):
            return "<html>"
        try:
            text = body.decode()
            if text.isprintable() or kind.startswith("text/"):
                return {"<text>": text if len(text) <= 600 else text[:600] + "..."}
        except UnicodeDecodeError:
            pass
        return {"<bytes>": len(body), "sha256": hashlib.sha256(body).hexdigest()[:12]}

    @staticmethod
    def headers(headers: dict) -> dict:
        if "ETag" in headers:
            headers["ETag"] = "<etag>"
        if "Last-Modified" in headers:
            headers["Last-Modified"] = "<date>"
        if "Allow" in headers:
            headers["Allow"] = ",".join(
                sorted(part.strip() for part in headers["Allow"].split(","))
            )
        return headers

    @staticmethod
    def choose(body: Any, step: dict) -> Any:
        """The part of a body that the case wants compared."""
        if "pick" in step:
            picked = {}
            for where in step["pick"]:
                try:
                    picked[where] = dig(body, where)
                except (KeyError, IndexError, TypeError, ValueError):
                    picked[where] = "<missing>"
            body = picked
        if "only" in step:
            pattern = re.compile(step["only"])
            body = (
                {k: keep_matching(v, pattern) for k, v in body.items()}
                if "pick" in step
                else keep_matching(body, pattern)
            )
        if step.get("sorted") and isinstance(body, list):
            body = sorted(body, key=lambda item: json.dumps(item, sort_keys=True))
        if step.get("catalogue"):
            body = blank_catalogue(body)
        if step.get("shape"):
            body = shape_of(body)
        if step.get("body") == "ignore":
            body = "<ignored>"
        return body

    async def do_ws(self, name: str, step: dict) -> None:
        client = step.get("client", f"parity-{name}-{self.names.values['rand']}")
        if client is not None and "client" not in step:
            self.names.labels[client] = f"<client {name}>"
        path = step.get("path", "/ws") + (f"?clientId={client}" if client is not None else "")
        client = client and unquote(client)
        self.names.values[name] = client
        socket = self.sockets[name] = Socket(name, client)
        url = URL(self.base.replace("http", "ws", 1) + path, encoded=True)
        try:
            socket.ws = await self.session.ws_connect(
                url,
                protocols=step.get("protocols", ()),
                headers=step.get("headers"),
                max_msg_size=0,
                autoping=True,
            )
        except aiohttp.WSServerHandshakeError as error:
            socket.add({"type": "<open>", "data": {"status": error.status}})
            return
        opened = {"status": 101} | (
            {"protocol": socket.ws.protocol} if step.get("protocols") else {}
        )
        socket.add({"type": "<open>", "data": opened})
        socket.reader = asyncio.create_task(socket.read())
        if "first" in step:
            await socket.ws.send_str(json.dumps(step["first"]))
        if not await self.heard(socket, "status"):
            return
        greeting = socket.frames[socket.seen - 1].get("data")
        sid = greeting.get("sid") if isinstance(greeting, dict) else None
        if isinstance(sid, str) and sid != client:
            form = "hex32" if re.fullmatch(r"[0-9a-f]{32}", sid) else "other"
            self.names.put(f"{name}.sid", sid, f"<sid {name} {form}>")
        if "first" in step:
            await self.heard(socket, "feature_flags")

    @staticmethod
    async def heard(socket: Socket, kind: str) -> bool:
        try:
            await socket.wait(lambda frame: frame.get("type") == kind, 1.0, kind, start=0)
            return True
        except Stop:
            return False

    def socket(self, name: str) -> Socket:
        if name not in self.sockets or self.sockets[name].ws is None:
            raise Stop(f"socket {name} is not open")
        return self.sockets[name]

    async def do_send(self, name: str, step: dict) -> None:
        ws = self.socket(name).ws
        try:
            if "hex" in step:
                await ws.send_bytes(bytes.fromhex(step["hex"]))
            elif "fill" in step:
                await ws.send_str("x" * step["fill"])
            else:
                await ws.send_str(json.dumps(step["json"]) if "json" in step else step["text"])
        except (ConnectionError, aiohttp.ClientError):
            pass  # the server hung up; the case sees it as a <closed> frame

    async def do_wait(self, name: str, step: dict) -> None:
        kind, where = step.get("frame"), step.get("where") or {}
        what = f"{kind or 'frame'} {json.dumps(where)}" if where else f"{kind or 'frame'}"
        for _ in range(step.get("times", 1)):
            await self.socket(name).wait(lambda f: matches(f, kind, where), self.limit(step), what)

    async def do_queue(self, workflow: str, step: dict) -> None:
        """POST /prompt with a workflow of the case, for the socket opened last if none is named."""
        open_sockets = [s.name for s in self.sockets.values() if s.ws is not None and not s.leaving]
        sender = step.get("from", open_sockets[-1] if open_sockets else None)
        prompt = self.names.fill(copy.deepcopy(self.workflows[workflow]))
        for where, value in (step.get("patch") or {}).items():
            holder, _, last = where.rpartition("/")
            dig(prompt, holder)[last] = value
        body = {"prompt": prompt} | (step.get("extra") or {})
        if sender:
            body.setdefault("client_id", self.sockets[sender].client)
        name = step.get("as", f"p{len(self.prompts) + 1}")
        self.prompts[name] = sender
        await self.do_http(
            "POST",
            step.get("path", "/prompt"),
            {"json": body, "save": {name: "prompt_id"}, "headers": step.get("headers")},
        )

    async def do_finish(self, prompts: str | list[str], step: dict) -> None:
        """Wait for the end of prompts: the closing frame on the socket, else the history entry."""
        for name in [prompts] if isinstance(prompts, str) else prompts:
            await self.finished(name, step)

    async def finished(self, name: str, step: dict) -> None:
        limit = self.limit(step)
        prompt_id, sender = self.names.lookup(name), self.prompts.get(name)
        if sender and step.get("via") != "history" and not self.sockets[sender].leaving:
            await self.sockets[sender].wait(
                lambda f: matches(f, "executing", {"node": None, "prompt_id": prompt_id}),
                limit,
                f"closing executing frame for {name}",
                start=0,
            )
        else:
            await self.poll(
                f"/history/{prompt_id}",
                lambda body: prompt_id in body,
                limit,
                f"{name} is not in the history",
            )

    async def do_running(self, name: str, step: dict) -> None:
        prompt_id = self.names.lookup(name)
        await self.poll(
            "/queue",
            lambda body: any(item[1] == prompt_id for item in body["queue_running"]),
            self.limit(step),
            f"{name} is not running",
        )

    async def do_drop(self, name: str, _step: dict) -> None:
        """Break the connection without a close frame."""
        socket = self.socket(name)
        socket.leaving = True
        socket.ws.get_extra_info("socket").shutdown(SHUT_RDWR)
        await asyncio.sleep(0.1)

    async def do_close(self, name: str, _step: dict) -> None:
        socket = self.socket(name)
        socket.leaving = True
        await socket.ws.close()
        await asyncio.sleep(0.1)

    async def do_mark(self, text: str, _step: dict) -> None:
        """Wait until all sockets are silent, then note the place in each of their transcripts."""
        await self.quiet(2.0)
        for socket in self.sockets.values():
            if not socket.leaving:
                socket.add({"type": "<mark>", "data": text})

    async def quiet(self, limit: float) -> None:
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            talking = [s.last for s in self.sockets.values() if s.ws is not None and not s.leaving]
            left = max(talking) + QUIET - time.monotonic() if talking else 0
            if left <= 0:
                return
            await asyncio.sleep(left)

    async def leave(self) -> None:
        for socket in self.sockets.values():
            socket.leaving = True
            if socket.ws is not None and not socket.ws.closed:
                with contextlib.suppress(TimeoutError, aiohttp.ClientError, ConnectionError):
                    await asyncio.wait_for(socket.ws.close(), 1.0)
            if socket.reader is not None:
                socket.reader.cancel()

    # -- the transcript

    def transcript(self, problem: str | None) -> dict:
        lanes: dict[str, list] = {}
        for socket in self.sockets.values():
            for lane, frame in self.in_lanes(socket):
                lanes.setdefault(lane, []).append(self.names.clean(frame))
        return {
            "problem": problem,
            "http": [self.names.clean(entry) for entry in self.http],
            "ws": lanes,
        }

    def in_lanes(self, socket: Socket) -> Iterator[tuple[str, dict]]:
        """Split the frames of a socket where the real server promises no order between them."""
        mode = self.case.get("lanes", "one")
        last_state = {
            str(f["data"].get("prompt_id")): i
            for i, f in enumerate(socket.frames)
            if f.get("type") == "progress_state" and isinstance(f.get("data"), dict)
        }
        for index, frame in enumerate(socket.frames):
            kind = frame.get("type")
            data = frame.get("data") if isinstance(frame.get("data"), dict) else {}
            lane = socket.name
            if mode == "status" and kind == "status" and "sid" not in data:
                lane += " status"
            elif mode == "node" and kind == "progress_state":
                if last_state.get(str(data.get("prompt_id"))) != index:
                    continue
            elif (
                mode == "node"
                and kind in ("executing", "executed", "progress")
                and data.get("node") is not None
            ):
                lane += f" node {data['node']}"
            yield lane, frame
