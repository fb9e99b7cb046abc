import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectControl } from "../../src/control/client.ts";
import { signInWith } from "../control/support.ts";
import { cookieHeader } from "../support/gateway.ts";
import { freePort, type RunningProcess, runegate, startProcess } from "../support/process.ts";
import { type Application, startApplication } from "./application.ts";

/** A gateway as `runegate serve` starts it, with an application behind it and its options in a file that a test may edit. */
export type Stage = {
  readonly port: number;
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly application: Application;
  /** The process that was started; after a hand-over its successor is another. */
  readonly main: RunningProcess;
  readonly env: Readonly<Record<string, string>>;
  readonly directory: string;
  /** Replaces options in the file. `undefined` takes one out. */
  configure(options: Readonly<Record<string, string | undefined>>): void;
  /** Signs in with a link as an operator prints it, since a mail is sent after a while; gives the `Cookie` header. */
  signIn(email?: string): Promise<string>;
  /** Asks for a link, and gives it with the cookie of the browser that asked. */
  askForLink(
    email: string,
  ): Promise<{ readonly link: string; readonly code: string; readonly cookie: string }>;
  /** Workers, as the kernel knows them: children of the main process. */
  workers(): number[];
  /** Waits until the log says this, counted from the last call. */
  says(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
  /** Lines of the log that warn or are about an error. */
  complaints(): string[];
  /** A command of the command line on this instance. */
  command(...args: string[]): Promise<{ readonly code: number; readonly output: string }>;
} & AsyncDisposable;

export type StageSettings = {
  readonly workers?: number;
  readonly options?: Readonly<Record<string, string>>;
  /** In the environment, where the file has no say. */
  readonly env?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  /** Keeps the state in a file. */
  readonly sqlite?: boolean;
};

export async function openStage(settings: StageSettings = {}): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), "runegate-process-"));
  const application = startApplication();
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(directory, "runegate.env");
  let options: Record<string, string | undefined> = {
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_BASE_URL: url,
    RUNEGATE_TARGET_SERVICE: application.url,
    RUNEGATE_ALLOW_ANY_EMAIL: "true",
    RUNEGATE_RATE_LIMIT_ENABLED: "false",
    RUNEGATE_REQUEST_LOGS: "false",
    RUNEGATE_CONTROL_SOCKET: join(directory, "run", "control.sock"),
    RUNEGATE_WORKERS: String(settings.workers ?? 1),
    ...(settings.sqlite ? { RUNEGATE_STORE: `sqlite:${join(directory, "state.db")}` } : {}),
    // A successor has the same; drawn at random it would have others.
    RUNEGATE_JWT_SECRET: settings.sqlite ? "j".repeat(64) : undefined,
    RUNEGATE_SESSION_KEY: settings.sqlite ? "5".repeat(128) : undefined,
    ...settings.options,
  };
  function configure(changes: Readonly<Record<string, string | undefined>>): void {
    options = { ...options, ...changes };
    const lines = Object.entries(options).filter(([, value]) => value !== undefined);
    // At once, as an editor does it: a gateway that reads meanwhile sees all of it or nothing.
    writeFileSync(`${file}.new`, lines.map(([name, value]) => `${name}=${value}\n`).join(""), {
      mode: 0o600,
    });
    renameSync(`${file}.new`, file);
  }
  configure({});
  const env = { RUNEGATE_ENV_FILE: file, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535", ...settings.env };
  const main = startProcess([...(settings.command ?? runegate("serve"))], env, directory);
  let read = 0;
  /** Each from an address of its own, for the limits. */
  let visitors = 0;

  async function says(pattern: RegExp, withinMs = 20_000): Promise<RegExpExecArray> {
    const later = new RegExp(`^[\\s\\S]{${read}}[\\s\\S]*?(?:${pattern.source})`, pattern.flags);
    const match = await main.waitFor(later, withinMs);
    read = match[0].length;
    return match;
  }

  async function askForLink(email: string) {
    const asked = await fetch(`${url}/_runegate/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Forwarded-For": `10.0.0.${++visitors}` },
      body: JSON.stringify({ email }),
      keepalive: false,
    });
    if (!asked.ok) throw new Error(`asking for a link: ${asked.status} ${await asked.text()}`);
    const mail = new RegExp(
      `Mail for ${RegExp.escape(email)}\\n +Link: (\\S+)\\n +Code: (\\d{4} \\d{4})(?![\\s\\S]*Mail for ${RegExp.escape(email)})`,
    );
    const [, link = "", code = ""] = await main.waitFor(mail);
    return { link, code, cookie: cookieHeader(asked) };
  }

  const stage: Stage = {
    port,
    url,
    application,
    main,
    env,
    directory,
    configure,
    says,
    askForLink,
    signIn: async (email = "ada@example.org") =>
      signInWith((await connectControl(join(directory, "run", "control.sock")).link({ email })).link),
    workers: () => childrenOf(main.pid),
    complaints: () =>
      main
        .output()
        .split("\n")
        .filter((line) => / (WARN|ERROR) /.test(line)),
    async command(...args) {
      const ran = startProcess(runegate(...args), env, directory);
      const code = await ran.exited;
      return { code, output: ran.output() };
    },
    async [Symbol.asyncDispose]() {
      const successors = main.output().matchAll(/ successor=(\d+)/g);
      const mains = [main.pid, ...Array.from(successors, ([, pid]) => Number(pid))];
      // Main processes first, or they would start other workers.
      for (const pid of [...mains, ...mains.flatMap(childrenOf)]) kill(pid, "SIGKILL");
      await main.exited;
      application.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await says(/ listening /);
  } catch (error) {
    await stage[Symbol.asyncDispose]();
    throw error;
  }
  return stage;
}

/** By the threads that started them (proc(5)): to look at every process there is, many times a second, takes long. */
export function childrenOf(pid: number): number[] {
  let lists: string[];
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8"));
  } catch {
    // It has ended, or a thread of it has just now.
    return isAlive(pid) ? childrenOf(pid) : [];
  }
  return lists
    .flatMap((list) => list.split(" ").filter(Boolean).map(Number))
    .filter(isAlive)
    .sort((a, b) => a - b);
}

/** Undefined for a process that is gone, or dead and not yet waited for. */
function parentOf(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // proc(5): the name is in parentheses and may hold anything.
  const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === "Z" ? undefined : Number(parent);
}

export function isAlive(pid: number): boolean {
  return parentOf(pid) !== undefined;
}

/** @returns false where there is no such process any more. */
export function kill(pid: number, signal: NodeJS.Signals): boolean {
  // kill(2): these are everybody, or whoever runs the test.
  if (!(pid > 1)) throw new Error(`no process of ours has the id ${pid}`);
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Whether nobody listens on a port, not even somebody who would share it. */
export function isPortFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, exclusive: true, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}

/** Waits for a condition. @throws after `withinMs` */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<number> {
  const begun = performance.now();
  while (!(await holds())) {
    if (performance.now() - begun > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await Bun.sleep(5);
  }
  return performance.now() - begun;
}
