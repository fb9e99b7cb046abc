import { afterAll, afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/clock.ts";
import { KEYS } from "../../src/keys/record.ts";
import type { ApiKeys } from "../../src/keys/service.ts";
import type { NewKey } from "../../src/keys/wanted.ts";
import { DAY, HOUR } from "../../src/option/values.ts";
import { ENGLISH, say } from "../../src/pages/language.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { FOREVER, StoreUnavailable } from "../../src/store/records.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { type TestClock, testClock, testRandom } from "../support/clock.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { intercepted } from "../support/store.ts";
import { startValkey } from "../support/valkey.ts";
import { ADA, keysOn, made, ROOT, type Settings, type Told } from "./support.ts";

/** API keys, in each store: making, changing, ending them, and what they are worth meanwhile. */

const folder = mkdtempSync(join(tmpdir(), "runegate-keys-"));
const redis = needs("redis-server");
const server = redis === undefined ? undefined : await startValkey(redis);
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

let files = 0;
let seed = 2;
const STORES: [string, (clock: Clock) => Promise<Store>][] = [
  ["memory", async (clock) => createMemoryStore({ clock })],
  ["SQLite", async (clock) => openSqliteStore({ path: join(folder, `${files++}.db`), clock, log: SILENT })],
];
if (server !== undefined) {
  STORES.push([
    "Valkey",
    async (clock) => {
      await server.run("FLUSHALL");
      return openValkeyStore({ url: server.url, clock, log: SILENT });
    },
  ]);
}

const OWNER = "ada@example.org";
const IP = "192.0.2.77";

describe.each(STORES)("in %s, API keys", (_, open) => {
  let clock: TestClock;
  let store: Store;
  let keys: ApiKeys;
  let told: readonly Told[];
  beforeEach(async () => {
    clock = testClock();
    store = await open(clock);
    ({ keys, told } = keysOn({ store, clock }));
  });
  afterEach(() => store.close());

  const others = (settings: Partial<Settings> = {}) =>
    keysOn({ store, clock, random: testRandom(seed++), ...settings }).keys;
  const make = async (wanted: Partial<NewKey> = {}, by = ADA) =>
    made(await keys.create({ owner: OWNER, ...wanted }, by));
  /** What a key is worth: whose it is, or why not. */
  async function worth(token: string, of = keys): Promise<string> {
    const verified = await of.verify(token, IP);
    if ("problem" in verified) return verified.problem;
    const { subject } = verified.principal;
    return "email" in subject ? subject.email : `service:${subject.service}`;
  }

  test("is made, listed, found, and whose it is", async () => {
    const { token, key } = await make({ description: "  nightly\tbackup " });
    expect(key).toMatchObject({
      ...{ owner: OWNER, description: "nightly backup", createdBy: OWNER, createdAt: clock.now() },
      ...{ expiresAt: clock.now() + 90 * DAY, routes: ["lab", "wiki"], usedAt: null },
    });
    // Before its first use, which is noted some time after it.
    expect(await keys.list(OWNER)).toEqual([await keys.find(key.id)].flatMap((one) => one ?? []));
    expect(await worth(token)).toBe(OWNER);
    expect(told).toEqual([{ event: "key_created", key: key.id, subject: OWNER, actor: OWNER }]);
    expect(keys.statusOf(key)).toBe("active");
  });

  test("B13, B15: neither key nor hash is listed, and what is kept opens nothing", async () => {
    const { token, key } = await make();
    const [seen] = await store.records(KEYS).find({ most: 10 });
    const kept = JSON.stringify(seen);
    expect(kept).not.toContain(token.slice(16));
    const { hash = "" } = seen?.record ?? {};
    expect(hash).toHaveLength(43);
    const listed = JSON.stringify([await keys.list(), await keys.find(key.id), key]);
    expect(listed).not.toContain(hash);
    expect(listed).not.toContain(token);
    for (const tried of [hash, `rg_${key.id}_${hash}`, token.replace(/_[^_]{32}/, `_${hash.slice(0, 32)}`)])
      expect(await worth(tried)).toBe("malformed");
  });

  test("a right id with a wrong secret is nobody's", async () => {
    const { token, key } = await make();
    const other = await make();
    expect(await worth(token)).toBe(OWNER);
    const { parseKey, writeKey } = await import("../../src/keys/format.ts");
    const secret = parseKey(other.token)?.secret ?? "";
    expect(await worth(writeKey({ id: key.id, secret }))).toBe("wrong_secret");
    expect(await worth(writeKey({ id: "000000000000", secret }))).toBe("unknown");
    expect(await worth(`${token.slice(0, -1)}${token.endsWith("0") ? "1" : "0"}`)).toBe("malformed");
  });

  test("B2: an unknown id costs the same work as a wrong secret: one look and as many hashes", async () => {
    const { key } = await make();
    const { newSecret, writeKey } = await import("../../src/keys/format.ts");
    const random = testRandom(seed++);
    const digest = spyOn(Bun.CryptoHasher.prototype, "digest");
    try {
      for (const settings of [{}, { sessionKey: "b", sessionKeyPrevious: "a" }]) {
        let looks = 0;
        const counting = intercepted(store, (call) => {
          if (call.verb === "get") looks++;
          return call.go();
        });
        const { keys: counted } = keysOn({ store: counting, clock, ...settings });
        const workOf = async (id: string) => {
          const before = { looks, hashes: digest.mock.calls.length };
          await worth(writeKey({ id, secret: newSecret(random) }), counted);
          return { looks: looks - before.looks, hashes: digest.mock.calls.length - before.hashes };
        };
        // The first look at a record checks its seal too, once and for whoever asks.
        await workOf(key.id);
        const hashes = Object.keys(settings).length === 0 ? 1 : 2;
        expect(await workOf(key.id)).toEqual({ looks: 1, hashes });
        expect(await workOf("000000000000")).toEqual({ looks: 1, hashes });
      }
    } finally {
      digest.mockRestore();
    }
  });

  test("B3: ends at its end, to the millisecond, and stays listed as expired", async () => {
    const { token, key } = await make({ expiresIn: HOUR });
    clock.advance(HOUR - 1);
    expect(await worth(token)).toBe(OWNER);
    clock.advance(1);
    expect(await worth(token)).toBe("expired");
    expect((await keys.list(OWNER)).map((one) => keys.statusOf(one))).toEqual(["expired"]);
    expect(await keys.alive(key.id)).toBeUndefined();
  });

  test("B4: is worth nothing once its owner is off the list, and something again when they are back", async () => {
    const { token, key } = await make();
    const stricter = others({ allowed: "bob@example.org" });
    expect(await worth(token, stricter)).toBe("owner");
    expect(await stricter.alive(key.id)).toBeUndefined();
    expect(await worth(token, others())).toBe(OWNER);
  });

  test("B11: a rotated key goes on for as long as was asked, the one before that ends at once, and disabling ends both", async () => {
    const first = await make();
    const { id } = first.key;
    const second = made(await keys.rotate(id, HOUR, ADA, OWNER));
    expect(second.key).toMatchObject({ id, expiresAt: first.key.expiresAt });
    expect([await worth(first.token), await worth(second.token)]).toEqual([OWNER, OWNER]);
    clock.advance(HOUR);
    expect([await worth(first.token), await worth(second.token)]).toEqual(["wrong_secret", OWNER]);

    const third = made(await keys.rotate(id, HOUR, ADA, OWNER));
    const fourth = made(await keys.rotate(id, HOUR, ADA, OWNER));
    expect(await worth(second.token)).toBe("wrong_secret");
    expect([await worth(third.token), await worth(fourth.token)]).toEqual([OWNER, OWNER]);

    await keys.update(id, { disabled: true }, ADA, OWNER);
    expect([await worth(third.token), await worth(fourth.token)]).toEqual(["disabled", "disabled"]);
    expect(await keys.rotate(id, 0, ADA, OWNER)).toMatchObject({ refused: "bad_request" });
    await keys.update(id, { disabled: false }, ADA, OWNER);
    expect(await worth(fourth.token)).toBe(OWNER);
    const fifth = made(await keys.rotate(id, 0, ADA, OWNER));
    expect([await worth(fourth.token), await worth(fifth.token)]).toEqual(["wrong_secret", OWNER]);
    expect(told.map(({ event }) => event)).toEqual([
      ...["key_created", "key_rotated", "key_rotated", "key_rotated"],
      ...["key_disabled", "key_changed", "key_rotated"],
    ]);
  });

  test("rotating it from several places at once leaves one secret that is the last", async () => {
    const { key } = await make();
    const all = await Promise.all(Array.from({ length: 4 }, () => keys.rotate(key.id, 0, ADA, OWNER)));
    const worths = await Promise.all(all.map((one) => worth(made(one).token)));
    expect(worths.filter((one) => one === OWNER)).toHaveLength(1);
  });

  test("revoked, it is gone, and whoever listens is told", async () => {
    const ended: string[] = [];
    keys.onEnded((id) => ended.push(id));
    const { token, key } = await make();
    expect(await keys.revoke(key.id, ADA, OWNER)).toMatchObject({ id: key.id });
    expect(await worth(token)).toBe("unknown");
    expect(await keys.list()).toEqual([]);
    expect(ended).toEqual([key.id]);
    expect(await keys.revoke(key.id, ADA, OWNER)).toBeUndefined();
    expect(told.at(-1)).toEqual({ event: "key_revoked", key: key.id, subject: OWNER, actor: OWNER });
  });

  test("B12: somebody else's is not there", async () => {
    const { token, key } = await make();
    const bob = { name: "bob@example.org", isAdmin: false };
    expect(await keys.find(key.id, bob.name)).toBeUndefined();
    expect(await keys.revoke(key.id, bob, bob.name)).toBeUndefined();
    const missing = { refused: "not_found", message: "token not found" };
    expect(await keys.rotate(key.id, 0, bob, bob.name)).toMatchObject(missing);
    expect(await keys.update(key.id, { disabled: true }, bob, bob.name)).toMatchObject(missing);
    expect(await keys.rotate("000000000000", 0, bob, bob.name)).toMatchObject(missing);
    expect(await worth(token)).toBe(OWNER);
  });

  test("an owner may end theirs sooner, and not later; an administrator may do both", async () => {
    const { key } = await make();
    const at = (days: number) => ({ expiresAt: clock.now() + days * DAY });
    expect(await keys.update(key.id, at(30), ADA, OWNER)).toMatchObject(at(30));
    expect(await keys.update(key.id, at(31), ADA, OWNER)).toMatchObject({ refused: "not_allowed" });
    expect(await keys.update(key.id, at(300), ROOT)).toMatchObject(at(300));
    expect(await keys.update(key.id, at(367), ROOT)).toMatchObject({ refused: "bad_request" });
    expect(await keys.update(key.id, at(0), ADA, OWNER)).toMatchObject({ refused: "bad_request" });
    expect(await keys.update(key.id, { description: "new" }, ADA, OWNER)).toMatchObject({
      description: "new",
    });
  });

  test("what an administrator has disabled, its owner does not enable", async () => {
    const { token, key } = await make();
    await keys.update(key.id, { disabled: true }, ROOT);
    expect(await keys.update(key.id, { disabled: false }, ADA, OWNER)).toMatchObject({
      refused: "not_allowed",
    });
    expect(await worth(token)).toBe("disabled");
    await keys.update(key.id, { disabled: false }, ROOT);
    expect(await worth(token)).toBe(OWNER);
  });

  test("without an end: by administrators, and only where there is no longest life", async () => {
    const never = { owner: OWNER, expiresIn: "never" } as const;
    expect(await keys.create(never, ROOT)).toMatchObject({ refused: "bad_request" });
    const endless = others({ apiKeyMaxTtl: 0 });
    expect(await endless.create(never, ADA)).toMatchObject({ refused: "bad_request" });
    expect(made(await endless.create(never, ROOT)).key.expiresAt).toBe(FOREVER);
    const short = others({ apiKeyMaxTtl: DAY });
    expect(made(await short.create({ owner: OWNER }, ADA)).key.expiresAt).toBe(clock.now() + DAY);
  });

  test("twenty an owner, of those that have not ended", async () => {
    await make({ expiresIn: HOUR });
    for (let count = 1; count < 20; count++) await make();
    expect(await keys.create({ owner: OWNER }, ADA)).toMatchObject({ refused: "too_many_keys" });
    clock.advance(HOUR);
    await make();
    expect(await keys.revokeAll(OWNER, ROOT)).toBe(21);
    expect(await keys.list(OWNER)).toEqual([]);
  });

  test("twenty an owner, however many are made at once", async () => {
    for (let count = 0; count < 15; count++) await make();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? keys : others()).create({ owner: OWNER }, ADA),
      ),
    );
    const count = answers.filter((answer) => !("refused" in answer)).length;
    expect((await keys.list(OWNER)).length).toBe(15 + count);
    expect(count).toBeLessThanOrEqual(5);
    while ((await keys.list(OWNER)).length < 20) await make();
    expect(await keys.create({ owner: OWNER }, ADA)).toMatchObject({ refused: "too_many_keys" });
    for (const answer of answers) if (!("refused" in answer)) expect(await worth(answer.token)).toBe(OWNER);
  });

  test("of those that have ended twenty an owner too, the latest", async () => {
    const going = await make();
    const ids: string[] = [];
    for (let count = 0; count < 25; count++) {
      ids.push((await make({ expiresIn: 1 })).key.id);
      clock.advance(1);
    }
    const last = await make();
    const kept = (await keys.list(OWNER)).map(({ id }) => id);
    expect(kept).toEqual([going.key.id, ...ids.slice(-20), last.key.id]);
  });

  test("with half a character in what it is for, is made all the same", async () => {
    const { token, key } = await make({ description: "a\ud800b" });
    expect([key.description, await worth(token)]).toEqual(["a\ufffdb", OWNER]);
  });

  test("two new secrets at once: each is good, or was never given out", async () => {
    const { token, key } = await make();
    const both = await Promise.all([keys.rotate(key.id, HOUR, ADA), others().rotate(key.id, HOUR, ADA)]);
    const tokens = both.map((one) => made(one).token);
    for (const one of tokens) expect(await worth(one)).toBe(OWNER);
    expect(await worth(token)).toBe("wrong_secret");
  });

  test("a new secret and an end at once: the end stays", async () => {
    for (let tries = 0; tries < 5; tries++) {
      const { token, key } = await make();
      const [rotated] = await Promise.all([keys.rotate(key.id, HOUR, ADA), others().revoke(key.id, ADA)]);
      expect(await keys.find(key.id)).toBeUndefined();
      expect(await worth(token)).toBe("unknown");
      if (!("refused" in rotated)) expect(await worth(rotated.token)).toBe("unknown");
    }
  });

  test.each<[string, Partial<NewKey>, RegExp]>([
    ["for nobody", { owner: "eve@example.org" }, /nobody of that name/],
    ["for no address", { owner: "ada" }, /nobody of that name/],
    ["for no account", { owner: "service:other" }, /nobody of that name/],
    ["with too long a description", { description: "x".repeat(257) }, /256/],
    ["for a route that is not there", { routes: ["lab", "nope"] }, /routes: nope/],
    ["for a route that takes no keys", { routes: ["shop"] }, /routes: shop/],
    ["for no route", { routes: [] }, /application/],
    ["for everything", { routes: ["*"] }, /administrator/],
    ["for longer than may be", { expiresIn: 367 * DAY }, /longer/],
    ["with an end that is past", { expiresIn: 0 }, /future/],
    ["with an odd method", { methods: ["get"] }, /methods: get/],
    ["with an odd path", { paths: ["/a/../b"] }, /paths: /],
    ["with a pattern in a path", { paths: ["/a*b"] }, /paths: /],
    ["with an odd network", { networks: ["10.0.0.1/8"] }, /networks: /],
    ["with two networks in one", { networks: ["10.0.0.0/8,::1"] }, /networks: /],
    ["with no rate", { rate: 0 }, /rate: /],
    ["with part of a rate", { rate: 1.5 }, /rate: /],
  ])("is not made %s", async (_, wanted, message) => {
    const refused = await keys.create({ owner: OWNER, ...wanted }, ADA);
    if (!("refused" in refused)) throw new Error("it was made");
    expect(refused.refused).toBe("bad_request");
    expect(say(ENGLISH, refused.message)).toMatch(message);
    expect(await keys.list()).toEqual([]);
  });

  test("opens what was asked for, as far as its owner may now", async () => {
    const { token, key } = await make({
      ...{ routes: ["lab"], methods: ["GET"], paths: ["/api/*"], networks: ["192.0.2.0/24"], rate: 5 },
    });
    expect(key).toMatchObject({ routes: ["lab"], methods: ["GET"], paths: ["/api/*"], rate: 5 });
    const verified = await keys.verify(token, IP);
    expect(verified).toMatchObject({
      rate: 5,
      principal: { scope: { routes: new Set(["lab"]), methods: new Set(["GET"]), paths: ["/api/*"] } },
    });
    const all = made(await keys.create({ owner: OWNER, routes: ["*"] }, ROOT));
    const open = await keys.verify(all.token, IP);
    expect(open).toMatchObject({ principal: { scope: { routes: undefined } } });
  });

  test("of a service account: only what names it, from where the account may", async () => {
    const { token, key } = await make({ owner: "service:backup" }, ROOT);
    expect(key.routes).toEqual(["lab"]);
    expect(await worth(token)).toBe("service:backup");
    const gone = others({ accounts: new Map() });
    expect(await worth(token, gone)).toBe("owner");
    const network = { text: "10.0.0.0/8", bytes: [10, 0, 0, 0], prefix: 8 };
    const narrower = others({ accounts: new Map([["backup", { networks: [network] }]]) });
    const verified = await narrower.verify(token, IP);
    expect(verified).toMatchObject({ principal: { scope: { networks: [[network]] } } });
  });

  test("B19: its last use is written once a minute, and without the machine it came from", async () => {
    const { token, key } = await make();
    const used = async () => {
      await Promise.all(Array.from({ length: 20 }, () => keys.verify(token, IP)));
      await Bun.sleep(20);
      const [seen] = await store.records(KEYS).find({ most: 1 });
      return [seen?.version, seen?.record.usedAt, seen?.record.usedFrom];
    };
    const begun = clock.now();
    const [version = 0, ...first] = await used();
    expect(first).toEqual([begun, "192.0.2.0/24"]);
    clock.advance(59_999);
    expect(await used()).toEqual([version, ...first]);
    clock.advance(1);
    expect(await used()).toEqual([Number(version) + 1, begun + 60_000, "192.0.2.0/24"]);
    clock.advance(60_000);
    await keys.verify(token, "2001:db8:1:2::3");
    await Bun.sleep(20);
    expect(await keys.find(key.id)).toMatchObject({ usedFrom: "2001:db8:1::/48" });
  });

  test("unused for a quarter of a year it is marked, and ended only where that is asked for", async () => {
    const { token, key } = await make({ expiresIn: 300 * DAY });
    clock.advance(89 * DAY);
    expect(keys.statusOf(key)).toBe("active");
    clock.advance(DAY);
    expect(keys.statusOf(key)).toBe("unused");
    const strict = others({ apiKeyIdle: 90 * DAY });
    expect(strict.statusOf(key)).toBe("expired");
    expect(await worth(token, strict)).toBe("unused");
    expect(await worth(token)).toBe(OWNER);
  });

  test("those that end within a week are taken once, and what ended a month ago is forgotten", async () => {
    const { key } = await make({ expiresIn: 60 * DAY });
    const short = await make({ expiresIn: 7 * DAY });
    const disabled = await make({ expiresIn: 60 * DAY });
    await keys.update(disabled.key.id, { disabled: true }, ADA, OWNER);
    const machines = [keys, others(), others()];
    const take = async () => (await Promise.all(machines.map((one) => one.takeEndingSoon()))).flat();
    expect(await take()).toEqual([]);
    clock.advance(53 * DAY);
    expect((await take()).map(({ id }) => id)).toEqual([key.id]);
    expect(await take()).toEqual([]);
    await keys.removeLongEnded();
    // The short one ended 46 days ago.
    expect((await keys.list()).map(({ id }) => id)).not.toContain(short.key.id);
    expect(await keys.list()).toHaveLength(2);
    clock.advance(36 * DAY);
    await keys.removeLongEnded();
    expect(await keys.list()).toHaveLength(2);
    clock.advance(DAY);
    await keys.removeLongEnded();
    expect(await keys.list()).toEqual([]);
  });

  test("a changed session key: what was made under the one before goes on, and is hashed anew when it is used", async () => {
    const { token, key } = await make();
    const rotated = made(await keys.rotate(key.id, 30 * DAY, ADA, OWNER));
    const [before] = await store.records(KEYS).find({ most: 1 });
    const next = others({ sessionKey: "b", sessionKeyPrevious: "a" });
    expect([await worth(rotated.token, next), await worth(token, next)]).toEqual([OWNER, OWNER]);
    await Bun.sleep(20);
    expect([await worth(rotated.token, next), await worth(token, next)]).toEqual([OWNER, OWNER]);
    await Bun.sleep(20);
    const [after] = await store.records(KEYS).find({ most: 1 });
    expect(after?.record.hash).not.toBe(before?.record.hash);
    expect(await worth(rotated.token, others({ sessionKey: "b" }))).toBe(OWNER);
    expect(await worth(token, others({ sessionKey: "b" }))).toBe(OWNER);
    expect(await worth(token, others({ sessionKey: "c" }))).toBe("unknown");
  });

  test.each<[string, object]>([
    ["another owner", { owner: "root@example.org" }],
    ["more routes", { routes: ["*"] }],
    ["no limits", { methods: null, paths: null, networks: null, rate: null }],
    ["a later end", { expiresAt: FOREVER }],
    ["itself enabled", { disabledAt: null }],
    ["a longer overlap", { previousUntil: FOREVER }],
  ])("whoever writes to the store gives a key %s: it opens nothing", async (_, change) => {
    const { token, key } = await make({ routes: ["lab"], methods: ["GET"], networks: ["10.0.0.0/8"] });
    await keys.update(key.id, { disabled: true }, ROOT);
    const records = store.records(KEYS);
    const seen = await records.get(key.id);
    if (seen === undefined) throw new Error("no record");
    await records.replace(seen, { ...seen.record, ...change });
    expect(await worth(token, others())).toBe("unknown");
    expect(await others().list()).toEqual([]);
  });
});

test("what cannot be recorded is not done to a key", async () => {
  const clock = testClock();
  let isWritten = true;
  const { keys } = keysOn({ store: createMemoryStore({ clock }), clock, isWritten: () => isWritten });
  const { key } = made(await keys.create({ owner: ADA.name }, ROOT));
  isWritten = false;
  const acts = [
    () => keys.create({ owner: ADA.name }, ROOT),
    () => keys.update(key.id, { disabled: true }, ROOT),
    () => keys.rotate(key.id, 0, ROOT),
    () => keys.revoke(key.id, ROOT),
  ];
  for (const act of acts) expect(act).toThrow(StoreUnavailable);
  expect(await keys.list()).toEqual([key]);
});
