import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectControl } from "../../src/control/client.ts";
import { exchange, type RawResponse } from "../support/raw.ts";
import { deadPort } from "../support/upstream.ts";

/** A gateway in a process of its own, as `runegate serve` starts it, with one visitor signed in. */
export type ServeProcess = {
  readonly port: number;
  /** Where to connect to: the port, or the path of the unix socket. */
  readonly address: number | string;
  readonly pid: number;
  /** `Cookie: …` of the session, as a header line. */
  readonly cookie: string;
  ask(line: string, fields?: readonly string[], body?: string | Uint8Array): Promise<RawResponse>;
  /** Signs somebody else in, and gives what `cookie` is for them. */
  signIn(email: string): Promise<string>;
  /** Physical memory it holds, in bytes. */
  memory(): number;
  /** The most it held since `forgetPeak`, in bytes. */
  peakMemory(): number;
  forgetPeak(): void;
  stop(): Promise<void>;
};

/** @param unix listens on this path in place of a port. */
export async function startServe(
  target: string,
  env: Readonly<Record<string, string>> = {},
  unix?: string,
): Promise<ServeProcess> {
  const port = await deadPort();
  const address = unix ?? port;
  const directory = mkdtempSync(join(tmpdir(), "runegate-serve-"));
  const control = join(directory, "run", "control.sock");
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../../src/main.ts"), "serve"], {
    cwd: directory,
    env: {
      RUNEGATE_LISTEN: unix === undefined ? `127.0.0.1:${port}` : `unix:${unix}`,
      RUNEGATE_BASE_URL: `http://127.0.0.1:${port}`,
      RUNEGATE_TARGET_SERVICE: target,
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
      RUNEGATE_CONTROL_SOCKET: control,
      RUNEGATE_RATE_LIMIT_ENABLED: "false",
      RUNEGATE_REQUEST_LOGS: "false",
      RUNEGATE_ENV_FILE: "/dev/null",
      ...env,
    },
    stdout: "ignore",
    stderr: "inherit",
  });
  try {
    await listening(address, child, control);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }

  /** With a link as an operator prints it, since a mail is sent after a while. */
  async function signIn(email: string): Promise<string> {
    const token = new URL((await connectControl(control).link({ email })).link).searchParams.get("token");
    const body = JSON.stringify({ token });
    const fields = ["Content-Type: application/json", `Content-Length: ${body.length}`];
    const redeemed = await exchange(address, "POST /auth", fields, body);
    const [set = ""] = redeemed.all("set-cookie");
    return `Cookie: ${set.split(";", 1)[0]}`;
  }
  const cookie = await signIn("ada@example.org");

  const status = (field: string): number => {
    const text = readFileSync(`/proc/${child.pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024;
  };
  return {
    port,
    address,
    pid: child.pid,
    cookie,
    signIn,
    ask: (line, fields = [], body = "") => exchange(address, line, [cookie, ...fields], body),
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

/** Until it answers, and the operator too: with several workers their socket may be there later. */
async function listening(address: number | string, child: Bun.Subprocess, control: string): Promise<void> {
  for (let tries = 0; tries < 1_000 && child.exitCode === null; tries++) {
    try {
      const { status } = await exchange(address, "GET /_runegate/health");
      if (status === 200 && existsSync(control)) return;
    } catch {
      // Not yet.
    }
    await Bun.sleep(10);
  }
  throw new Error("the gateway did not start");
}
