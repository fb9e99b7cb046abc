import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { SILENT } from "../support/silent.ts";

/** Gateways to which addresses of `in.example` may sign in, and those of `no.example` may not. */

type OpenStores = { readonly stores: Store; close(): Promise<void> };

/** A store that writes to a disk takes its time for that, which must not show either. */
export const STORES: readonly (readonly [name: string, open: () => OpenStores])[] = [
  [
    "memory",
    () => {
      const stores = createMemoryStore({ clock: systemClock });
      return { stores, close: async () => stores.close() };
    },
  ],
  [
    "sqlite",
    () => {
      const folder = mkdtempSync(join(tmpdir(), "runegate-telling-"));
      const stores = openSqliteStore({ path: join(folder, "state.db"), clock: systemClock, log: SILENT });
      return {
        stores,
        async close() {
          await stores.close();
          rmSync(folder, { recursive: true });
        },
      };
    },
  ],
];

/** Addresses of `in.example` that are named one by one: those go first, which must not show either. */
export const NAMED: readonly string[] = Array.from({ length: 900 }, (_, count) => `named${count}@in.example`);

export function startPicky(
  stores: Store,
  more: Pick<TestGatewaySettings, "env" | "fetch"> = {},
): Promise<TestGateway> {
  return startGateway({
    ...more,
    stores,
    env: {
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_DOMAINS: "in.example",
      RUNEGATE_ALLOWED_EMAILS: NAMED.join(","),
      // The cooldown is on, since it is part of what could tell; one client asks a lot here.
      RUNEGATE_RATE_LIMIT_ENABLED: "true",
      RUNEGATE_LOGIN_RATE_LIMIT: "0",
      RUNEGATE_LOG: "info",
      ...more.env,
    },
  });
}

/** @param captcha what is sent along where something has to be. */
export function askFor({ url }: TestGateway, email: string, captcha?: string): Promise<Response> {
  return fetch(`${url}/_runegate/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, captcha }),
  });
}
