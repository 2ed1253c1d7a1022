import { Agent, request } from "node:http";

import { OPERATIONS } from "./control.js";
import type {
  AssertBody,
  CassetteBody,
  DropBody,
  NamedScenario,
  Operations,
  PlanBody,
  ResetBody,
  ServerAnswer,
  ServerBody,
  VerifyBody,
} from "./control.js";
import type { EventData, EventType } from "./events.js";

/** What the control plane refused, or a wait in vain (status 409); the message is its sentence. */
export class ControlError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
    this.name = "ControlError";
  }
}

type Call<N extends keyof Operations> = {
  body?: Operations[N]["body"];
  query?: Operations[N]["query"];
  id?: number;
};

/** One operation of the control plane at `controlUrl`, by its name in openapi.json. */
export async function operate<N extends keyof Operations>(
  controlUrl: string,
  name: N,
  { body, query, id }: Call<N> = {},
): Promise<Operations[N]["gives"]> {
  const [method, path] = OPERATIONS[name];
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  const asked = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)])).toString();
  const url = `${controlUrl}${path.replace("{id}", String(id ?? ""))}${asked && `?${asked}`}`;
  const { status, text } = await ask(method, url, body === undefined ? "" : JSON.stringify(body));
  const told = JSON.parse(text) as { error?: string };
  if (status !== 200) throw new ControlError(told.error ?? `answered with ${status}`, status);
  return told as Operations[N]["gives"];
}

// Kept alive between operations; unlike those of fetch, its connections do not keep a runner alive.
const agent = new Agent({ keepAlive: true });

function ask(method: string, url: string, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Length": Buffer.byteLength(body) };
    const asked = request(url, { method, headers, agent }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (piece: string) => (text += piece));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on("error", reject);
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** Fields of an event's data that a frame must have. */
export type Where<E extends string> = E extends EventType
  ? Partial<EventData[E]>
  : Record<string, unknown>;
/** The type of a text frame, `preview` or `text` for binary ones, or `*` for any. */
export type EventName = EventType | "preview" | "text" | "*" | (string & {});

/** A hold on a server: it sends nothing after the frame, and answers requests. */
export class Hold {
  constructor(
    private readonly server: FakeComfyUI,
    readonly id: number,
    private message: string | null,
  ) {}

  /** The frame after which the server is held, parsed; null for a binary one, or none yet. */
  get frame(): { type: string; data: unknown } | null {
    return this.message === null ? null : (JSON.parse(this.message) as { type: string; data: unknown });
  }

  /** Wait until the server is held there. */
  async wait(seconds = 5): Promise<this> {
    const hold = await this.server.operate("hold", { id: this.id, query: { wait_s: seconds } });
    if (!hold.reached) throw new ControlError(`waited ${seconds} s for ${hold.frame}`, 409);
    this.message = hold.message;
    return this;
  }

  /** Let the server go on; a hold that was never reached is dropped. */
  async release(): Promise<void> {
    await this.server.operate("releaseHold", { id: this.id });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** A fresh fake ComfyUI server; what it does is what the pytest fixture `comfyui` does. */
export class FakeComfyUI {
  readonly id: number;
  /** Base URL, without a slash at its end. */
  readonly url: string;
  readonly wsUrl: string;
  readonly controlUrl: string;
  private closed = false;

  constructor(
    made: ServerAnswer,
    private readonly makerUrl: string,
  ) {
    this.id = made.id;
    this.url = made.url;
    this.wsUrl = made.ws_url;
    this.controlUrl = made.control_url;
  }

  /** One operation of the control plane, by its name in openapi.json. */
  operate<N extends keyof Operations>(name: N, call: Call<N> = {}) {
    return operate(this.controlUrl, name, call);
  }

  // What it does.

  async scenario(name: string, params: Record<string, unknown> = {}): Promise<this> {
    await this.operate("putScenario", { body: { name, params } });
    return this;
  }
  async scenarios(...scenarios: (string | NamedScenario)[]): Promise<this> {
    await this.operate("putScenarios", { body: { scenarios } });
    return this;
  }
  async cassette(file: string, more: Omit<CassetteBody, "file"> = {}): Promise<this> {
    await this.operate("putCassette", { body: { file, ...more } });
    return this;
  }
  async plan(nodes: Record<string, unknown>, more: Omit<PlanBody, "nodes"> = {}): Promise<this> {
    await this.operate("putPlan", { body: { nodes, ...more } });
    return this;
  }
  async learn(...workflows: Record<string, unknown>[]): Promise<Record<string, unknown>> {
    return (await this.operate("learn", { body: { workflows } })).learned;
  }
  reset(what?: NonNullable<ResetBody["what"]>) {
    return this.operate("reset", { body: what === undefined ? {} : { what } });
  }

  // What it saw.

  async requests(query: Operations["requests"]["query"] = {}) {
    return (await this.operate("requests", { query })).requests;
  }
  async prompts(query: Operations["prompts"]["query"] = {}) {
    return (await this.operate("prompts", { query })).prompts;
  }
  async uploads() {
    return (await this.operate("uploads")).uploads;
  }
  async sockets(query: Operations["sockets"]["query"] = {}) {
    return (await this.operate("sockets", { query })).sockets;
  }
  async frames(query: Operations["frames"]["query"] = {}) {
    return (await this.operate("frames", { query })).frames;
  }
  async journal(query: Operations["journal"]["query"] = {}) {
    return (await this.operate("journal", { query })).entries;
  }
  async complaints() {
    return (await this.operate("complaints")).complaints;
  }
  async unused() {
    return (await this.operate("unused")).unused;
  }

  // Waiting and holding.

  waitForRequest(
    method: Operations["waitForRequest"]["body"]["method"],
    path: string,
    { count = 1, timeout = 5 } = {},
  ) {
    return this.operate("waitForRequest", { body: { method, path, count, timeout_s: timeout } });
  }
  waitForSocket({ count = 1, timeout = 5 } = {}) {
    return this.operate("waitForSocket", { body: { count, timeout_s: timeout } });
  }
  async holdAt<E extends EventName>(event: E, where?: Where<E>): Promise<Hold> {
    const hold = await this.operate("holdAt", { body: { event, where: { ...where } } });
    return new Hold(this, hold.id, hold.message);
  }
  async release(): Promise<void> {
    await this.operate("release");
  }
  /** Let exactly one more frame out of a held server; gives it, null for a binary one. */
  async step(timeout = 5): Promise<string | null> {
    return (await this.operate("step", { body: { timeout_s: timeout } })).message;
  }
  async runUntil<E extends EventName>(event: E, where?: Where<E>, timeout = 5): Promise<Hold> {
    const body = { event, where: { ...where }, timeout_s: timeout };
    const hold = await this.operate("runUntil", { body });
    return new Hold(this, hold.id, hold.message);
  }

  // Judging.

  verify(
    request: VerifyBody["request"],
    bounds: Omit<VerifyBody, "request"> = {},
  ) {
    return this.operate("verify", { body: { request, ...bounds } });
  }
  /** An assertion of the pytest fixture: whether it holds, and what was there instead. */
  judge(name: AssertBody["name"], more: Omit<AssertBody, "name"> = {}) {
    return this.operate("assert", { body: { name, ...more } });
  }

  // Faults and time.

  async dropSocket(which: DropBody = {}): Promise<number[]> {
    return (await this.operate("dropSockets", { body: which })).dropped;
  }
  async stop(): Promise<void> {
    await this.operate("stop", { body: {} });
  }
  async start(): Promise<void> {
    await this.operate("start");
  }
  async restart(): Promise<void> {
    await this.operate("restart");
  }
  time() {
    return this.operate("time");
  }
  pause() {
    return this.operate("pause");
  }
  resume() {
    return this.operate("resume");
  }
  advance(seconds: number) {
    return this.operate("advance", { body: { seconds } });
  }
  setSpeed(speed: number | "max") {
    return this.operate("setSpeed", { body: { speed } });
  }

  /** End the server; gives what it complains of. Doing it twice is fine. */
  async close(): Promise<string[]> {
    if (this.closed) return [];
    this.closed = true;
    return (await operate(this.makerUrl, "endServer", { id: this.id })).complaints;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Make a fresh server at a running comfyrec. */
export async function makeServer(url: string, options: ServerBody = {}): Promise<FakeComfyUI> {
  const makerUrl = `${url}/__fake__`;
  return new FakeComfyUI(await operate(makerUrl, "makeServer", { body: options }), makerUrl);
}
