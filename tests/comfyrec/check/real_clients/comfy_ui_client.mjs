// npm comfy-ui-client 0.1.2 as a command: URL WORKFLOW OUT. It listens once its POST is answered.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

process.env.PINO_LOG_LEVEL ??= "silent";
const installed = createRequire(join(process.env.COMFY_CLIENTS_HOME, "npm", "index.js"));
const { ComfyUIClient } = await import(installed.resolve("comfy-ui-client"));

const [url, workflow, out] = process.argv.slice(2);
const client = new ComfyUIClient(new URL(url).host, crypto.randomUUID());
await client.connect();
try {
  const images = await client.getImages(JSON.parse(readFileSync(workflow, "utf8")));
  await client.saveImages(images, out);
} finally {
  await client.disconnect();
}
