import type { ServerBody } from "./control.js";
import { sharedComfyrec } from "./process.js";
import type { FakeComfyUI } from "./server.js";

/** End a server, and fail when it complains: what was to happen did not. */
export async function closeOrFail(server: FakeComfyUI): Promise<void> {
  const complaints = await server.close();
  if (complaints.length > 0) throw new Error(`the fake server complains: ${complaints.join("; ")}`);
}

/**
 * A fixture for `test.extend({ comfyui: comfyuiFixture() })` of Vitest and Playwright: a fresh
 * server for each test.
 */
export function comfyuiFixture(options: ServerBody = {}) {
  // Both runners read the names that are taken apart here.
  return async ({}: object, use: (server: FakeComfyUI) => Promise<void>): Promise<void> => {
    const server = await (await sharedComfyrec()).server(options);
    try {
      await use(server);
    } catch (error) {
      await server.close();
      throw error;
    }
    await closeOrFail(server);
  };
}
