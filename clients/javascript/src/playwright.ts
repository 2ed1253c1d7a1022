import { findComfyrec } from "./find.js";
import { URL_VARIABLE } from "./process.js";

export { comfyuiFixture } from "./fixture.js";
export { matchers } from "./matchers.js";

/** For `webServer: webServer()` of playwright.config.ts: one comfyrec for all workers. */
export function webServer(port = 8189) {
  const url = `http://127.0.0.1:${port}`;
  process.env[URL_VARIABLE] = url;
  const command = findComfyrec().map((word) => `"${word}"`).join(" ");
  return {
    command: `${command} serve --port ${port} --speed auto`,
    url: `${url}/__fake__/`,
    reuseExistingServer: false,
    gracefulShutdown: { signal: "SIGTERM" as const, timeout: 5_000 },
  };
}
