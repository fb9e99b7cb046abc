import { systemClock } from "../../src/clock.ts";
import type { Client } from "../../src/provider/client.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { createTickets, type Tickets } from "../../src/secret/ticket.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { type Person, personAt } from "./person.ts";

/** A gateway of three hosts, of which the first is where people sign in. */

export const H = "https://app.test";
export const B = "https://grafana.app.test";
export const C = "https://other.example";
export const BINDING = "__Host-runegate_bind";
export const SESSION = "runegate_id";

/** `TARGET` stands for the application. */
export const ROUTES = `
  [[routes]]
  name = "home"
  target = "TARGET"

  [[routes]]
  name = "grafana"
  host = "grafana.app.test"
  target = "TARGET"
  public_paths = ["/public"]

  [[routes]]
  name = "other"
  host = "other.example"
  target = "TARGET"
`;

export type Stage = {
  readonly clock: TestClock;
  gateway(): TestGateway;
  person(): Person;
  /** The same store and clock, and another configuration. */
  restart(routes: string, env?: Readonly<Record<string, string>>): Promise<void>;
  /** Every line of every gateway. */
  lines(): readonly string[];
  stop(): Promise<void>;
};

export const JWT_SECRET = "1".repeat(64);
export const SESSION_KEY = "9".repeat(128);

export async function startStage(
  target: string,
  routes = ROUTES,
  env: Readonly<Record<string, string>> = {},
  wrapped: (store: Store) => Store = (store) => store,
  clients: readonly Client[] = [],
): Promise<Stage> {
  const clock = testClock();
  const stores = wrapped(createMemoryStore({ clock }));
  const before: string[] = [];
  const start = (text: string, more: Readonly<Record<string, string>>) =>
    startGateway({
      clock,
      stores,
      clients,
      routes: text.replaceAll("TARGET", target),
      env: {
        RUNEGATE_BASE_URL: H,
        RUNEGATE_SECURE_COOKIE: "true",
        RUNEGATE_LOG_FORMAT: "json",
        RUNEGATE_JWT_SECRET: JWT_SECRET,
        RUNEGATE_SESSION_KEY: SESSION_KEY,
        ...more,
      },
    });
  let running = await start(routes, env);
  return {
    clock,
    gateway: () => running,
    person: () => personAt(() => running),
    async restart(text, more = {}) {
      await running.stop();
      before.push(...running.lines);
      running = await start(text, more);
    },
    lines: () => [...before, ...running.lines],
    stop: () => running.stop(),
  };
}

/** Signs and verifies as a gateway with this secret does. */
export function ticketsOf(audience: string, clock = systemClock, secret = JWT_SECRET): Tickets {
  const keys = createKeys({
    jwtSecret: new Uint8Array(Buffer.from(secret)),
    sessionKey: new Uint8Array(Buffer.from(SESSION_KEY, "hex")),
    jwtSecretPrevious: undefined,
    sessionKeyPrevious: undefined,
  });
  return createTickets(keys, { audience, clock });
}
