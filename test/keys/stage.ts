import type { Clock } from "../../src/clock.ts";
import type { NewKey } from "../../src/keys/wanted.ts";
import type { Store } from "../../src/store/store.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { type Received, startUpstream, type Upstream } from "../support/upstream.ts";
import { made, ROOT } from "./support.ts";

/** A gateway with API keys, applications that take them, and one that does not. */
export type Stage = {
  readonly gateway: TestGateway;
  readonly upstream: Upstream;
  /** Makes a key; Ada's unless said. */
  key(wanted?: Partial<NewKey>): Promise<{ readonly token: string; readonly id: string }>;
  /** Asks for a path of the first application. */
  ask(path: string, headers?: Readonly<Record<string, string>>, init?: RequestInit): Promise<Response>;
  /** What the application got last for a path. */
  got(path: string): Received | undefined;
  stop(): Promise<void>;
};

export type StageSettings = {
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly stores?: Store;
};

export const HOME = "app.example.org";

export async function openStage({ env = {}, ...settings }: StageSettings = {}): Promise<Stage> {
  const upstream = await startUpstream();
  const gateway = await startGateway({
    ...settings,
    env: {
      RUNEGATE_BASE_URL: `https://${HOME}`,
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_EMAILS: "ada@example.org,bob@example.org",
      RUNEGATE_API_KEYS: "true",
      RUNEGATE_SESSION_KEY: "5e".repeat(64),
      ...env,
    },
    routes: `
      [groups]
      admins = ["root@example.org"]
      machines = ["service:backup"]

      [[routes]]
      name = "lab"
      target = "${upstream.url}"
      allow = ["ada@example.org", "bob@example.org"]
      public_paths = ["/open"]
      api_keys = true

      [[routes]]
      name = "wiki"
      path = "/wiki"
      target = "${upstream.url}"
      allow = ["ada@example.org"]
      api_keys = true

      [[routes]]
      name = "shop"
      path = "/shop"
      target = "${upstream.url}"
      public_paths = ["/shop/open"]

      [[service_accounts]]
      name = "backup"
      routes = ["lab"]
      networks = ["127.0.0.0/8"]
    `,
  });
  return {
    gateway,
    upstream,
    async key(wanted = {}) {
      const answer = await gateway.gateway.apiKeys.create({ owner: "ada@example.org", ...wanted }, ROOT);
      const { token, key } = made(answer);
      return { token, id: key.id };
    },
    ask: (path, headers = {}, init = {}) =>
      fetch(gateway.url + path, { redirect: "manual", ...init, headers: { Host: HOME, ...headers } }),
    got: (path) => upstream.to(path).at(-1),
    async stop() {
      await gateway.stop();
      upstream.stop();
    },
  };
}

export const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
export const basic = (pair: string) => ({ Authorization: `Basic ${btoa(pair)}` });

/** Status and `error` of an answer. */
export async function said(asked: Promise<Response> | Response): Promise<string> {
  const response = await asked;
  const text = await response.text();
  const error = /"error": ?"([a-z_]+)"/.exec(text)?.[1];
  return error === undefined ? String(response.status) : `${response.status} ${error}`;
}
