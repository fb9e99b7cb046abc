import { afterAll, beforeAll, describe } from "bun:test";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../support/postgres.ts";
import { SILENT } from "../support/silent.ts";
import { providerRows } from "./store-rows.ts";

const programs = postgresPrograms();
describe.skipIf(programs === undefined)("a database server", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres(programs ?? "");
  });
  afterAll(() => server.stop());

  providerRows("PostgreSQL", (clock) => openStore(storeLocation(server.url), { clock, log: SILENT }));
});
