import { startComfyrec, URL_VARIABLE } from "./process.js";

export { comfyuiFixture } from "./fixture.js";
export { matchers } from "./matchers.js";

/** For `globalSetup: ["comfyrec/vitest"]`: one comfyrec for all workers. */
export default async function setup(): Promise<() => Promise<void>> {
  const comfyrec = await startComfyrec();
  process.env[URL_VARIABLE] = comfyrec.url;
  return () => comfyrec.close();
}
