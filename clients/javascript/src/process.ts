import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";

import type { ServerBody } from "./control.js";
import { findComfyrec } from "./find.js";
import type { Command } from "./find.js";
import { makeServer } from "./server.js";
import type { FakeComfyUI } from "./server.js";

/** The variable that names a comfyrec that is running already. */
export const URL_VARIABLE = "COMFYREC_URL";

export interface StartOptions {
  /** What runs comfyrec; found when it is not said. */
  command?: Command;
  /** More options of `comfyrec serve`, such as `["--comfyui-version", "0.3.64"]`. */
  args?: readonly string[];
}

/** A running comfyrec, which makes servers on demand. */
export class Comfyrec {
  constructor(
    /** Base URL of its own server, without a slash at its end. */
    readonly url: string,
    private readonly child?: ChildProcess,
  ) {}

  /** A fresh server with a port of its own. */
  server(options: ServerBody = {}): Promise<FakeComfyUI> {
    return makeServer(this.url, options);
  }

  /** End the process and all its servers, if this object has started it. */
  async close(): Promise<void> {
    const child = this.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.ref();
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.stdin?.end();
    await ended;
  }
}

/**
 * Start comfyrec. It ends when this process does, however that ends: its standard input is closed
 * then.
 *
 * @throws Error when it cannot be found or does not start; the message says why.
 */
export async function startComfyrec({ command, args = [] }: StartOptions = {}): Promise<Comfyrec> {
  const [program, ...before] = command ?? findComfyrec();
  const flags = ["serve", "--port", "0", "--speed", "auto", "--print", "json"];
  const child = spawn(program, [...before, ...flags, "--exit-on-stdin-close", ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (piece: string) => {
    said = (said + piece).slice(-4_000);
  });
  const lines = createInterface({ input: child.stdout });
  const line = await new Promise<string>((resolve, reject) => {
    lines.once("line", resolve);
    child.once("error", (error) => reject(new Error(`${program} cannot be run: ${error.message}`)));
    child.once("close", (status) => reject(new Error(whyNot(program, status, said))));
  });
  const { url } = JSON.parse(line) as { url: string };
  // A runner that has nothing else to do ends, and comfyrec with it.
  child.unref();
  for (const pipe of [child.stdin, child.stdout, child.stderr]) (pipe as unknown as Socket).unref();
  return new Comfyrec(url, child);
}

function whyNot(program: string, status: number | null, said: string): string {
  if (/unrecognized arguments|unknown option/.test(said)) {
    return `${program} is too old for this package; update it with 'pip install -U comfyrec'`;
  }
  return `${program} ended with ${status} before it was ready: ${said.trim() || "it said nothing"}`;
}

let shared: Promise<Comfyrec> | undefined;

/** The one comfyrec of this process: that of COMFYREC_URL, or started when first asked for. */
export function sharedComfyrec(options: StartOptions = {}): Promise<Comfyrec> {
  const url = process.env[URL_VARIABLE];
  shared ??= url ? Promise.resolve(new Comfyrec(url)) : startComfyrec(options);
  return shared;
}
