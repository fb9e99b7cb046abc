import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runegate as a process of its own, with everything it may touch in a directory of its own. */

export const REPOSITORY = join(import.meta.dir, "../..");
export const JWT_SECRET = "j".repeat(64);

export type Place = { readonly directory: string; readonly socket: string } & Disposable;

export function temporaryPlace(): Place {
  const directory = mkdtempSync(join(tmpdir(), "runegate-control-"));
  return {
    directory,
    socket: join(directory, "run", "control.sock"),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export type Environment = Readonly<Record<string, string>>;

export function environment(place: Place, port: number, more: Environment = {}): Environment {
  return {
    PATH: process.env.PATH ?? "",
    HOME: place.directory,
    RUNEGATE_ENV_FILE: "/dev/null",
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_BASE_URL: `http://127.0.0.1:${port}`,
    RUNEGATE_ALLOWED_EMAILS: "ada@example.org,bob@example.org",
    RUNEGATE_JWT_SECRET: JWT_SECRET,
    RUNEGATE_CONTROL_SOCKET: place.socket,
    ...more,
  };
}

export type Running = {
  readonly url: string;
  /** Standard output so far. */
  log(): string;
  /** Waits until the log has this, `times` times. */
  saw(text: string, times?: number): Promise<void>;
  stop(): Promise<number>;
};

export async function run(command: readonly string[], env: Environment, cwd: string): Promise<Running> {
  const child = Bun.spawn([process.execPath, ...command], { env, cwd, stdout: "pipe", stderr: "pipe" });
  let text = "";
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  };
  void read(child.stdout);
  void read(child.stderr);
  const running: Running = {
    url: env.RUNEGATE_BASE_URL ?? "",
    log: () => text,
    async saw(part, times = 1) {
      const end = performance.now() + 15_000;
      while (text.split(part).length <= times) {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${text}`);
        if (performance.now() > end) throw new Error(`no "${part}" within 15 s:\n${text}`);
        await Bun.sleep(10);
      }
    },
    stop() {
      child.kill("SIGTERM");
      return child.exited;
    },
  };
  await running.saw(" listening ");
  return running;
}

export type Outcome = { readonly code: number; readonly out: string; readonly err: string };

/** One command of the command line, from start to end. */
export async function runegate(args: readonly string[], env: Environment, cwd: string): Promise<Outcome> {
  const child = Bun.spawn([process.execPath, join(REPOSITORY, "src/main.ts"), ...args], {
    env,
    cwd,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out: out.trim(), err: err.trim() };
}

/** Signs in with a link as an operator prints it. */
export async function signInWith(link: string): Promise<string> {
  const { origin, searchParams } = new URL(link);
  const shown = await fetch(link, { keepalive: false });
  if (shown.status !== 200) throw new Error(`the link's page: ${shown.status}`);
  const redeemed = await fetch(`${origin}/auth`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: searchParams.get("token") }),
    keepalive: false,
  });
  if (redeemed.status !== 200) throw new Error(`redeeming: ${redeemed.status} ${await redeemed.text()}`);
  return redeemed.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
}

export async function isSignedIn(url: string, cookie: string): Promise<boolean> {
  const response = await fetch(`${url}/_runegate/session`, { headers: { Cookie: cookie } });
  return ((await response.json()) as { authenticated: boolean }).authenticated;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("not a TCP server");
  return address.port;
}
