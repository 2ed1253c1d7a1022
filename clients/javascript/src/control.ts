// Made by make_types.py from comfyrec's schemas; do not edit.

/** Virtual seconds. */
export interface AdvanceBody {
  seconds: number;
}

/** An assertion of the pytest fixture, ``assert_`` left out. */
export interface AssertBody {
  name: "all_closed" | "interrupted" | "no_foreign_prompt_used" | "one_terminal_event" | "prompt" | "socket_before_post";
  prompt_id?: string | null;
  expected?: Record<string, unknown> | null;
  timeout_s?: number | null;
}

/** A path on the server's machine, or the name of a bundled cassette. */
export interface CassetteBody {
  file: string;
  strict?: boolean;
  scenarios?: (string | NamedScenario)[];
}

/** One workflow or several, in API format or as the web page saves them. */
export interface CatalogueBody {
  workflow?: Record<string, unknown> | null;
  workflows?: (Record<string, unknown>)[] | null;
}

/** What was to happen and did not, one sentence each. */
export interface Complaints {
  complaints: string[];
}

/** It was done. */
export interface Done {
  done?: "True";
}

/** Which open websockets to end, all by default, and how: cut, or closed with a code. */
export interface DropBody {
  socket?: number | null;
  client_id?: string | null;
  code?: number | null;
  reason?: string;
}

/** The sockets that were ended. */
export interface Dropped {
  dropped: number[];
}

/** The numbers of the servers that were ended, and what they complained of. */
export interface Ended {
  ended: number[];
  complaints: string[];
}

/** What is wrong, and how to mend it, in one sentence. */
export interface Error {
  error: string;
}

/** The frame that was let out; null for a binary one. */
export interface FrameAnswer {
  message: string | null;
}

/** Frames in order. */
export interface FrameList {
  frames: SeenFrame[];
}

/** A hold, and the frame after which the server is or was held (null: binary, or none yet). */
export interface HoldAnswer {
  id: number;
  frame: string;
  reached: boolean;
  message: string | null;
}

/** The frame after which to hold; ``*`` is any. */
export interface HoldBody {
  event: string;
  where?: Record<string, unknown>;
}

/** The holds that were not released. */
export interface HoldList {
  holds: HoldAnswer[];
  held_at: string | null;
}

/** Entries in order, and how many older ones are forgotten. */
export interface JournalAnswer {
  entries: (Record<string, unknown>)[];
  forgotten: number;
}

/** What was learned from workflows. */
export interface Learned {
  learned: Record<string, unknown>;
}

/** A scenario and its parameters. */
export interface NamedScenario {
  name: string;
  params?: Record<string, unknown>;
}

/** An OpenAPI 3.1 document. */
export interface OpenApi {
  openapi: string;
  info: Record<string, unknown>;
  servers: (Record<string, unknown>)[];
  paths: Record<string, unknown>;
  components: Record<string, unknown>;
}

/** What nodes do: node id -> keys of a plan. */
export interface PlanBody {
  nodes?: Record<string, unknown>;
  strict?: boolean;
  params?: Record<string, unknown>;
}

/** What the server does from now on. */
export interface Played {
  scenario: PlayedScenario | null;
  scenarios: PlayedScenario[];
  cassette: string | null;
}

/** A scenario that is played. */
export interface PlayedScenario {
  name: string;
  params: Record<string, unknown>;
  title: string;
}

/** Prompts in order. */
export interface PromptList {
  prompts: SeenPromptAnswer[];
}

/** Requests in order. */
export interface RequestList {
  requests: SeenRequestAnswer[];
}

/** What a request is like; what is not said may be anything. */
export interface RequestPattern {
  method?: "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT" | null;
  path?: string | null;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  status?: number | null;
  json?: Record<string, unknown> | null;
}

/** What to forget; all of it by default. */
export interface ResetBody {
  what?: ("cache" | "counters" | "files" | "history" | "journal" | "queue" | "scenario")[];
}

/** As a hold, and how long to wait. */
export interface RunUntilBody {
  event: string;
  where?: Record<string, unknown>;
  timeout_s?: number | null;
}

/** A scenario of the catalogue. */
export interface ScenarioAbout {
  name: string;
  row: string;
  category: string;
  summary: string;
  correct: string;
  truth: string[];
  parameters: Record<string, unknown>;
}

/** The catalogue. */
export interface ScenarioList {
  scenarios: ScenarioAbout[];
}

/** A frame that was sent to one socket. */
export interface SeenFrame {
  t_us: number;
  socket: number;
  type: string;
  text: string | null;
  size_bytes: number;
}

/** A prompt that was accepted. */
export interface SeenPromptAnswer {
  serial: number;
  t_us: number;
  prompt_id: string;
  client_id: string | null;
  graph: Record<string, unknown>;
  extra_data: Record<string, unknown>;
}

/** A request; ``status`` is null until its answer has left. */
export interface SeenRequestAnswer {
  serial: number;
  t_us: number;
  method: string;
  path: string;
  query: Record<string, string[]>;
  headers: ([string, string])[];
  size_bytes: number;
  text: string | null;
  json: unknown;
  status: number | null;
}

/** A WebSocket. */
export interface SeenSocketAnswer {
  socket: number;
  client_id: string | null;
  open: boolean;
  opened_us: number;
  closed_us: number | null;
  received: (string | null)[];
}

/** An upload that was accepted. */
export interface SeenUpload {
  serial: number;
  t_us: number;
  path: string;
  fields: Record<string, string>;
  files: UploadedFile[];
}

/** A server that was made. ``control_url`` works while it is stopped, too. */
export interface ServerAnswer {
  id: number;
  url: string;
  ws_url: string;
  control_url: string;
}

/** A server to make. What is not said is as with the server that makes it. */
export interface ServerBody {
  scenario?: string | NamedScenario | null;
  scenarios?: (string | NamedScenario)[];
  params?: Record<string, unknown>;
  plan?: Record<string, unknown> | null;
  cassette?: string | null;
  strict?: boolean;
  seed?: number | null;
  version?: string | null;
  surface?: string[] | null;
  object_info?: Record<string, unknown> | null;
  speed?: number | "max" | null;
  timeout_s?: number | null;
}

/** The servers that were made and not ended. */
export interface ServerList {
  servers: ServerAnswer[];
}

/** Scenarios that are played at once, as texts (``ws-silent:after=start``) or objects. */
export interface SeveralScenarios {
  scenarios: (string | NamedScenario)[];
}

/** Websockets in order. */
export interface SocketList {
  sockets: SeenSocketAnswer[];
}

/** Virtual seconds in a real one, or ``max``. */
export interface SpeedBody {
  speed: number | "max";
}

/** What this is and does. */
export interface State {
  what: string;
  comfyrec: string;
  url: string;
  ws_url: string;
  seed: number;
  scenario: PlayedScenario | null;
  scenarios: PlayedScenario[];
  cassette: string | null;
  time: TimeAnswer;
  held_at: string | null;
  facts: Record<string, unknown>;
  routes: Record<string, string[]>;
}

/** As time, and whether anything was due. */
export interface Stepped {
  now_us: number;
  speed: number | "max";
  next_us: number | null;
  stepped: boolean;
}

/** How long the server stays away, in real seconds; without it, until ``start``. */
export interface StopBody {
  seconds?: number | null;
}

/** Virtual time: the moment, the speed, and when something is due (null: nothing is). */
export interface TimeAnswer {
  now_us: number;
  speed: number | "max";
  next_us: number | null;
}

/** How long to wait. */
export interface TimeoutBody {
  timeout_s?: number | null;
}

/** What the cassette holds and this client never requested, a line each. */
export interface Unused {
  unused: string[];
}

/** Uploads in order. */
export interface UploadList {
  uploads: SeenUpload[];
}

/** A file of an upload. */
export interface UploadedFile {
  field: string;
  filename: string;
  content_type: string | null;
  size_bytes: number;
  sha256: string;
  base64: string;
}

/** Whether it holds; if not, ``message`` says what was there instead. */
export interface Verdict {
  ok: boolean;
  message?: string | null;
}

/** A verdict on requests. */
export interface Verified {
  ok: boolean;
  message?: string | null;
  count: number;
  near: string[];
}

/** How many such requests there must have been: at least one, if nothing is said. */
export interface VerifyBody {
  request: RequestPattern;
  count?: number | null;
  at_least?: number | null;
  at_most?: number | null;
}

/** Requests to wait for. */
export interface WaitRequestBody {
  method: "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT";
  path: string;
  count?: number;
  timeout_s?: number | null;
}

/** Websockets to wait for. */
export interface WaitSocketBody {
  count?: number;
  timeout_s?: number | null;
}

/** What was forgotten. */
export interface WasReset {
  reset: string[];
}

export interface Operations {
  /** What this is and does. */
  state: { body: undefined; query: { }; gives: State };
  /** This description, as an OpenAPI document. */
  openapi: { body: undefined; query: { }; gives: OpenApi };
  /** Make a fresh server with a port of its own; it ends with the one that made it. */
  makeServer: { body: ServerBody; query: { }; gives: ServerAnswer };
  /** The servers that were made. */
  servers: { body: undefined; query: { }; gives: ServerList };
  /** End all of them. */
  endServers: { body: undefined; query: { }; gives: Ended };
  /** End one of them. All operations work below this path, too. */
  endServer: { body: undefined; query: { }; gives: Ended };
  /** All scenarios with their parameters. */
  listScenarios: { body: undefined; query: { }; gives: ScenarioList };
  /** Play another scenario from now on, as if started anew on the same port. */
  putScenario: { body: NamedScenario; query: { }; gives: Played };
  /** Play several scenarios at once from now on. */
  putScenarios: { body: SeveralScenarios; query: { }; gives: Played };
  /** Replay a cassette from now on. */
  putCassette: { body: CassetteBody; query: { }; gives: Played };
  /** Say what nodes do from now on. */
  putPlan: { body: PlanBody; query: { }; gives: Played };
  /** Have the server run these workflows from now on. */
  learn: { body: CatalogueBody; query: { }; gives: Learned };
  /** Forget what happened, and play what was played at the start. */
  reset: { body: ResetBody; query: { }; gives: WasReset };
  /** Requests, answers, frames, holds and faults in order, secrets hidden. */
  journal: { body: undefined; query: {   after?: number;   what?: "answer" | "closed" | "cut" | "dropped" | "fault" | "held" | "left" | "received" | "released" | "request" | "sent" | "upgrade" | null; }; gives: JournalAnswer };
  /** HTTP requests, whole: what a client sent as a secret is shown, too. */
  requests: { body: undefined; query: {   method?: "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT" | null;   path?: string | null;   status?: number | null;   after?: number; }; gives: RequestList };
  /** Prompts that were accepted. */
  prompts: { body: undefined; query: {   prompt_id?: string | null;   client_id?: string | null; }; gives: PromptList };
  /** Uploads that were accepted, with their files. */
  uploads: { body: undefined; query: { }; gives: UploadList };
  /** Websockets, open and closed. */
  sockets: { body: undefined; query: {   client_id?: string | null;   open?: boolean | null; }; gives: SocketList };
  /** Frames that were sent, once for each socket. */
  frames: { body: undefined; query: {   type?: string | null;   socket?: number | null; }; gives: FrameList };
  /** What was to happen and did not. */
  complaints: { body: undefined; query: { }; gives: Complaints };
  /** What the cassette holds and the client never requested. */
  unused: { body: undefined; query: { }; gives: Unused };
  /** Wait until so many such requests have come in all; gives the last of them. */
  waitForRequest: { body: WaitRequestBody; query: { }; gives: SeenRequestAnswer };
  /** Wait until so many websockets have been opened in all; gives the last of them. */
  waitForSocket: { body: WaitSocketBody; query: { }; gives: SeenSocketAnswer };
  /** Hold the server after the next frame that fits. */
  holdAt: { body: HoldBody; query: { }; gives: HoldAnswer };
  /** The holds that were not released. */
  holds: { body: undefined; query: { }; gives: HoldList };
  /** One hold; waits up to wait_s until it is reached. */
  hold: { body: undefined; query: {   wait_s?: number; }; gives: HoldAnswer };
  /** Let the server go on from this hold; one that was never reached is dropped. */
  releaseHold: { body: undefined; query: { }; gives: Done };
  /** Let a held server go on. */
  release: { body: undefined; query: { }; gives: Done };
  /** Let exactly one more frame out of a held server; gives it. */
  step: { body: TimeoutBody; query: { }; gives: FrameAnswer };
  /** Release, and wait until the server is held after such a frame. */
  runUntil: { body: RunUntilBody; query: { }; gives: HoldAnswer };
  /** Whether so many such requests came; if not, which ones all but fit. */
  verify: { body: VerifyBody; query: { }; gives: Verified };
  /** Whether an assertion of the pytest fixture holds. */
  assert: { body: AssertBody; query: { }; gives: Verdict };
  /** Cut open websockets without a close frame, or close them with a code. */
  dropSockets: { body: DropBody; query: { }; gives: Dropped };
  /** Cut all connections and refuse new ones, those of this control plane as well: say for how many seconds, or ask the server that made this one. */
  stop: { body: StopBody; query: { }; gives: Done };
  /** Come back on the same port, as a fresh process that remembers nothing. */
  start: { body: undefined; query: { }; gives: Done };
  /** Stop and start: queue and history are gone. */
  restart: { body: undefined; query: { }; gives: Done };
  /** Virtual time. */
  time: { body: undefined; query: { }; gives: TimeAnswer };
  /** Stop virtual time. */
  pause: { body: undefined; query: { }; gives: TimeAnswer };
  /** Let it go on. */
  resume: { body: undefined; query: { }; gives: TimeAnswer };
  /** Move virtual time to what is due next. */
  stepTime: { body: undefined; query: { }; gives: Stepped };
  /** Move virtual time on; what is due on the way happens at its own moment. */
  advance: { body: AdvanceBody; query: { }; gives: TimeAnswer };
  /** Let virtual time go at another speed. */
  setSpeed: { body: SpeedBody; query: { }; gives: TimeAnswer };
}

export const OPERATIONS = {
  state: ["GET", ""],
  openapi: ["GET", "/openapi.json"],
  makeServer: ["POST", "/servers"],
  servers: ["GET", "/servers"],
  endServers: ["DELETE", "/servers"],
  endServer: ["DELETE", "/servers/{id}"],
  listScenarios: ["GET", "/scenarios"],
  putScenario: ["PUT", "/scenario"],
  putScenarios: ["PUT", "/scenarios"],
  putCassette: ["PUT", "/cassette"],
  putPlan: ["PUT", "/plan"],
  learn: ["POST", "/catalogue"],
  reset: ["POST", "/reset"],
  journal: ["GET", "/journal"],
  requests: ["GET", "/requests"],
  prompts: ["GET", "/prompts"],
  uploads: ["GET", "/uploads"],
  sockets: ["GET", "/sockets"],
  frames: ["GET", "/frames"],
  complaints: ["GET", "/complaints"],
  unused: ["GET", "/unused"],
  waitForRequest: ["POST", "/wait/request"],
  waitForSocket: ["POST", "/wait/socket"],
  holdAt: ["POST", "/holds"],
  holds: ["GET", "/holds"],
  hold: ["GET", "/holds/{id}"],
  releaseHold: ["DELETE", "/holds/{id}"],
  release: ["POST", "/release"],
  step: ["POST", "/step"],
  runUntil: ["POST", "/run_until"],
  verify: ["POST", "/verify"],
  assert: ["POST", "/assert"],
  dropSockets: ["POST", "/sockets/drop"],
  stop: ["POST", "/stop"],
  start: ["POST", "/start"],
  restart: ["POST", "/restart"],
  time: ["GET", "/time"],
  pause: ["POST", "/time/pause"],
  resume: ["POST", "/time/resume"],
  stepTime: ["POST", "/time/step"],
  advance: ["POST", "/time/advance"],
  setSpeed: ["PUT", "/time/speed"],
} as const satisfies Record<keyof Operations, readonly [string, string]>;
