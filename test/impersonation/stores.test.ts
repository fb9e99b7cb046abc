import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "../../src/store/open.ts";
import { B, C, H } from "../hand-off/stage.ts";
import { until } from "../proxy/support.ts";
import { testClock } from "../support/clock.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { startValkey } from "../support/valkey.ts";
import { ADA, ROOT, ROUTES, startActingStage } from "./stage.ts";

/** The same in each store that outlasts the process: one at once, all requests counted, over a restart, and told of once. */

setDefaultTimeout(30_000);

type Place = { readonly location: Parameters<typeof openStore>[0]; stop(): void | Promise<void> };

const redis = needs("redis-server");
let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());

const PLACES: readonly (readonly [string, () => Place | Promise<Place>])[] = [
  [
    "SQLite",
    () => {
      const directory = mkdtempSync(join(tmpdir(), "runegate-impersonation-"));
      const stop = () => rmSync(directory, { recursive: true });
      return { location: { kind: "sqlite", path: join(directory, "state.db") }, stop };
    },
  ],
  ...(redis === undefined
    ? []
    : [
        [
          "Valkey",
          async (): Promise<Place> => {
            const { url, stop } = await startValkey(redis);
            return { location: { kind: "valkey", url, shown: url }, stop };
          },
        ] as const,
      ]),
];

test.each(PLACES)("%s", async (_, open) => {
  const place = await open();
  const stores = await openStore(place.location, { clock: testClock(), log: SILENT });
  const stage = await startActingStage(upstream.url, { wrapped: () => stores });
  const as = async (url: string) => {
    const { status } = await stage.root.get(url);
    return [status, upstream.requests.at(-1)?.one("x-runegate-user")];
  };
  await stage.act(B);
  expect(await as(`${B}/`)).toEqual([200, ADA]);
  await stage.act(C);
  expect((await stage.root.get(`${B}/`)).status).toBe(403);
  await Promise.all(Array.from({ length: 30 }, () => stage.root.get(`${C}/x`)));
  await stage.restart(ROUTES);
  expect(await as(`${C}/`)).toEqual([200, ADA]);
  expect((await stage.root.get(`${C}/`, { method: "POST", body: "a" })).status).toBe(403);
  // Whoever of the two sees it first, and nobody else.
  await Promise.all([
    stage.root.get(`${H}/_runegate/logout`, { method: "POST" }),
    stage.root.get(`${C}/_runegate/as/end`, { method: "POST", keepsCookies: false }),
  ]);
  await until(
    () => stage.lines().filter((line) => line.includes('"event":"impersonation_ended"')).length === 2,
  );
  expect((await stage.events("impersonation_ended")).at(-1)).toMatchObject({
    ...{ route: "other", email: ADA, by: ROOT, requests: "33", refused: "1" },
  });
  expect((await stage.root.get(`${C}/`)).status).toBe(403);
  await stage.stop();
  await stores.close();
  await place.stop();
});
