// What a program does with `@comfyorg/sdk`, step by step; prints what came of each, as JSON.
//
// Called as `node driver.mjs FOLDER`, with COMFY_BASE_URL and, where it needs one, COMFY_API_KEY.
// COMFYREC_COMFYORG_SDK is the folder of the package. Ids, times and addresses are left out of what
// is printed: it is the same for each run.

import { deflateSync, crc32 } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const home = process.env.COMFYREC_COMFYORG_SDK;
const { Comfy } = await import(pathToFileURL(join(home, "dist", "index.js")).href);
const folder = process.argv[2];
// Another in each run, as programs do it: what was recorded is not asked for word by word.
const seed = Math.floor(Math.random() * 2 ** 48);
const pause = (ms) => new Promise((go) => setTimeout(go, ms));

function png(width) {
  const chunk = (kind, data) => {
    const checked = Buffer.concat([Buffer.from(kind), data]);
    const size = Buffer.alloc(4);
    const sum = Buffer.alloc(4);
    size.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(checked));
    return Buffer.concat([size, checked, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(8, 4);
  head[8] = 8;
  const rows = deflateSync(Buffer.alloc((width + 1) * 8));
  const start = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))];
  return new Uint8Array(Buffer.concat([start, ...parts]));
}

const node = (class_type, inputs) => ({ class_type, inputs });
const sampled = (steps, prefix) => ({
  1: node("CheckpointLoaderSimple", { ckpt_name: "v1-5-pruned-emaonly-fp16.safetensors" }),
  2: node("CLIPTextEncode", { text: "a bridge", clip: ["1", 1] }),
  3: node("EmptyLatentImage", { width: 64, height: 64, batch_size: 1 }),
  4: node("KSampler", {
    model: ["1", 0], positive: ["2", 0], negative: ["2", 0], latent_image: ["3", 0],
    seed, steps, cfg: 7, sampler_name: "euler", scheduler: "normal", denoise: 1,
  }),
  5: node("VAEDecode", { samples: ["4", 0], vae: ["1", 2] }),
  6: node("SaveImage", { images: ["5", 0], filename_prefix: prefix }),
});

const client = new Comfy({ apiKey: process.env.COMFY_API_KEY, timeoutMs: 20_000 });
const read = (graph) => client.workflows.fromJson(graph);
const same = (one, other) => Buffer.from(one).equals(Buffer.from(other));

async function failure(work) {
  try {
    await work();
    return "nothing";
  } catch (e) {
    const told = e.constructor.name === "JobFailed" ? [e.error?.code, e.error?.message] : e.code;
    return [e.constructor.name, told];
  }
}

const steps = {
  async uploads() {
    const picture = png(16);
    const options = { filename: "grey.png", contentType: "image/png" };
    const first = client.assets.fromBytes(picture, options);
    await first.commit();
    const again = client.assets.fromBytes(picture, options);
    await again.commit();
    const workflow = read({
      1: node("LoadImage", { image: "-" }),
      2: node("ImageInvert", { image: ["1", 0] }),
      3: node("SaveImage", { images: ["2", 0], filename_prefix: "inverted" }),
    });
    workflow.setInput("1", "image", first);
    const job = await client.run(workflow, { timeoutMs: 30_000 });
    const output = job.getOutputs("3")[0];
    const whole = await output.toBytes();
    const path = join(folder, "inverted.png");
    await output.toFile(path);
    const middle = await output.toBytes({ range: [1, 3] });
    const found = await client.assets.get(first.id);
    return {
      uploaded: [first.createdNew, again.createdNew, (await found.hash()) === (await first.hash())],
      status: job.status,
      outputs: job.outputs.map((one) => [one.nodeId, one.name, one.type, one.contentType]),
      bytes: [same(whole, readFileSync(path)), whole.length === output.sizeBytes, same(middle, whole.slice(1, 4))],
      "has url": Boolean((await output.getDownloadUrl()).url),
      graph: Object.keys((await job.getWorkflow()).workflow).sort(),
    };
  },

  async listens() {
    const job = await client.submit(read(sampled(4, "heard")));
    const heard = [];
    const begun = performance.now();
    for await (const event of job.events()) heard.push(event);
    const took = performance.now() - begun;
    const of = (type) => heard.filter((one) => one.kind === type);
    const last = of("progress").at(-1);
    await job.refresh();
    const graph = (await job.getWorkflow()).workflow;
    return {
      "at its pace": took > 250,
      "my seed": graph["4"].inputs.seed === seed,
      states: of("statusChange").map((one) => one.status).slice(-1),
      outputs: of("outputReady").map((one) => one.output.name),
      progress: [last.value, last.nodesDone === last.nodesTotal],
      job: [job.status, job.outputs.map((one) => one.name)],
    };
  },

  async cancels() {
    const job = await client.submit(read(sampled(9000, "never")));
    for (let tries = 0; tries < 200 && (await job.refresh()).status === "queued"; tries += 1) {
      await pause(50);
    }
    const started = job.status;
    await job.cancel();
    await job.wait(10_000);
    return [started, job.status, job.outputs.length, (await failure(() => job.result()))[0]];
  },

  async fails() {
    const bad = sampled(4, "bad");
    bad[4].inputs.sampler_name = "none of those";
    const broken = {
      1: node("EmptyImage", { width: 8, height: 8, batch_size: 1, color: 0 }),
      2: node("ImageBlur", { image: ["1", 0], blur_radius: 31, sigma: 1 }),
      3: node("SaveImage", { images: ["2", 0], filename_prefix: "never" }),
    };
    const info = { id: "00000000-0000-4000-8000-000000000000" };
    const lost = {
      1: node("LoadImage", { image: { __type: "core/ASSET", info } }),
      2: node("PreviewImage", { images: ["1", 0] }),
    };
    const idempotencyKey = `key-${seed}`;
    const once = await client.submit(read(sampled(1, "once")), { idempotencyKey });
    await once.wait(10_000);
    return {
      refused: await failure(() => client.submit(read(bad))),
      "as the page saves it": await failure(() => client.submit(read({ nodes: [], links: [], last_node_id: 0 }))),
      "missing asset": await failure(() => client.submit(read(lost))),
      failed: await failure(() => client.run(read(broken), { timeoutMs: 10_000 })),
      "unknown job": await failure(() => client.jobs.get("00000000-0000-4000-8000-000000000001")),
      "key used twice": await failure(() => client.submit(read(sampled(1, "once")), { idempotencyKey })),
    };
  },

  async deletes() {
    const asset = client.assets.fromBytes(png(24), { filename: "short.png", contentType: "image/png" });
    await asset.commit();
    const id = asset.id;
    await asset.delete();
    return failure(() => client.assets.get(id));
  },
};

const out = {};
for (const [name, step] of Object.entries(steps)) out[name] = await step();
console.log(JSON.stringify(out, null, 1));
