import type { ServerBody } from "./control.js";
import { closeOrFail } from "./fixture.js";
import { sharedComfyrec, startComfyrec, URL_VARIABLE } from "./process.js";
import type { FakeComfyUI } from "./server.js";

export { matchers } from "./matchers.js";

/** For `globalSetup: "comfyrec/jest"`: one comfyrec for all workers; it ends with Jest. */
export default async function setup(): Promise<void> {
  process.env[URL_VARIABLE] = (await startComfyrec()).url;
}

interface Hooks {
  beforeEach(hook: () => Promise<void>): void;
  afterEach(hook: () => Promise<void>): void;
}

/** A fresh server for each test of the file or describe block; call what it gives in a test. */
export function useComfyUI(options: ServerBody = {}): () => FakeComfyUI {
  const { beforeEach, afterEach } = globalThis as unknown as Hooks;
  let server: FakeComfyUI | undefined;
  beforeEach(async () => {
    server = await (await sharedComfyrec()).server(options);
  });
  afterEach(async () => {
    if (server !== undefined) await closeOrFail(server);
    server = undefined;
  });
  return () => {
    if (server === undefined) throw new Error("there is a server only while a test runs");
    return server;
  };
}
