import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** One run that `comfyrec fuzz`, or `comfyrec check --lines`, asks for. */
export interface Job {
  /** Its number. */
  run: number;
  /** Of the server, without a slash at its end. */
  url: string;
  /** The same for WebSockets. */
  ws_url: string;
  /** The prompt to submit, in API format. */
  workflow: Record<string, { class_type: string; inputs: Record<string, unknown> }>;
  /** After so many seconds the client is stopped. */
  timeout_s: number;
  /** A key for the server; in a check. */
  token?: string;
  /** The workflow as a file, beside which lie the images that it loads; in a check. */
  workflow_file?: string;
  /** An empty folder for the files of the outputs, see `saves`; in a check. */
  out?: string;
}

/** What became of a run. */
export interface Told {
  outcome:
    | "success"
    | "error"
    | "interrupted"
    | "cancelled"
    | "rejected"
    | "lost"
    | "timed-out"
    | "failed";
  prompt_id?: string;
  /** By node, as in the history. */
  outputs?: Record<string, unknown>;
  error?: string;
}

export interface LineOptions {
  /** Your client saves the files of its outputs in the job's folder `out`. */
  saves?: boolean;
  input?: Readable;
  output?: Writable;
}

/** The version of the line protocol. */
const PROTOCOL = 1;

/**
 * Take jobs of `comfyrec fuzz` or `comfyrec check --lines` from standard input until it ends, one
 * after the other, and answer each on standard output. What `run` throws is reported as a crash. Print nothing to standard
 * output that begins with `{"comfyrec"`.
 */
export async function answerLines(
  run: (job: Job) => Promise<Told> | Told,
  { saves = false, input = process.stdin, output = process.stdout }: LineOptions = {},
): Promise<void> {
  const say = (told: object) => output.write(`${JSON.stringify({ comfyrec: told })}\n`);
  say({ ready: PROTOCOL, ...(saves ? { saves } : {}) });
  for await (const line of createInterface({ input })) {
    const job = jobOf(line);
    if (job !== undefined) say({ run: job.run, ...(await told(run, job)) });
  }
}

function jobOf(line: string): Job | undefined {
  try {
    const job = (JSON.parse(line) as { comfyrec?: Job } | null)?.comfyrec;
    return typeof job?.run === "number" ? job : undefined;
  } catch {
    return undefined;
  }
}

async function told(run: (job: Job) => Promise<Told> | Told, job: Job): Promise<object> {
  try {
    return await run(job);
  } catch (error) {
    const place = /([^/\\(]+:\d+):\d+\)?$/m.exec(error instanceof Error ? (error.stack ?? "") : "");
    return { crash: String(error), at: place?.[1] ?? "" };
  }
}
