// npm @saintno/comfyui-sdk 0.3.1, its CallWrapper, as a command: URL WORKFLOW OUT. It waits for a
// 'status' message that comes after the answer to its POST.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const installed = createRequire(join(process.env.COMFY_CLIENTS_HOME, "npm", "index.js"));
const sdk = await import(installed.resolve("@saintno/comfyui-sdk"));
// Some versions are CommonJS, whose names Node does not see.
const { ComfyApi, CallWrapper, PromptBuilder } = sdk.default ?? sdk;

const [url, workflow, out] = process.argv.slice(2);
const prompt = JSON.parse(readFileSync(workflow, "utf8"));
const outputs = Object.keys(prompt).filter((node) => /Save|Preview/.test(prompt[node].class_type));
let builder = new PromptBuilder(prompt, [], outputs);
for (const node of outputs) builder = builder.setOutputNode(node, node);

const api = new ComfyApi(url, crypto.randomUUID()).init();
await api.waitForReady();
let failure;
// run() may never resolve where onFinished is called: whoever uses it takes the first of both.
const result = await new Promise((resolve) => {
  const call = new CallWrapper(api, builder);
  call.onFailed((error) => (failure = error)).onFinished(resolve);
  call.run().then(resolve);
});
for (const node of result ? outputs : []) {
  for (const image of result[node]?.images ?? []) {
    const blob = await api.getImage(image);
    writeFileSync(join(out, basename(image.filename)), Buffer.from(await blob.arrayBuffer()));
  }
}
api.destroy();
if (!result) console.error(String(failure ?? "it failed"));
process.exit(result ? 0 : 1);
