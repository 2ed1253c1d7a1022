import type { ServerBody } from "./control.js";
import { closeOrFail } from "./fixture.js";
import { sharedComfyrec } from "./process.js";
import type { FakeComfyUI } from "./server.js";

/** What is used of node:test's context. */
interface Context {
  after(hook: () => Promise<void>): void;
}

/** A fresh server for this test; it is ended after it. */
export async function comfyui(t: Context, options: ServerBody = {}): Promise<FakeComfyUI> {
  const server = await (await sharedComfyrec()).server(options);
  t.after(() => closeOrFail(server));
  return server;
}
