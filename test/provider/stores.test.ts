import { afterAll, beforeAll, describe } from "bun:test";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { temporaryPlace } from "../store/sqlite-place.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";
import { providerRows } from "./store-rows.ts";

const place = temporaryPlace();
afterAll(() => place[Symbol.dispose]());

providerRows("a SQLite file", async (clock) => place.open(clock));

const executable = needs("redis-server");
describe.skipIf(executable === undefined)("a server", () => {
  let server: ValkeyServer;
  beforeAll(async () => {
    server = await startValkey(executable ?? "");
  });
  afterAll(() => server.stop());

  providerRows("Valkey", (clock) => openValkeyStore({ url: server.url, clock, log: SILENT }));
});
