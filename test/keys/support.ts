import { createPolicy } from "../../src/access/policy.ts";
import type { Route } from "../../src/access/route.ts";
import type { Clock, Random } from "../../src/clock.ts";
import { addresses } from "../../src/identity/values.ts";
import type { ServiceAccounts } from "../../src/keys/owner.ts";
import type { KeyRefusal } from "../../src/keys/refusal.ts";
import { type ApiKeys, type Created, createApiKeys } from "../../src/keys/service.ts";
import { DAY } from "../../src/option/values.ts";
import { ENGLISH, say } from "../../src/pages/language.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { createHolds } from "../../src/session/hold.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { testRandom } from "../support/clock.ts";
import { routesIn } from "../support/routes.ts";
import { SILENT } from "../support/silent.ts";

/** The service of API keys on a store, with whatever a test wants to be otherwise. */

export const ADA = { name: "ada@example.org", isAdmin: false };
export const ROOT = { name: "root@example.org", isAdmin: true };

export const ROUTES = routesIn(`
[[routes]]
name = "lab"
target = "http://10.0.0.2:3000"
allow = ["ada@example.org", "service:backup"]
api_keys = true
[[routes]]
name = "wiki"
path = "/wiki"
target = "http://10.0.0.3:3000"
allow = ["anyone"]
api_keys = true
[[routes]]
name = "shop"
path = "/shop"
target = "http://10.0.0.4:3000"
allow = ["anyone"]
`);

export type Told = { readonly event: string; readonly [fact: string]: string | undefined };

export type Settings = {
  readonly store: Store;
  readonly clock: Clock;
  readonly random?: Random;
  readonly routes?: readonly Route[];
  readonly allowed?: string;
  readonly accounts?: ServiceAccounts;
  readonly apiKeyMaxTtl?: number;
  readonly apiKeyIdle?: number;
  readonly sessionKey?: string;
  readonly sessionKeyPrevious?: string;
  /** Whether the audit can be written at this moment. */
  readonly isWritten?: () => boolean;
};

export function keysOn({
  store,
  clock,
  random = testRandom(),
  routes = ROUTES,
  allowed = "ada@example.org,bob@example.org,root@example.org",
  accounts = new Map([["backup", { networks: [] }]]),
  apiKeyMaxTtl = 366 * DAY,
  apiKeyIdle = 0,
  sessionKey = "a",
  sessionKeyPrevious,
  isWritten = () => true,
}: Settings): { readonly keys: ApiKeys; readonly told: readonly Told[] } {
  const told: Told[] = [];
  const bytes = (text: string) => new Uint8Array(Buffer.alloc(64, text));
  const keys = createApiKeys({
    ...{ store, clock, random, routes, accounts, apiKeyMaxTtl, apiKeyIdle, log: SILENT },
    holds: createHolds(store, clock),
    secrets: createKeys({
      ...{ jwtSecret: bytes("j"), jwtSecretPrevious: undefined, sessionKey: bytes(sessionKey) },
      sessionKeyPrevious: sessionKeyPrevious === undefined ? undefined : bytes(sessionKeyPrevious),
    }),
    policy: createPolicy({
      ...{ allowedEmails: addresses(allowed), allowedDomains: new Set(), allowAnyEmail: false },
    }),
    auditFirst: async ({ event }, facts) => {
      if (!isWritten()) throw new StoreUnavailable("The disk is full.");
      told.push({ event, ...facts });
    },
  });
  return { keys, told };
}

/** What was made. @throws if it was refused. */
export function made(answer: Created | KeyRefusal): Created {
  if ("refused" in answer) throw new Error(`${answer.refused}: ${say(ENGLISH, answer.message)}`);
  return answer;
}
