import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cookieHeader } from "../support/gateway.ts";
import { exchange, type RawResponse } from "../support/raw.ts";
import { deadPort } from "../support/upstream.ts";

/** A gateway in a process of its own, as `runegate serve` starts it, with one visitor signed in. */
export type ServeProcess = {
  readonly port: number;
  readonly pid: number;
  /** `Cookie: …` of the session, as a header line. */
  readonly cookie: string;
  ask(line: string, fields?: readonly string[], body?: string | Uint8Array): Promise<RawResponse>;
  /** Physical memory it holds, in bytes. */
  memory(): number;
  /** The most it held since `forgetPeak`, in bytes. */
  peakMemory(): number;
  forgetPeak(): void;
  stop(): Promise<void>;
};

export async function startServe(
  target: string,
  env: Readonly<Record<string, string>> = {},
): Promise<ServeProcess> {
  const port = await deadPort();
  const directory = mkdtempSync(join(tmpdir(), "runegate-serve-"));
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../../src/main.ts"), "serve"], {
    cwd: directory,
    env: {
      RUNEGATE_LISTEN: `127.0.0.1:${port}`,
      RUNEGATE_BASE_URL: `http://127.0.0.1:${port}`,
      RUNEGATE_TARGET_SERVICE: target,
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
      RUNEGATE_CONTROL_SOCKET: "off",
      RUNEGATE_RATE_LIMIT_ENABLED: "false",
      RUNEGATE_REQUEST_LOGS: "false",
      RUNEGATE_ENV_FILE: "/dev/null",
      ...env,
    },
    stdout: "pipe",
    stderr: "inherit",
  });
  const link = linkOf(child.stdout);
  await listening(port, child);
  const asked = await fetch(`http://127.0.0.1:${port}/_runegate/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email: "ada@example.org" }),
    proxy: "",
  });
  const opened = await fetch(await link, { redirect: "manual", headers: { Cookie: cookieHeader(asked) } });
  const cookie = `Cookie: ${cookieHeader(opened)}`;

  const status = (field: string): number => {
    const text = readFileSync(`/proc/${child.pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024;
  };
  return {
    port,
    pid: child.pid,
    cookie,
    ask: (line, fields = [], body = "") => exchange(port, line, [cookie, ...fields], body),
    memory: () => status("VmRSS"),
    peakMemory: () => status("VmHWM"),
    // proc(5): "5" resets the high-water mark.
    forgetPeak: () => writeFileSync(`/proc/${child.pid}/clear_refs`, "5"),
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
      rmSync(directory, { recursive: true });
    },
  };
}

/** The login link that the development mailbox prints. */
async function linkOf(stdout: ReadableStream<Uint8Array>): Promise<string> {
  let printed = "";
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // Read on to the end, or the process would wait for a reader.
  void (async () => {
    for await (const piece of stdout) {
      printed += new TextDecoder().decode(piece);
      const link = /Link: (http\S+)/.exec(printed)?.[1];
      if (link !== undefined) resolve(link);
    }
    reject(new Error(`the gateway ended: ${printed}`));
  })();
  promise.catch(() => {});
  return promise;
}

async function listening(port: number, child: Bun.Subprocess): Promise<void> {
  for (let tries = 0; tries < 1_000 && child.exitCode === null; tries++) {
    try {
      if ((await exchange(port, "GET /_runegate/health")).status === 200) return;
    } catch {
      await Bun.sleep(10);
    }
  }
  throw new Error("the gateway did not start");
}
