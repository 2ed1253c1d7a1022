import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A command that runs comfyrec: the program and the arguments before comfyrec's own. */
export type Command = readonly [program: string, ...before: string[]];

const WINDOWS = process.platform === "win32";
const PYTHONS = WINDOWS ? ["python.exe", "py.exe"] : ["python3", "python"];

/** The full path of a program on PATH, or undefined. */
function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const names = WINDOWS && !name.endsWith(".exe") ? [`${name}.exe`, `${name}.cmd`] : [name];
  for (const folder of (env["PATH"] ?? "").split(delimiter)) {
    for (const each of names) {
      const path = join(folder, each);
      if (folder !== "" && existsSync(path)) return path;
    }
  }
  return undefined;
}

function works([program, ...before]: Command): boolean {
  const ran = spawnSync(program, [...before, "--version"], { encoding: "utf8", timeout: 60_000 });
  return ran.status === 0 && ran.stdout.startsWith("comfyrec ");
}

/**
 * Find comfyrec: the program that COMFYREC names, `comfyrec` in a virtual environment of this
 * folder or on PATH, a Python that has it, or else uvx or pipx, which install it first.
 *
 * @throws Error when there is none; the message says how to get it.
 */
export function findComfyrec(env: NodeJS.ProcessEnv = process.env, folder = process.cwd()): Command {
  const named = env["COMFYREC"];
  if (named !== undefined && named !== "") {
    if (works([named])) return [named];
    throw new Error(`COMFYREC is ${named}, which does not run comfyrec; give the path of its program`);
  }
  const scripts = WINDOWS ? "Scripts" : "bin";
  const environments = [env["VIRTUAL_ENV"], join(folder, ".venv"), join(folder, "venv")];
  for (const each of environments) {
    if (each === undefined || each === "") continue;
    const program = join(each, scripts, WINDOWS ? "comfyrec.exe" : "comfyrec");
    if (existsSync(program) && works([program])) return [program];
  }
  const candidates: [string, ...string[]][] = [
    ["comfyrec"],
    ...PYTHONS.map((python): [string, ...string[]] => [python, "-m", "comfyrec"]),
    ["uvx", "comfyrec"],
    ["pipx", "run", "comfyrec"],
  ];
  for (const [program, ...before] of candidates) {
    const path = onPath(program, env);
    if (path !== undefined && works([path, ...before])) return [path, ...before];
  }
  throw new Error(
    "comfyrec was not found: install it with 'pip install comfyrec' or 'uv tool install comfyrec', " +
      "or name its program in the variable COMFYREC",
  );
}
