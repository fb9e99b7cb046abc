import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import { said } from "../login/support.ts";
import { testClock } from "../support/clock.ts";
import { startGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey } from "../support/valkey.ts";
import { createAuthenticator } from "./authenticator.ts";
import { register, send, signInBy } from "./support.ts";

/** Passkeys outlast the process, in each store that keeps anything. */

setDefaultTimeout(20_000);

type Location = Parameters<typeof openStore>[0];
type Place = { readonly location: Location; stop(): void | Promise<void> };

const ORIGIN = "https://app.test";
const redis = needs("redis-server");
const postgres = postgresPrograms();

const PLACES: readonly (readonly [string, () => Place | Promise<Place>])[] = [
  [
    "SQLite",
    () => {
      const directory = mkdtempSync(join(tmpdir(), "runegate-passkeys-"));
      const location: Location = { kind: "sqlite", path: join(directory, "state.db") };
      return { location, stop: () => rmSync(directory, { recursive: true }) };
    },
  ],
  ...(redis === undefined
    ? []
    : [
        [
          "Valkey",
          async () => {
            const { url, stop } = await startValkey(redis);
            return { location: { kind: "valkey", url, shown: url } as Location, stop };
          },
        ] as const,
      ]),
  ...(postgres === undefined
    ? []
    : [
        [
          "PostgreSQL",
          async () => {
            const { url, stop } = await startPostgres(postgres);
            return { location: storeLocation(url), stop };
          },
        ] as const,
      ]),
];

test.each(PLACES)("%s", async (_, open) => {
  const place = await open();
  const clock = testClock();
  async function start() {
    const stores = await openStore(place.location, { clock, log: SILENT });
    const gateway = await startGateway({
      stores,
      clock,
      env: {
        RUNEGATE_BASE_URL: ORIGIN,
        RUNEGATE_PASSKEYS: "true",
        RUNEGATE_JWT_SECRET: "1".repeat(64),
        RUNEGATE_SESSION_KEY: "9".repeat(128),
      },
    });
    const site = { url: gateway.url, origin: ORIGIN };
    const stop = async () => {
      await gateway.stop();
      await stores.close();
    };
    return { gateway, site, stop };
  }
  const keys = [createAuthenticator(), createAuthenticator()];
  const before = await start();
  const session = await before.gateway.signIn();
  for (const key of keys) expect((await register(before.site, session, key)).status).toBe(201);
  await before.stop();

  clock.advance(90 * 24 * 3_600_000);
  const { gateway, site, stop } = await start();
  for (const key of keys) expect((await signInBy(site, key)).status).toBe(200);
  const [first, second] = keys;
  if (first === undefined || second === undefined) throw new Error("there are two");
  expect((await signInBy(site, first, { counter: 2 })).status).toBe(401);
  const later = await gateway.signIn();
  expect(await said(await send(site, "/remove", { id: first.id }, later))).toMatchObject({ status: 200 });
  const page = await fetch(`${site.url}/_runegate/account`, { headers: { Cookie: later } });
  expect((await page.text()).split('action="/_runegate/passkeys/remove"')).toHaveLength(2);
  expect((await signInBy(site, first)).status).toBe(401);
  expect((await signInBy(site, second)).status).toBe(200);
  await stop();
  await place.stop();
});
