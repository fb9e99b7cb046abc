import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createWaitingMails } from "../../src/mail/waiting.ts";
import type { SessionRecord } from "../../src/session/record.ts";
import { openStore } from "../../src/store/open.ts";
import { FOREVER } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { whoAmI } from "../login/support.ts";
import { until } from "../process/stage.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { signedIn } from "../support/principal.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";

/** Somebody who can write to the store, and does not have the session key. */

setDefaultTimeout(20_000);

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = Date.parse("2026-03-04T05:06:07.000Z");
const SESSION_KEY = "5e".repeat(64);

const RECORDS = "{runegate}:r:session";
type Changes = Readonly<Record<string, string | number | undefined>>;

/** A store, and the raw way into it that an attacker has. */
type Target = {
  readonly location: Parameters<typeof openStore>[0];
  /** Changes fields of every session record, without a word to anybody. `undefined` takes a field out. */
  tamper(changes: Changes): Promise<void>;
  /** The raw records, and putting them back. */
  dump(): Promise<unknown>;
  restore(dump: unknown): Promise<void>;
  /** Takes the store back to what an older version leaves: no seals, and no note. */
  makeOld(): Promise<void>;
  forgetNote(): Promise<void>;
  stop(): Promise<void>;
};

async function sqliteTarget(): Promise<Target> {
  const directory = mkdtempSync(join(tmpdir(), "runegate-written-"));
  const path = join(directory, "state.db");
  const write = (work: (database: Database) => void) => {
    const database = new Database(path);
    work(database);
    database.close();
  };
  async function tamper({ expiresAt, ...changes }: Changes): Promise<void> {
    write((database) => {
      if (expiresAt !== undefined) database.query("UPDATE records_session SET expires_at = ?").run(expiresAt);
      for (const [name, value] of Object.entries(changes)) {
        if (value === undefined)
          database.run(`UPDATE records_session SET body = json_remove(body, '$.${name}')`);
        else database.query(`UPDATE records_session SET body = json_set(body, '$.${name}', ?)`).run(value);
      }
    });
  }
  const forgetNote = async () => write((database) => database.run("DELETE FROM records_session_note"));
  return {
    location: { kind: "sqlite", path },
    tamper,
    async dump() {
      const database = new Database(path);
      const rows = database.query("SELECT id, version, expires_at, body FROM records_session").values();
      database.close();
      return rows;
    },
    async restore(rows) {
      write((database) => {
        for (const row of rows as [string, number, number, string][])
          database.query("INSERT OR REPLACE INTO records_session VALUES (?, ?, ?, ?)").run(...row);
      });
    },
    async makeOld() {
      await tamper({ seal: "" });
      await forgetNote();
    },
    forgetNote,
    stop: async () => rmSync(directory, { recursive: true }),
  };
}

async function valkeyTarget(executable: string): Promise<Target> {
  const server: ValkeyServer = await startValkey(executable);
  const forgetNote = async () =>
    void (await server.run("DEL", "{runegate}:r:session_note", "{runegate}:r:session_note:expiry"));
  const all = async () => (await server.run("HGETALL", RECORDS)) as Record<string, string>;
  async function tamper({ expiresAt, ...changes }: Changes): Promise<void> {
    for (const [id, value] of Object.entries(await all())) {
      const [version = "", expires = "", json = ""] = value.split("\n");
      const body = JSON.stringify({ ...JSON.parse(json), ...changes });
      await server.run("HSET", RECORDS, id, `${version}\n${expiresAt ?? expires}\n${body}`);
      if (expiresAt !== undefined) await server.run("ZADD", `${RECORDS}:expiry`, String(expiresAt), id);
    }
  }
  return {
    location: { kind: "valkey", url: server.url, shown: server.url },
    tamper,
    dump: all,
    async restore(dump) {
      for (const [id, value] of Object.entries(dump as Record<string, string>)) {
        await server.run("HSET", RECORDS, id, value);
        await server.run("ZADD", `${RECORDS}:expiry`, String(2e13), id);
      }
    },
    async makeOld() {
      await tamper({ seal: "" });
      await forgetNote();
    },
    forgetNote,
    stop: () => server.stop(),
  };
}

const redis = needs("redis-server");
const TARGETS: [string, () => Promise<Target>][] = [
  ["SQLite", sqliteTarget],
  ...(redis === undefined
    ? []
    : [["Valkey", () => valkeyTarget(redis)] satisfies [string, () => Promise<Target>]]),
];

describe.each(TARGETS)("%s", (_, openTarget) => {
  let target: Target;
  let clock: TestClock;
  const open: { gateway: TestGateway; stores: Store }[] = [];

  beforeEach(async () => {
    target = await openTarget();
    clock = testClock(START);
  });
  afterEach(async () => {
    await shutDown();
    await target.stop();
  });

  async function start(env: Readonly<Record<string, string>> = {}): Promise<TestGateway> {
    const stores = await openStore(target.location, { clock, log: SILENT });
    const gateway = await startGateway({
      stores,
      clock,
      env: { RUNEGATE_SESSION_KEY: SESSION_KEY, RUNEGATE_JWT_SECRET: "j".repeat(64), ...env },
    });
    open.push({ gateway, stores });
    await gateway.gateway.sessions.adopt();
    return gateway;
  }

  async function shutDown(): Promise<void> {
    for (const { gateway, stores } of open.splice(0)) {
      await gateway.stop();
      await stores.close();
    }
  }

  /** After what is remembered of sessions for a moment has run out. */
  async function who(gateway: TestGateway, cookie: string): Promise<string | null> {
    clock.advance(2_500);
    return (await whoAmI(gateway, cookie)).email as string | null;
  }

  test.each<[string, Changes]>([
    ["of somebody else", { email: "boss@example.org" }],
    ["without its seal", { seal: "" }],
    ["of somebody else, without its seal", { email: "boss@example.org", seal: "" }],
    ["with an end in the far future", { expiresAt: START + 4000 * DAY }],
    ["with another beginning", { createdAt: 0 }],
  ])("a record that is made one %s is nobody's, and is removed", async (_, changes) => {
    const gateway = await start();
    const cookie = await gateway.signIn("eve@example.org");
    expect(await who(gateway, cookie)).toBe("eve@example.org");
    await target.tamper(changes);
    expect(await who(gateway, cookie)).toBeNull();
    // Nobody waits for its end, as it is refused either way.
    await until("it is told", () => /session_revoked.*by=broken_seal/.test(gateway.lines.join("\n")));
    expect(await gateway.gateway.sessions.list()).toEqual([]);
    // Nor after a restart.
    await shutDown();
    expect(await who(await start(), cookie)).toBeNull();
  });

  test.each<[string, Changes]>([
    ["no address", { email: undefined }],
    ["a number for an address", { email: 7 }],
    ["a text for a time", { seenAt: "soon" }],
    ["a time that no calendar has", { createdAt: 9e15 }],
    ["a number for where it came from", { ip: 7 }],
    ["no seal at all", { seal: undefined }],
  ])("a record with %s is nobody's, is listed nowhere, and harms no other", async (_, changes) => {
    const gateway = await start();
    const cookie = await gateway.signIn("eve@example.org");
    await target.tamper(changes);
    const other = await gateway.signIn("ada@example.org");
    expect((await gateway.gateway.sessions.list()).map(({ email }) => email)).toEqual(["ada@example.org"]);
    expect(await who(gateway, cookie)).toBeNull();
    await until("it is told", () => /session record that cannot be read/.test(gateway.lines.join("\n")));
    expect(await who(gateway, other)).toBe("ada@example.org");
  });

  test("a record that is moved forward in time ends no later than its last use says", async () => {
    const gateway = await start({ RUNEGATE_SESSION_IDLE: "1d", RUNEGATE_SESSION_TTL: "30d" });
    const cookie = await gateway.signIn("eve@example.org");
    await target.tamper({ seenAt: START + 20 * DAY });
    clock.advance(DAY - 10_000);
    expect(await who(gateway, cookie)).toBe("eve@example.org");
    clock.advance(DAY);
    expect(await who(gateway, cookie)).toBeNull();
  });

  test("streams of a session whose record is tampered with are closed, and no others", async () => {
    const gateway = await start();
    const closed: string[] = [];
    for (const name of ["eve", "ada"]) {
      await gateway.signIn(`${name}@example.org`);
      const { id } =
        (await gateway.gateway.sessions.list()).find(({ email }) => email.startsWith(name)) ?? {};
      gateway.gateway.live.add(signedIn(String(id)), "default", {
        close: (reason) => void closed.push(`${name} ${reason}`),
        takeUsed: () => true,
      });
      if (name === "eve") await target.tamper({ email: "boss@example.org" });
    }
    clock.advance(2_500);
    await gateway.gateway.live.sweep();
    expect(closed).toEqual(["eve session_ended"]);
  });

  describe("an upgrade from a version without seals", () => {
    test("signs nobody out, then or later", async () => {
      let gateway = await start();
      const cookies = [];
      for (const name of ["ada", "bob", "eve"]) cookies.push(await gateway.signIn(`${name}@example.org`));
      await shutDown();
      await target.makeOld();
      gateway = await start();
      expect((await gateway.gateway.sessions.list()).filter(({ seal }) => seal === "")).toEqual([]);
      expect(gateway.lines.join("\n")).toMatch(/sealed the sessions of an older version.*sessions=3/);
      for (const cookie of cookies) expect(await who(gateway, cookie)).toMatch(/@example.org$/);
      clock.advance(2 * HOUR);
      await shutDown();
      gateway = await start();
      for (const cookie of cookies) expect(await who(gateway, cookie)).toMatch(/@example.org$/);
    });

    test("takes over for an hour what gateways of the older version still write, and then no more", async () => {
      let gateway = await start();
      await gateway.signIn("ada@example.org");
      await shutDown();
      await target.makeOld();
      gateway = await start();
      const oldStyle = async (name: string) => {
        const cookie = await gateway.signIn(`${name}@example.org`);
        await target.tamper({ seal: "" });
        return cookie;
      };
      const [seen, unseen] = [await oldStyle("bob"), await oldStyle("eve")];
      expect(await who(gateway, seen)).toBe("bob@example.org");
      clock.advance(HOUR - 10_000);
      // The last gateway to be upgraded starts, and takes over what nobody has come with yet.
      await shutDown();
      gateway = await start();
      clock.advance(HOUR);
      expect(await who(gateway, seen)).toBe("bob@example.org");
      expect(await who(gateway, unseen)).toBe("eve@example.org");
      expect(await who(gateway, await oldStyle("mallory"))).toBeNull();
      await shutDown();
      gateway = await start();
      expect(await who(gateway, await oldStyle("mallory"))).toBeNull();
    });

    test("leaves alone that an older version goes on noting uses", async () => {
      const gateway = await start();
      const cookie = await gateway.signIn("ada@example.org");
      await target.tamper({ seenAt: START + 70_000 });
      expect(await who(gateway, cookie)).toBe("ada@example.org");
      clock.advance(HOUR);
      expect(await who(gateway, cookie)).toBe("ada@example.org");
    });
  });

  test("in a store that began with seals, no record without one is ever taken over", async () => {
    let gateway = await start();
    const cookie = await gateway.signIn("eve@example.org");
    await shutDown();
    await target.tamper({ email: "boss@example.org", seal: "" });
    gateway = await start();
    expect(await who(gateway, cookie)).toBeNull();
  });

  test("a mail that somebody else queues in clear is not sent, and one of before there were seals is", async () => {
    const queue = async (gateway: TestGateway, to: string) => {
      const now = clock.now();
      await createWaitingMails(gateway.stores, SILENT).add({
        id: to,
        to,
        content: JSON.stringify({ subject: "Sign in", text: "https://evil.example" }),
        messageId: `<${to}>`,
        queuedAt: now,
        expiresAt: now + HOUR,
        attempts: 0,
        nextAttemptAt: now,
        cooldownKey: undefined,
        first: true,
      });
      await gateway.gateway.outbox.runDue();
      return gateway.mailbox.mails().some((mail) => mail.to === to);
    };
    let gateway = await start();
    expect(await queue(gateway, "one@example.org")).toBe(false);
    await gateway.signIn("eve@example.org");
    await shutDown();
    await target.makeOld();
    gateway = await start();
    expect(await queue(gateway, "two@example.org")).toBe(true);
    clock.advance(HOUR);
    expect(await queue(gateway, "three@example.org")).toBe(false);
  });

  test("a note that somebody else writes opens nothing", async () => {
    await target.forgetNote().catch(() => {});
    const stores = await openStore(target.location, { clock, log: SILENT });
    const text = `${START + 1000 * DAY}.${"A".repeat(43)}`;
    await stores.records<{ text: string }>({ name: "session_note" }).add("seals", { text }, FOREVER);
    await stores.close();
    const gateway = await start();
    const cookie = await gateway.signIn("eve@example.org");
    await target.tamper({ email: "boss@example.org", seal: "" });
    expect(await who(gateway, cookie)).toBeNull();
  });

  test("an ended session whose record is put back lives no longer than it would have", async () => {
    const gateway = await start({ RUNEGATE_SESSION_IDLE: "1d" });
    const cookie = await gateway.signIn("eve@example.org");
    const dump = await target.dump();
    await gateway.gateway.sessions.endAll("eve@example.org" as never);
    expect(await who(gateway, cookie)).toBeNull();
    clock.advance(DAY);
    await target.restore(dump);
    expect(await who(gateway, cookie)).toBeNull();
  });

  test("sessions of before a change of the key go on under the previous one, and are not taken over by it", async () => {
    let gateway = await start();
    const cookie = await gateway.signIn("ada@example.org");
    await shutDown();
    const rotated = { RUNEGATE_SESSION_KEY: "7a".repeat(64), RUNEGATE_SESSION_KEY_PREVIOUS: SESSION_KEY };
    gateway = await start(rotated);
    clock.advance(HOUR);
    expect(await who(gateway, cookie)).toBe("ada@example.org");
    // A gateway that has not been told yet reads what the other has noted.
    gateway = await start();
    expect(await who(gateway, cookie)).toBe("ada@example.org");
    await target.tamper({ email: "boss@example.org" });
    gateway = await start(rotated);
    expect(await who(gateway, cookie)).toBeNull();
  });

  test("a command line without the key lists and ends sessions, and harms none", async () => {
    const gateway = await start();
    const cookie = await gateway.signIn("ada@example.org");
    const other = await start({ RUNEGATE_SESSION_KEY: "00".repeat(64) });
    const listed: SessionRecord[] = await other.gateway.sessions.list();
    expect(listed.map(({ email }) => email)).toEqual(["ada@example.org"]);
    expect(await who(gateway, cookie)).toBe("ada@example.org");
  });
});

test.skipIf(redis === undefined)(
  "a record that is cut to pieces in Valkey costs its own streams, not those of others",
  async () => {
    const server = await startValkey(redis ?? "");
    const clock = testClock(START);
    const location = { kind: "valkey", url: server.url, shown: server.url } as const;
    const stores = await openStore(location, { clock, log: SILENT });
    const gateway = await startGateway({ stores, clock });
    const closed: string[] = [];
    const cookies: string[] = [];
    for (const name of ["ada", "bob", "eve"]) cookies.push(await gateway.signIn(`${name}@example.org`));
    for (const { id, email } of await gateway.gateway.sessions.list()) {
      const close = (reason: string) => void closed.push(`${email} ${reason}`);
      gateway.gateway.live.add(signedIn(id), "default", { close, takeUsed: () => true });
      if (email === "bob@example.org") await server.run("HSET", RECORDS, id, "1800000000000\n{");
    }
    for (let sweep = 0; sweep < 4; sweep++) {
      clock.advance(2_500);
      await gateway.gateway.live.sweep();
    }
    expect(closed).toEqual(["bob@example.org session_ended"]);
    const answers = await Promise.all(cookies.map((cookie) => whoAmI(gateway, cookie)));
    expect(answers.map(({ email }) => email)).toEqual(["ada@example.org", null, "eve@example.org"]);
    await gateway.stop();
    await stores.close();
    await server.stop();
  },
);
