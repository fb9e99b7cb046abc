import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Server } from "bun";
import type { Fetch } from "../../src/bearer/provider-keys.ts";
import type { Clock, Pause } from "../../src/clock.ts";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { loadOptions } from "../../src/config/load.ts";
import { parseRoutes } from "../../src/config/routes.ts";
import { createMailbox, type LocalMailbox } from "../../src/mail/mailbox.ts";
import type { Mailer } from "../../src/mail/mailer.ts";
import type { EmailConfig } from "../../src/mail/settings.ts";
import { createLoggers } from "../../src/observe/log.ts";
import type { Client } from "../../src/provider/client.ts";
import type { TunnelData } from "../../src/proxy/tunnel.ts";
import { createGateway, type Gateway, listen } from "../../src/server.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { connectHome } from "./connector.ts";
import { freePort } from "./process.ts";

/** A whole gateway on a real port, with the clock, the mailer and the log in the test's hands. */
export type TestGateway = {
  /** `http://127.0.0.1:port`, no trailing slash. */
  readonly url: string;
  readonly port: number;
  /** Of the listener for checks, where `RUNEGATE_CHECK_LISTEN` is an address and a port. */
  readonly checkUrl: string;
  readonly gateway: Gateway;
  readonly mailbox: LocalMailbox;
  readonly stores: Store;
  /** Every line logged so far, at trace level. */
  readonly lines: readonly string[];
  /** Signs in through the front door, mail included, and gives the `Cookie` header of the session. */
  signIn(email?: string): Promise<string>;
  stop(): Promise<void>;
};

export type TestGatewaySettings = {
  /** `RUNEGATE_…` options. `target` is the usual one. */
  readonly env?: Readonly<Record<string, string>>;
  readonly target?: string;
  /** The text of a `routes.toml`, in place of a target. */
  readonly routes?: string;
  /** Applications that sign people in with us. */
  readonly clients?: readonly Client[];
  readonly clock?: Clock;
  readonly mailer?: Mailer;
  /** In place of none. Mail goes to the mailbox all the same. */
  readonly email?: EmailConfig;
  /** False: mail is not shown, as where it is really sent. */
  readonly mailbox?: false;
  readonly stores?: Store;
  /** Nobody who asks for a link waits by the clock unless this says so. */
  readonly pause?: Pause;
  /** Cuts slow heads sooner than anybody would want outside a test. */
  readonly idleSeconds?: number;
  /** How servers of others are asked. */
  readonly fetch?: Fetch;
};

const TEST_ENV = {
  RUNEGATE_LISTEN: "127.0.0.1:0",
  RUNEGATE_ALLOW_ANY_EMAIL: "true",
  RUNEGATE_LOG: "trace",
  RUNEGATE_REQUEST_LOGS: "true",
  RUNEGATE_RATE_LIMIT_ENABLED: "false",
  RUNEGATE_MAIL_CEILING: "0",
  RUNEGATE_CONTROL_SOCKET: "off",
};

/** With it, every application that a test names by its URL is behind a tunnel (`tunnel/data-path.system.test.ts`). */
const BEHIND_TUNNEL = process.env.RUNEGATE_TEST_TUNNEL === "1";

export async function startGateway(given: TestGatewaySettings = {}): Promise<TestGateway> {
  const behind = BEHIND_TUNNEL && given.target?.startsWith("http:") ? given.target : undefined;
  const directory = behind === undefined ? undefined : mkdtempSync(join(tmpdir(), "tunnel-"));
  const settings =
    directory === undefined
      ? given
      : { ...given, target: "tunnel:home", env: { ...given.env, RUNEGATE_TUNNEL_DIRECTORY: directory } };
  const clock = settings.clock ?? systemClock;
  const lines: string[] = [];
  // A free port is needed before the options are read, because the base URL names it.
  const port = settings.env?.RUNEGATE_LISTEN === undefined ? freePort() : undefined;
  // Not the whole configuration: a public base URL without an `email.toml`, which is a mistake, is a fair thing to test with.
  const env = {
    ...TEST_ENV,
    ...(port === undefined
      ? {}
      : { RUNEGATE_LISTEN: `127.0.0.1:${port}`, RUNEGATE_BASE_URL: `http://127.0.0.1:${port}` }),
    ...(settings.target === undefined ? {} : { RUNEGATE_TARGET_SERVICE: settings.target }),
    ...settings.env,
  };
  const { options } = loadOptions(
    { env },
    {
      envFiles: [],
      emailConfigs: [],
      routesFiles: [],
      serviceRuntimeDirectory: "/nonexistent",
      serviceCredentials: "/nonexistent",
      random: systemRandom,
    },
  );
  const routesFile =
    settings.routes === undefined ? undefined : parseRoutes(settings.routes, "routes.toml", options).file;
  const mailbox = createMailbox();
  const stores = settings.stores ?? createMemoryStore({ clock });
  const gateway = createGateway({
    options,
    email: settings.email,
    routesFile,
    clients: settings.clients ?? [],
    mailer: settings.mailer ?? mailbox,
    mailbox: settings.mailbox === false ? undefined : mailbox,
    stores,
    clock,
    random: systemRandom,
    pause: settings.pause ?? (() => Promise.resolve()),
    ...(settings.fetch === undefined ? {} : { fetch: settings.fetch }),
    ...(settings.idleSeconds === undefined ? {} : { idleSeconds: settings.idleSeconds }),
    loggers: createLoggers({
      format: options.logFormat,
      levels: options.logLevels,
      write: (line) => lines.push(line),
      now: clock.now,
      color: false,
    }),
  });
  await gateway.prepare();
  const server: Server<TunnelData> = listen(gateway, options.listen);
  const { checkListen } = options;
  const checkServer = checkListen && listen(gateway, checkListen, false, "checks");
  gateway.start();
  const url = `http://127.0.0.1:${server.port}`;
  const connector =
    behind === undefined
      ? undefined
      : await connectHome({ ...gateway, store: stores }, server.port ?? 0, [behind]);

  // Several applications are told apart by it.
  const host: Record<string, string> =
    settings.routes === undefined ? {} : { Host: new URL(options.baseUrl).host };

  async function signIn(email = "ada@example.org"): Promise<string> {
    const asked = await fetch(`${url}/_runegate/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...host },
      body: JSON.stringify({ email }),
    });
    if (!asked.ok) throw new Error(`asking for a link: ${asked.status} ${await asked.text()}`);
    await gateway.outbox.runDue();
    const link = mailbox.mails().find((mail) => mail.to === email)?.link;
    if (link === undefined) throw new Error(`no mail for ${email}`);
    const opened = await fetch(link.replace(/^https?:\/\/[^/]+/, url), {
      redirect: "manual",
      headers: { Cookie: cookieHeader(asked), ...host },
    });
    if (opened.status !== 302) throw new Error(`opening the link: ${opened.status} ${await opened.text()}`);
    // Not those that tell whose it was, and what browser.
    return cookieHeader(opened).replace(/; runegate_(?:device|last)=[^;]*/g, "");
  }

  return {
    url,
    port: server.port ?? 0,
    checkUrl: `http://127.0.0.1:${checkServer?.port}`,
    gateway,
    mailbox,
    stores,
    lines,
    signIn,
    async stop() {
      await connector?.stop(0);
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
      await Promise.all([server.stop(true), checkServer?.stop(true)]);
      await gateway.stop();
    },
  };
}

/** What a browser would send back: the cookies a response set. */
export function cookieHeader(response: Response): string {
  return response.headers
    .getSetCookie()
    .map((line) => line.split(";", 1)[0] ?? "")
    .join("; ");
}
