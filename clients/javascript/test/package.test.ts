import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { comfyuiFixture, ControlError, findComfyrec, matchers, startComfyrec } from "../src/index.js";
import { comfyui } from "../src/node-test.js";

const PROMPT = {
  "1": { class_type: "EmptyImage", inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
  "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "a" } },
};

async function post(url: string, clientId = "me"): Promise<string> {
  const body = JSON.stringify({ prompt: PROMPT, client_id: clientId });
  const answer = await fetch(`${url}/prompt`, { method: "POST", body });
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { prompt_id: string }).prompt_id;
}

function program(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "comfyrec-")), "comfyrec");
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

test("each test has a server of its own", async (t) => {
  const first = await comfyui(t);
  const second = await comfyui(t);

  const promptId = await post(first.url);

  assert.notEqual(first.url, second.url);
  assert.deepEqual((await first.prompts()).map((one) => one.prompt_id), [promptId]);
  assert.deepEqual(await second.prompts(), []);
});

test("a wrong scenario is refused with the nearest name", async (t) => {
  await assert.rejects(comfyui(t, { scenario: "ws-silnt" }), {
    name: "ControlError",
    status: 400,
    message: /did you mean 'ws-silent'\?/,
  });
});

test("a field of an event that is unknown is refused", async (t) => {
  const server = await comfyui(t);

  await assert.rejects(server.holdAt("executin"), /did you mean 'executing'\?/);
});

test("what is served is changed, and scenarios are played together", async (t) => {
  const server = await comfyui(t, { scenario: "ws-silent:after=start" });

  await server.scenarios("ws-silent", { name: "queued-behind" });
  await server.plan({ "1": { raise: "no" } });
  await post(server.url);

  const history = (await (await fetch(`${server.url}/history`)).json()) as Record<string, any>;
  assert.deepEqual(Object.values(history).map((one) => one.status.status_str), ["error"]);
});

test("requests are waited for, counted and judged", async (t) => {
  const server = await comfyui(t);
  await post(server.url, "you");

  const seen = await server.waitForRequest("POST", "/prompt");
  const missed = await server.verify({ path: "/prompt", json: { client_id: "me" } }, { count: 1 });
  const verdict = await matchers.toHaveOpenedSocketBeforePost(server);

  assert.equal(seen.status, 200);
  assert.deepEqual(missed.near, ["POST /prompt -> 200: its body is 'you' at client_id, not 'me'"]);
  assert.equal(verdict.pass, false);
  assert.match(verdict.message(), /before a WebSocket/);
  assert.equal((await matchers.toHaveSubmitted(server, PROMPT)).pass, true);
});

test("a wait in vain is an error that says what was waited for", async (t) => {
  const server = await comfyui(t);

  const waited = server.waitForRequest("GET", "/queue", { timeout: 0 });

  await assert.rejects(waited, (error: ControlError) => error.status === 409);
});

test("a server is held after a frame, and goes away and comes back", async (t) => {
  const server = await comfyui(t);
  const hold = await server.holdAt("execution_start");
  const listening = get(`${server.url}/ws?clientId=me`, {
    headers: {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Version": "13",
    },
  });
  listening.on("upgrade", (_, socket) => socket.on("error", () => {}).resume());
  await server.waitForSocket();
  await post(server.url);

  await hold.wait();
  const last = await server.runUntil("execution_success");
  await last.release();
  await server.stop();
  await assert.rejects(fetch(`${server.url}/queue`));
  await server.start();

  assert.equal(hold.frame?.type, "execution_start");
  assert.equal(last.frame?.type, "execution_success");
  assert.equal((await fetch(`${server.url}/queue`)).status, 200);
});

test("the fixture ends its server and tells its complaints", async () => {
  let url = "";

  await comfyuiFixture()({}, async (server) => {
    url = server.url;
    await post(url);
  });

  await assert.rejects(fetch(`${url}/queue`));
});

test("a program that is not comfyrec is said", () => {
  const named = { COMFYREC: program("echo something else") };

  assert.throws(() => findComfyrec(named), /COMFYREC is .* which does not run comfyrec/);
  assert.throws(() => findComfyrec({ PATH: "/nowhere" }, "/nowhere"), /pip install comfyrec/);
});

test("an old comfyrec, and one that does not start, are said", async () => {
  const old = program("echo 'error: unrecognized arguments: --print json' >&2; exit 2");
  const broken = program("echo 'no such thing' >&2; exit 3");

  await assert.rejects(startComfyrec({ command: [old] }), /too old for this package/);
  await assert.rejects(startComfyrec({ command: [broken] }), /ended with 3 .*: no such thing/);
  await assert.rejects(startComfyrec({ args: ["--port", "x"] }), /--port x/);
});

test("comfyrec ends when it is closed", async () => {
  const comfyrec = await startComfyrec();

  await comfyrec.close();
  await comfyrec.close();

  await assert.rejects(fetch(comfyrec.url));
});

test("no comfyrec outlives a runner that is killed", async () => {
  const index = new URL("../src/index.js", import.meta.url).href;
  const code =
    `const { startComfyrec } = await import(${JSON.stringify(index)});` +
    "const one = await startComfyrec(); console.log(one.url); setInterval(() => {}, 1000);";
  const runner = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [url] = (await once(createInterface({ input: runner.stdout }), "line")) as [string];
  assert.equal((await fetch(`${url}/queue`)).status, 200);
  // The stream of events ends with the server, however long that takes.
  const held = fetch(`${url}/__fake__/wait/request`, {
    method: "POST",
    body: JSON.stringify({ method: "GET", path: "/never", timeout_s: 60 }),
  });

  runner.kill("SIGKILL");

  await assert.rejects(held);
  await assert.rejects(fetch(`${url}/queue`));
});

test("300 fresh servers take no more than 1.5 times as long as a bare one restarted", { skip: !process.env["COMFYREC_MEASURE"] }, async (t) => {
  const comfyrec = await startComfyrec();
  t.after(() => comfyrec.close());
  const fresh = async () => {
    const server = await comfyrec.server();
    await (await fetch(`${server.url}/queue`)).text();
    await server.close();
  };
  const bare = async () => {
    const server = createServer((_, answer) => answer.end("{}"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    await (await fetch(`http://127.0.0.1:${port}/queue`)).text();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  const took = async (work: () => Promise<void>) => {
    for (let n = 0; n < 20; n++) await work();
    const began = performance.now();
    for (let n = 0; n < 300; n++) await work();
    return performance.now() - began;
  };

  const [bareMs, freshMs] = [await took(bare), await took(fresh)];

  t.diagnostic(`bare ${bareMs.toFixed(0)} ms, fresh ${freshMs.toFixed(0)} ms`);
});
