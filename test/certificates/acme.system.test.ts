import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EXIT } from "../../src/exit.ts";
import { DAY, SECOND } from "../../src/option/values.ts";
import { parseScrape, scrapeText, sumOf } from "../metrics/scrape.ts";
import { isAlive, until } from "../process/stage.ts";
import { needs } from "../support/needs.ts";
import { installPebble } from "../support/pebble.ts";
import { postgresPrograms, startPostgres } from "../support/postgres.ts";
import { freePort, runegate, startProcess } from "../support/process.ts";
import { startValkey } from "../support/valkey.ts";
import { ask, shown } from "./client.ts";
import {
  APP,
  answers,
  closeAfterEach,
  closeLater,
  folderOf,
  goesOn,
  hup,
  isTrusted,
  NEW,
  openWorld,
  REFUSED,
  trusted,
  WIKI,
} from "./world.ts";

/** `RUNEGATE_TLS=acme` against Pebble: certificates are ordered, kept, renewed, and never stand in the way of serving. */

// Processes are started here, on machines that may be busy; Pebble is built the first time.
setDefaultTimeout(600_000);
closeAfterEach();

const programs = await installPebble();

describe.skipIf(programs === undefined)("with Pebble", () => {
  test.each([1, 2])(
    "with %d processes: at once an interim certificate, soon one for each host, which is kept",
    async (workers) => {
      const world = await openWorld(programs, [WIKI]);
      const { pebble, port, folder } = world;
      await pebble.stop();
      const stage = await world.open({ workers });
      for (const name of [APP, WIKI]) {
        const first = await shown(port, name);
        expect(first.names).toBe(`DNS:${APP}, DNS:${WIKI}`);
        expect(await answers(world, name)).toBe(200);
      }
      await stage.says(/WARN[^\n]* no certificate was given/);
      await stage[Symbol.asyncDispose]();

      await pebble.start();
      const again = await world.open({ workers });
      await goesOn(again, APP, WIKI);
      for (const name of [APP, WIKI]) expect(await isTrusted(world, name)).toBe(true);
      for (const name of [APP, WIKI]) expect((await shown(port, name)).names).toBe(`DNS:${name}`);
      // Whoever says another name, or none, is shown that of the base URL, and nothing is ordered for them.
      for (const name of ["stranger.example.test", undefined]) {
        expect((await shown(port, name)).names).toBe(`DNS:${APP}`);
      }
      const stranger = await ask(`https://stranger.example.test:${port}`, "/_runegate/login");
      expect(stranger.status).toBe(421);
      expect(pebble.issued()).toBe(2);

      const kept = join(folder, "certificates");
      const secrets = readdirSync(kept).sort();
      expect(secrets).toEqual(
        ["account.key", `${APP}.crt`, `${APP}.key`, `${WIKI}.crt`, `${WIKI}.key`].sort(),
      );
      for (const name of secrets) expect(statSync(join(kept, name)).mode & 0o777).toBe(0o600);
      expect(statSync(kept).mode & 0o777).toBe(0o700);
      await again[Symbol.asyncDispose]();

      const third = await world.open({ workers });
      for (const name of [APP, WIKI]) expect(await isTrusted(world, name)).toBe(true);
      await hup(third);
      expect(third.main.output()).not.toContain("orders a certificate");
      expect(pebble.issued()).toBe(2);
    },
  );

  test.each([1, 2])(
    "with %d processes: handed over to a new executable, and nothing is ordered",
    async (workers) => {
      const world = await openWorld(programs, []);
      const { port, httpPort, pebble } = world;
      const options = {
        RUNEGATE_STORE: `sqlite:${join(world.folder, "state.db")}`,
        RUNEGATE_JWT_SECRET: "j".repeat(64),
        RUNEGATE_SESSION_KEY: "5e".repeat(64),
      };
      const stage = await world.open({ workers, options });
      await stage.says(/ goes on with another certificate /);
      stage.main.signal("SIGUSR2");
      await stage.says(/ handed over /, 30_000);
      await until("the one before has ended", () => !isAlive(stage.main.pid), 30_000);
      for (let i = 0; i < 4; i++) expect(await isTrusted(world, APP)).toBe(true);
      expect(await answers(world)).toBe(200);
      const led = await fetch(`http://127.0.0.1:${httpPort}/a`, {
        ...{ headers: { Host: APP }, redirect: "manual", keepalive: false },
      });
      expect(led.headers.get("location")).toBe(`https://${APP}:${port}/a`);
      expect(pebble.issued()).toBe(1);
    },
  );

  test("renewed with a third of its life left, and not before; where the clock is wrong, once a day", async () => {
    const world = await openWorld(programs, []);
    const stage = await world.open();
    await stage.says(/ goes on with another certificate /);
    expect(await isTrusted(world, APP)).toBe(true);
    const first = (await shown(world.port, APP)).fingerprint;
    world.advance(57 * DAY);
    await hup(stage);
    expect(world.pebble.issued()).toBe(1);
    world.advance(4 * DAY);
    await hup(stage);
    await stage.says(/ goes on with another certificate /);
    expect((await shown(world.port, APP)).fingerprint).not.toBe(first);
    expect(await isTrusted(world, APP)).toBe(true);
    expect(world.pebble.issued()).toBe(2);

    // What Pebble gives is over by the clock here.
    world.advance(5 * 365 * DAY);
    await hup(stage);
    await stage.says(/ goes on with another certificate /);
    await hup(stage);
    expect(await answers(world)).toBe(200);
    expect(world.pebble.issued()).toBe(3);
    expect((stage.main.output().match(/orders a certificate/g) ?? []).length).toBe(3);
  });

  test("renewed when its authority asks for it, and as always where that makes no sense", async () => {
    const world = await openWorld(programs, []);
    const { pebble, folder } = world;
    const [file, keyFile] = [`${APP}.crt`, `${APP}.key`].map((name) => join(folder, "certificates", name));
    const kept = () => readFileSync(file ?? "", "utf8");
    const stage = await world.open({ options: { RUNEGATE_LOG: "info,main=debug" } });
    await stage.says(/ goes on with another certificate /);
    const [first, firstKey] = [kept(), readFileSync(keyFile ?? "", "utf8")];
    const over = { start: new Date(Date.now() - 2 * DAY), end: new Date(Date.now() - DAY) };
    const said = { suggestedWindow: over, explanationURL: "https://ca.example.test/why" };
    await pebble.suggestRenewal(first, JSON.stringify(said));
    // Where a clock is wrong, one a day.
    world.advance(2 * DAY);
    await hup(stage);
    await stage.says(/ says why [^\n]*explanation=\S*ca\.example\.test\/why/);
    await stage.says(/ goes on with another certificate /);
    expect(kept()).not.toBe(first);
    const replaced = () => (pebble.output().match(/is a replacement of/g) ?? []).length;
    expect([pebble.issued(), replaced()]).toEqual([2, 1]);

    await pebble.suggestRenewal(kept(), "no JSON");
    world.advance(54 * DAY);
    await hup(stage);
    await stage.says(/DEBUG[^\n]* the authority does not say when to renew/);
    expect(pebble.issued()).toBe(2);
    world.advance(5 * DAY);
    await hup(stage);
    await stage.says(/ goes on with another certificate /);
    expect([pebble.issued(), replaced()]).toEqual([3, 2]);
    await stage[Symbol.asyncDispose]();

    // A backup is put back: its certificate has been replaced already, which keeps nobody from another.
    writeFileSync(file ?? "", first);
    writeFileSync(keyFile ?? "", firstKey);
    const again = await world.open();
    await again.says(/ goes on with another certificate /);
    expect([pebble.issued(), replaced()]).toEqual([4, 2]);
  });

  test("without its authority it serves on: a warning, and an error in the last week", async () => {
    const world = await openWorld(programs, []);
    const stage = await world.open();
    await trusted(world, APP);
    await world.pebble.stop();
    world.advance(61 * DAY);
    await hup(stage);
    await stage.says(/WARN[^\n]* no certificate was given[^\n]* name=app\.example\.test[^\n]* until=/);
    expect(await answers(world)).toBe(200);
    world.advance(7 * DAY);
    await hup(stage);
    await stage.says(/WARN[^\n]* no certificate was given/);
    expect(await answers(world)).toBe(200);
    world.advance(16 * DAY);
    await hup(stage);
    await stage.says(/ERROR[^\n]* no certificate was given/);
    expect(await answers(world)).toBe(200);
    const ready = await ask(`https://${APP}:${world.port}`, "/_runegate/health/ready");
    expect(ready.status).toBe(200);
    // Back again, with an account of ours that it knows nothing of.
    await world.pebble.start();
    world.advance(DAY);
    await hup(stage);
    await trusted(world, APP);
  });

  test("a host that a reload adds is ordered, and one that is refused keeps no other from its certificate", async () => {
    const world = await openWorld(programs, [REFUSED, WIKI]);
    const stage = await world.open();
    await stage.says(/WARN[^\n]* no certificate was given[^\n]*refused\.example\.test/);
    await trusted(world, APP, WIKI);
    expect((await shown(world.port, REFUSED)).names).toContain(`DNS:${REFUSED}`);
    world.writeRoutes([REFUSED, WIKI, NEW]);
    await hup(stage);
    await trusted(world, APP, WIKI, NEW);
    expect(world.pebble.issued()).toBe(3);
  });

  test("`runegate certificates` says what visitors are shown, and has it ordered anew", async () => {
    const world = await openWorld(programs, [REFUSED]);
    const metrics = freePort();
    const stage = await world.open({
      ...{ workers: 2, options: { RUNEGATE_METRICS_LISTEN: `127.0.0.1:${metrics}` } },
    });
    const list = async () => {
      const { code, output } = await stage.command("certificates", "--json");
      const [result = ""] = output.split("\n");
      const { certificates } = JSON.parse(result) as { certificates: Record<string, string>[] };
      return { code, certificates };
    };
    await trusted(world, APP);
    await stage.says(/WARN[^\n]* no certificate was given[^\n]*refused/);
    const { code, certificates } = await list();
    expect(code).toBe(EXIT.failed);
    expect(certificates.map(({ host, problem }) => [host, problem?.slice(0, 15)])).toEqual([
      [APP, undefined],
      [REFUSED, "no browser know"],
    ]);
    expect(certificates[0]?.issuer).toContain("Pebble Intermediate CA");
    const left = Date.parse(certificates[0]?.until ?? "") - Date.now();
    expect(left).toBeGreaterThan(89 * DAY);
    expect(left).toBeLessThan(91 * DAY);
    const scraped = parseScrape(await scrapeText(metrics));
    const secondsOf = (name: string) =>
      sumOf(scraped, "runegate_certificate_expires_seconds", `name="${name}"`);
    expect(Math.abs(secondsOf(APP) - left / SECOND)).toBeLessThan(60);
    expect(secondsOf(REFUSED)).toBe(0);

    world.writeRoutes([]);
    await hup(stage);
    expect((await list()).code).toBe(EXIT.done);
    const before = (await shown(world.port, APP)).fingerprint;
    const renewed = await stage.command("certificates", "renew", "--json");
    expect(renewed).toEqual({ code: EXIT.done, output: `${JSON.stringify({ ordered: [APP] })}\n` });
    await stage.says(/ goes on with another certificate /);
    await until("another", async () => (await shown(world.port, APP)).fingerprint !== before);
    expect((await list()).code).toBe(EXIT.done);
    expect(world.pebble.issued()).toBe(2);
    stage.main.signal("SIGKILL");
    await stage.main.exited;
    const unreached = await stage.command("certificates", "renew");
    expect(unreached.code).toBe(EXIT.failed);
    expect(unreached.output).toContain("No running instance answers");
  });

  test("a challenge that nobody asked about is not found, and never gets to the application", async () => {
    const world = await openWorld(programs, []);
    await world.open();
    await trusted(world, APP);
    world.visits.length = 0;
    const unknown = ["A".repeat(43), "", "..%2f..%2faccount.key", `${"A".repeat(43)}/x`, "a b", "%00"];
    for (const token of unknown) {
      const url = `http://127.0.0.1:${world.httpPort}/.well-known/acme-challenge/${token}`;
      const answer = await fetch(url, { headers: { Host: APP }, redirect: "manual", keepalive: false });
      expect([token, answer.status]).toEqual([token, 404]);
    }
    expect(world.visits).toEqual([]);
  });

  test("a host that only a visitor says: nothing is ordered for it, however it is said", async () => {
    const world = await openWorld(programs, []);
    const stage = await world.open();
    await stage.says(/ goes on with another certificate /);
    const name = "stranger.example.test";
    expect((await shown(world.port, name)).names).toBe(`DNS:${APP}`);
    const origin = `https://${name}:${world.port}`;
    for (const path of ["/", "/_runegate/login", "/.well-known/acme-challenge/x"])
      expect((await ask(origin, path)).status).toBe(421);
    const headers = { Host: name };
    const plain = `http://127.0.0.1:${world.httpPort}`;
    expect((await fetch(plain, { headers, redirect: "manual", keepalive: false })).status).toBe(421);
    expect((await stage.command("certificates", "renew")).code).toBe(EXIT.done);
    await stage.says(/ goes on with another certificate /);
    expect(stage.main.output()).not.toContain(name);
    expect(world.pebble.output()).not.toContain(name);
    expect(world.pebble.issued()).toBe(2);
  });

  test("an account that the authority knows already is named, and without it nothing is given", async () => {
    const key = Buffer.from("k".repeat(32)).toString("base64url");
    const world = await openWorld(programs, [], { accounts: { "kid-1": key } });
    const without = await world.open();
    await without.says(/WARN[^\n]* no certificate was given[^\n]*externalAccountRequired/);
    await without[Symbol.asyncDispose]();
    const stage = await world.open({
      options: { RUNEGATE_ACME_EAB_KID: "kid-1", RUNEGATE_ACME_EAB_HMAC: key },
    });
    await trusted(world, APP);
    expect(stage.main.output()).not.toContain(key);
  });

  test.each(["account.key", `${APP}.key`])(
    "%s, when others can read it: it does not start, and says why",
    async (name) => {
      const world = await openWorld(programs, []);
      const stage = await world.open();
      await trusted(world, APP);
      await until("it is kept", () => readdirSync(join(world.folder, "certificates")).includes(name));
      await stage[Symbol.asyncDispose]();
      const file = join(world.folder, "certificates", name);
      chmodSync(file, 0o644);
      const env = world.env({ RUNEGATE_CONTROL_SOCKET: join(world.folder, "control.sock") });
      const ran = startProcess(runegate("serve"), env, world.folder);
      expect(await ran.exited).toBe(EXIT.config);
      expect(ran.output()).toMatch(/TLS: \S+\.key holds a secret, and other users can read it \(mode 0644\)/);
      expect(ran.output()).not.toContain("PRIVATE KEY");
    },
  );
});

const redis = needs("redis-server");
const postgres = postgresPrograms();

type Shared = { readonly url: string; dump(): Promise<string>; stop(): Promise<unknown> };

async function startRedis(): Promise<Shared> {
  const valkey = await startValkey(redis ?? "", { lines: ["rdbcompression no"] });
  return {
    ...{ url: valkey.url, stop: valkey.stop },
    async dump() {
      await valkey.run("SAVE");
      const { dir } = (await valkey.run("CONFIG", "GET", "dir")) as { readonly dir: string };
      return readFileSync(join(dir, "dump.rdb"), "latin1");
    },
  };
}

async function startDatabase(): Promise<Shared> {
  const { url, run, stop } = await startPostgres(postgres ?? "");
  const dump = async () =>
    String((await run("SELECT database_to_xml(false, false, '')::text AS all"))[0]?.all);
  return { url, dump, stop };
}

const STORES = [
  ...(redis === undefined ? [] : [["Valkey", startRedis] as const]),
  ...(postgres === undefined ? [] : [["PostgreSQL", startDatabase] as const]),
];

describe.skipIf(programs === undefined).each(STORES)("machines that share %s", (_, startStore) => {
  const secrets = { RUNEGATE_JWT_SECRET: "j".repeat(64), RUNEGATE_SESSION_KEY: "5e".repeat(64) };

  /** Two of them; Pebble comes to the second to have names proved. */
  async function openMachines() {
    const world = await openWorld(programs, [WIKI]);
    const store = await startStore();
    closeLater(store.stop);
    const other = freePort();
    const shared = { ...secrets, RUNEGATE_STORE: store.url };
    const first = {
      ...shared,
      RUNEGATE_LISTEN: `127.0.0.1:${other}`,
      RUNEGATE_HTTP_LISTEN: `127.0.0.1:${freePort()}`,
      RUNEGATE_BASE_URL: `https://${APP}:${other}`,
    };
    return { world, store, first: { ...world, port: other }, options: { first, second: shared } };
  }

  test("one orders, another answers the authority, and both serve what it gave", async () => {
    const { world, store, first, options } = await openMachines();
    // This one reaches no authority.
    const nowhere = { RUNEGATE_ACME_DIRECTORY: `https://127.0.0.1:${freePort()}/dir` };
    const second = await world.open({ options: { ...options.second, ...nowhere } });
    await second.says(/WARN[^\n]* no certificate was given[^\n]* name=wiki/);
    const ordering = await world.open({ options: options.first });
    await goesOn(ordering, APP, WIKI);
    await hup(second);
    await goesOn(second, APP, WIKI);
    for (const name of [APP, WIKI]) {
      expect(await isTrusted(first, name)).toBe(true);
      const [here, there] = [await shown(first.port, name), await shown(world.port, name)];
      expect(here.fingerprint).toBe(there.fingerprint);
    }
    expect(world.pebble.issued()).toBe(2);
    // Nothing on the disk, and nothing in the store that speaks for anybody.
    expect(existsSync(join(world.folder, "certificates"))).toBe(false);
    const dump = await store.dump();
    expect(dump.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThanOrEqual(2);
    expect(dump).not.toContain("PRIVATE KEY");
  });

  test("both at once: one order for each host", async () => {
    const { world, first, options } = await openMachines();
    await Promise.all([world.open({ options: options.first }), world.open({ options: options.second })]);
    // Where the first was quicker than the second listens, it fails, and looks again after a minute.
    await Promise.all([trusted(first, APP, WIKI), trusted(world, APP, WIKI)]);
    expect(world.pebble.issued()).toBe(2);
  });
});

test.each(["127.0.0.1", "localhost"])(
  "no certificate is ordered for %s: it says what to use",
  async (host) => {
    const folder = folderOf();
    const env = {
      RUNEGATE_TLS: "acme",
      RUNEGATE_TLS_DIRECTORY: join(folder, "certificates"),
      RUNEGATE_BASE_URL: `https://${host}:8443`,
      RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
      RUNEGATE_HTTP_LISTEN: "off",
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
      RUNEGATE_CONTROL_SOCKET: join(folder, "control.sock"),
    };
    const ran = startProcess(runegate("serve"), env, folder);
    expect(await ran.exited).toBe(EXIT.config);
    expect(ran.output()).toContain(
      `no certificate can be ordered for ${host}: use RUNEGATE_TLS=files for it`,
    );
  },
);
