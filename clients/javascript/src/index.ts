export type * from "./control.js";
export type * from "./events.js";
export { findComfyrec } from "./find.js";
export type { Command } from "./find.js";
export { comfyuiFixture } from "./fixture.js";
export { matchers } from "./matchers.js";
export { Comfyrec, sharedComfyrec, startComfyrec } from "./process.js";
export type { StartOptions } from "./process.js";
export { ControlError, FakeComfyUI, Hold, makeServer, operate } from "./server.js";
