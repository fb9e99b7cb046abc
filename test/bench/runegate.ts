import { randomBytes } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectControl } from "../../src/control/client.ts";
import {
  BenchError,
  begin,
  type Environment,
  freePort,
  type Listening,
  type Prepared,
  type Stage,
} from "./stage.ts";

/** A gateway as it runs in service, and a session in it. */

export type RunningGateway = Listening & {
  /** `Cookie` header of somebody who is signed in. */
  readonly cookie: string;
  readonly control: string;
};

/** How Runegate is started: from source, or as the executable. */
export const FROM_SOURCE: readonly string[] = [
  process.execPath,
  new URL("../../src/main.ts", import.meta.url).pathname,
];

/** Everybody here may sign in. */
export const DOMAIN = "example.org";

export type GatewaySettings = {
  /** For its files. */
  readonly name: string;
  /** The command line up to Runegate's own arguments. */
  readonly command?: readonly string[];
  readonly upstreamPort: number;
  readonly scheme?: "http" | "https";
  readonly options?: Environment;
};

export type PreparedGateway = Prepared & { readonly control: string };

/** Draws the secrets and writes the env file of a gateway with every feature on. */
export function prepareRunegate(stage: Stage, settings: GatewaySettings): PreparedGateway {
  const { name, command = FROM_SOURCE, upstreamPort, scheme = "http" } = settings;
  const port = freePort();
  const directory = mkdtempSync(join(stage.directory, `${name}-`));
  const control = join(directory, "control.sock");
  const options = {
    // Production would want a mail server; the way of a request is the same.
    RUNEGATE_ENV: "development",
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_BASE_URL: `${scheme}://127.0.0.1:${port}`,
    RUNEGATE_TARGET_SERVICE: `http://127.0.0.1:${upstreamPort}`,
    RUNEGATE_JWT_SECRET: randomBytes(32).toString("hex"),
    RUNEGATE_SESSION_KEY: randomBytes(64).toString("hex"),
    RUNEGATE_ALLOWED_DOMAINS: DOMAIN,
    // More mails than anybody is sent in an hour.
    RUNEGATE_MAIL_CEILING: "0",
    RUNEGATE_IDENTITY_HEADERS: "true",
    RUNEGATE_REQUEST_LOGS: "true",
    RUNEGATE_LOG_FORMAT: "json",
    RUNEGATE_CONTROL_SOCKET: control,
    ...settings.options,
  };
  const file = join(directory, "runegate.env");
  const lines = Object.entries(options).map(([option, value]) => `${option}=${value}\n`);
  writeFileSync(file, lines.join(""), { mode: 0o600 });
  return { name, port, control, command: [...command, "serve"], env: { RUNEGATE_ENV_FILE: file } };
}

export async function startRunegate(stage: Stage, settings: GatewaySettings): Promise<RunningGateway> {
  const prepared = prepareRunegate(stage, settings);
  const gateway = await begin(stage, prepared);
  const [link = ""] = await mintLinks(prepared, [`ada@${DOMAIN}`]);
  return { ...gateway, control: prepared.control, cookie: await redeem(gateway.port, link, settings.scheme) };
}

const CONTROL_PATIENCE_MS = 5_000;

/** Login links from the running instance, as `runegate link` gets them. @throws {BenchError} */
export async function mintLinks(
  gateway: { readonly control: string },
  addresses: readonly string[],
): Promise<string[]> {
  const control = connectControl(gateway.control);
  const links: string[] = [];
  // The port is open a moment before the control socket is.
  const giveUpAt = performance.now() + CONTROL_PATIENCE_MS;
  for (const address of addresses) {
    for (;;) {
      try {
        links.push((await control.link({ email: address })).link);
        break;
      } catch (error) {
        if (performance.now() > giveUpAt) {
          throw new BenchError(error instanceof Error ? error.message : String(error));
        }
        await Bun.sleep(20);
      }
    }
  }
  return links;
}

/** Uses a link up, as the button on its page does. @returns the `Cookie` header of the session. @throws {BenchError} */
export async function redeem(port: number, link: string, scheme = "http"): Promise<string> {
  const response = await fetch(`${scheme}://127.0.0.1:${port}/_runegate/auth`, {
    tls: { rejectUnauthorized: false },
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: new URL(link).searchParams.get("token") }),
  });
  const cookie = response.headers.getSetCookie().find((line) => line.startsWith("runegate_id="));
  const text = await response.text();
  const pair = cookie?.split(";", 1)[0];
  if (pair === undefined) throw new BenchError(`Signing in failed: ${response.status} ${text}`);
  return pair;
}
