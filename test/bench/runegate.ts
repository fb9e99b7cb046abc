import { randomBytes } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Listening } from "./nginx.ts";
import { BenchError, freePort, type Stage } from "./stage.ts";

/** A gateway as it runs in service, and a session in it. */

export type RunningGateway = Listening & {
  /** `Cookie` header of somebody who is signed in. */
  readonly cookie: string;
};

const ADDRESS = "ada@example.org";

/**
 * @param name for its files.
 * @param runegate the command line up to Runegate's own arguments.
 */
export async function startRunegate(
  stage: Stage,
  name: string,
  runegate: readonly string[],
  upstreamPort: number,
): Promise<RunningGateway> {
  const port = freePort();
  const directory = mkdtempSync(join(stage.directory, `${name}-`));
  const options = {
    // Production would want a mail server; the way of a request is the same.
    RUNEGATE_ENV: "development",
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_BASE_URL: `http://127.0.0.1:${port}`,
    RUNEGATE_TARGET_SERVICE: `http://127.0.0.1:${upstreamPort}`,
    RUNEGATE_JWT_SECRET: randomBytes(32).toString("hex"),
    RUNEGATE_SESSION_KEY: randomBytes(64).toString("hex"),
    RUNEGATE_ALLOWED_EMAILS: ADDRESS,
    RUNEGATE_IDENTITY_HEADERS: "true",
    RUNEGATE_REQUEST_LOGS: "true",
    RUNEGATE_LOG_FORMAT: "json",
    RUNEGATE_CONTROL_SOCKET: join(directory, "control.sock"),
  };
  const file = join(directory, "runegate.env");
  const lines = Object.entries(options).map(([option, value]) => `${option}=${value}\n`);
  writeFileSync(file, lines.join(""), { mode: 0o600 });
  const env = { RUNEGATE_ENV_FILE: file };
  const started = await stage.start(name, [...runegate, "serve"], port, env);
  const link = await stage.run([...runegate, "link", ADDRESS], 10, env);
  return { ...started, port, cookie: await signIn(port, link.trim()) };
}

async function signIn(port: number, link: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/_runegate/auth`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: new URL(link).searchParams.get("token") }),
  });
  const cookie = response.headers.getSetCookie().find((line) => line.startsWith("runegate_id="));
  const pair = cookie?.split(";", 1)[0];
  if (pair === undefined)
    throw new BenchError(`Signing in failed: ${response.status} ${await response.text()}`);
  return pair;
}
