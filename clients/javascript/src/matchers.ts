import type { AssertBody } from "./control.js";
import type { FakeComfyUI } from "./server.js";

interface Result {
  pass: boolean;
  message: () => string;
}

function matcher(name: AssertBody["name"]) {
  return async (server: FakeComfyUI, more: Omit<AssertBody, "name"> = {}): Promise<Result> => {
    const verdict = await server.judge(name, more);
    return { pass: verdict.ok, message: () => verdict.message ?? `${name} holds` };
  };
}

/** The assertions of the pytest fixture, for `expect.extend(matchers)`; await them. */
export const matchers = {
  toHaveOneTerminalEvent: matcher("one_terminal_event"),
  toHaveBeenInterrupted: matcher("interrupted"),
  toHaveUsedNoForeignPrompt: matcher("no_foreign_prompt_used"),
  toHaveOpenedSocketBeforePost: matcher("socket_before_post"),
  toHaveClosedAllSockets: matcher("all_closed"),
  toHaveSubmitted: async (
    server: FakeComfyUI,
    expected: Record<string, unknown>,
  ): Promise<Result> => matcher("prompt")(server, { expected }),
};
