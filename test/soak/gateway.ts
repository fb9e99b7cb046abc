import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accepts, BenchError, freePort, type Stage } from "../bench/stage.ts";

/** A gateway in production, as a process of its own. */
export type SoakedGateway = {
  readonly port: number;
  /** Its pid, or the supervisor's. */
  readonly pid: number;
  readonly url: string;
  /** Runs a command of the same configuration. @throws {BenchError} if it fails. */
  run(...args: string[]): Promise<string>;
};

export type SoakedSettings = {
  readonly command: readonly string[];
  readonly applicationPort: number;
  readonly mailPort: number;
  /** As `RUNEGATE_STORE` says it. */
  readonly store: string;
  readonly workers: number;
  readonly onLine: (line: string) => void;
};

export const DOMAIN = "example.org";
export const SESSION_COOKIE = "runegate_id";

const START_MS = 10_000;
const COMMAND_SECONDS = 20;

export async function startGateway(stage: Stage, settings: SoakedSettings): Promise<SoakedGateway> {
  const { command, applicationPort, mailPort, store, workers, onLine } = settings;
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  // A directory of its own, which nobody else may write to: that of the control socket must be so.
  const directory = join(stage.directory, "gateway");
  mkdirSync(directory, { mode: 0o700 });
  const email = join(directory, "email.toml");
  writeFileSync(
    email,
    `smtp_host = "127.0.0.1"
smtp_port = ${mailPort}
smtp_tls = "none"
from_address = "Runegate <gate@${DOMAIN}>"
subject = "Your sign-in link"
body_template = """
{login_url}

    {code}
"""
`,
  );
  const options = {
    RUNEGATE_ENV: "production",
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_BASE_URL: url,
    RUNEGATE_TARGET_SERVICE: `http://127.0.0.1:${applicationPort}`,
    RUNEGATE_JWT_SECRET: randomBytes(32).toString("hex"),
    RUNEGATE_SESSION_KEY: randomBytes(64).toString("hex"),
    // There is no TLS here.
    RUNEGATE_SECURE_COOKIE: "false",
    RUNEGATE_ALLOWED_DOMAINS: DOMAIN,
    RUNEGATE_EMAIL_CONFIG: email,
    RUNEGATE_STORE: store,
    RUNEGATE_WORKERS: String(workers),
    // Short, so that all that is kept for a time has come and gone many times, and what is kept stays about the same.
    RUNEGATE_SESSION_TTL: "120s",
    RUNEGATE_SESSION_IDLE: "60s",
    RUNEGATE_MAGIC_LINK_EXPIRY: "1",
    RUNEGATE_EMAIL_COOLDOWN: "30",
    // More people sign in here than anywhere in an hour.
    RUNEGATE_MAIL_CEILING: "0",
    RUNEGATE_REQUEST_LOGS: "true",
    RUNEGATE_LOG_FORMAT: "json",
    RUNEGATE_CONTROL_SOCKET: join(directory, "control.sock"),
  };
  const file = join(directory, "runegate.env");
  const lines = Object.entries(options).map(([option, value]) => `${option}=${value}\n`);
  writeFileSync(file, lines.join(""), { mode: 0o600 });
  const env = { RUNEGATE_ENV_FILE: file };
  const said: string[] = [];
  const { pid } = stage.launch("runegate", [...command, "serve"], env, (line) => {
    if (said.length < 100) said.push(line);
    onLine(line);
  });
  const giveUpAt = performance.now() + START_MS;
  while (!(await accepts(port))) {
    if (performance.now() > giveUpAt) throw new BenchError(`The gateway does not start:\n${said.join("\n")}`);
    await Bun.sleep(20);
  }
  return {
    port,
    pid,
    url,
    run: (...args) => stage.run([...command, ...args], COMMAND_SECONDS, env),
  };
}
