// A client for `comfyrec fuzz`: right, or with one planted bug.
//
//     node --experimental-websocket build-test/fuzzed/client.js right
import { answerLines } from "../src/lines.js";
import type { Job, Told } from "../src/lines.js";

type Event = { type: string; data: Record<string, unknown> };
interface Socket {
  binaryType: string;
  close(): void;
  onopen: (() => void) | null;
  onclose: (() => void) | null;
  onerror: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
}

const QUIET_MS = 150;
const LIMIT_MS = 3_500;
const [bug = "right"] = process.argv.slice(2);
const { WebSocket } = globalThis as unknown as { WebSocket: new (url: string) => Socket };

class Run {
  private promptId = "";
  private wake: () => void = () => {};
  private closed = false;
  private wrong: unknown;
  private outcome: Told["outcome"] | undefined;

  constructor(private readonly job: Job) {}

  async outcomeOf(): Promise<Told> {
    const socket = await this.connect();
    try {
      const sent = await this.ask("/prompt", { prompt: this.job.workflow, client_id: "js" });
      if (typeof sent["prompt_id"] !== "string") return { outcome: "rejected" };
      this.promptId = sent["prompt_id"];
      return await this.wait();
    } catch (error) {
      if (this.wrong !== undefined || !(error instanceof TypeError)) throw error;
      return { outcome: "lost", error: String(error) }; // of fetch: the server is gone
    } finally {
      socket?.close();
    }
  }

  private async wait(): Promise<Told> {
    const until = Date.now() + LIMIT_MS;
    let absent = 0;
    while (Date.now() < until) {
      await this.quiet();
      if (this.wrong !== undefined) throw this.wrong;
      if (this.outcome !== undefined) return { outcome: this.outcome };
      if (bug === "waits_for_success" && !this.closed) continue;
      const told = await this.lookUp();
      if (told !== undefined) return told;
      const queue = JSON.stringify(await this.ask("/queue"));
      absent = queue.includes(this.promptId) ? 0 : absent + 1;
      if (absent === 3) return { outcome: "lost", prompt_id: this.promptId };
    }
    return { outcome: "timed-out", prompt_id: this.promptId };
  }

  private async lookUp(): Promise<Told | undefined> {
    const entries = await this.ask(`/history/${this.promptId}`);
    const entry = entries[this.promptId] as
      | { outputs: Record<string, unknown>; status: { status_str: string; messages: unknown[] } }
      | undefined;
    if (entry === undefined) return undefined;
    const interrupted = JSON.stringify(entry.status.messages).includes("execution_interrupted");
    const failed = interrupted ? "interrupted" : "error";
    const outcome = entry.status.status_str === "success" ? "success" : failed;
    return { outcome, prompt_id: this.promptId, outputs: entry.outputs };
  }

  private take(data: unknown): void {
    if (typeof data !== "string") return;
    let event: Event;
    try {
      event = JSON.parse(data) as Event;
    } catch (error) {
      if (bug === "parses_strictly") throw error;
      return;
    }
    const ours = event?.data?.["prompt_id"] === this.promptId;
    const isNull = event?.type === "executing" && event?.data?.["node"] === null;
    if (bug === "any_null_is_success" && isNull && this.promptId !== "") this.outcome = "success";
    if (ours && (isNull || event.type.startsWith("execution_"))) this.wake();
  }

  private quiet(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, QUIET_MS);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private connect(): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      const socket = new WebSocket(`${this.job.ws_url}/ws?clientId=js`);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => resolve(socket);
      socket.onerror = () => resolve(undefined);
      socket.onclose = () => {
        this.closed = true;
        resolve(undefined);
        this.wake();
      };
      socket.onmessage = ({ data }) => {
        try {
          this.take(data);
        } catch (error) {
          this.wrong = error;
          this.wake();
        }
      };
    });
  }

  private async ask(path: string, body?: object): Promise<Record<string, unknown>> {
    const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(`${this.job.url}${path}`, sent);
    return (await answer.json()) as Record<string, unknown>;
  }
}

await answerLines((job) => new Run(job).outcomeOf());
