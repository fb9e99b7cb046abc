import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { SessionRecord } from "../../src/session/record.ts";
import { createSeals, type Unsealed } from "../../src/session/seal.ts";

const key = (byte: number) => new Uint8Array(32).fill(byte);
const seals = createSeals({ current: key(1), previous: undefined });
const RECORD: Unsealed = {
  id: "i".repeat(43),
  email: "ann@example.org",
  createdAt: 1_800_000_012_345,
  provenAt: 1_800_000_012_345,
  expiresAt: 1_800_600_012_345,
  seenAt: 1_800_000_100_000,
  rested: 0,
  method: "link",
  groups: "",
  brief: false,
  bound: "",
  ip: "192.0.2.7",
  userAgent: "test",
};

test("a sealed record is opened as it was sealed", () => {
  const sealed = seals.seal(RECORD);
  expect(sealed).toEqual({ ...RECORD, seal: expect.stringMatching(/^1800000100000\.[\w-]{43}$/) });
  expect(seals.open(sealed)).toBe(sealed);
});

describe("a record is not opened", () => {
  const sealed = seals.seal(RECORD);
  const other = seals.seal({ ...RECORD, id: "j".repeat(43), email: "eve@example.org" });
  const [seenAt, mac = ""] = sealed.seal.split(".");
  test.each<[string, Partial<SessionRecord>]>([
    ["of another address", { email: "boss@example.org" }],
    ["with a rest it never had", { rested: 1 }],
    ["proven at another time", { provenAt: RECORD.createdAt - 1 }],
    ["begun in another way", { method: "code" }],
    ["bound to a place", { bound: "192.0.2.0/24@Chrome/Windows" }],
    ["under another id", { id: "j".repeat(43) }],
    ["with a later end", { expiresAt: RECORD.expiresAt + 1 }],
    ["with another beginning", { createdAt: RECORD.createdAt - 1 }],
    ["with the seal of another", { seal: other.seal }],
    ["without a seal", { seal: "" }],
    ["with a later use in its seal", { seal: `1800000100001.${mac}` }],
    ["with half a seal", { seal: `${seenAt}.${mac.slice(0, 20)}` }],
    ["with more than a seal", { seal: `${seenAt}.${mac}A` }],
    ["with the MAC alone", { seal: mac }],
    ["with no MAC", { seal: `${seenAt}.` }],
    ["with a signed note for a seal", { seal: seals.sign(String(seenAt)) }],
  ])("%s", (_, changes) => {
    // What is known of a record that was opened says nothing of another.
    for (const opened of [false, true]) {
      const fresh = createSeals({ current: key(1), previous: undefined });
      if (opened) expect(fresh.open(sealed)).toBe(sealed);
      expect(fresh.open({ ...sealed, ...changes })).toBeUndefined();
      expect(fresh.open(sealed)).toBe(sealed);
    }
  });

  test("with anything else for a seal", () => {
    fc.assert(
      fc.property(fc.string(), (seal) => {
        expect(seals.open({ ...sealed, seal })).toBeUndefined();
      }),
    );
  });

  test("where what is in one field is moved to the next", () => {
    const texts = fc.string({ unit: fc.constantFrom('"', ",", "\\", "\n", "1", "a") });
    fc.assert(
      fc.property(texts, texts, texts, texts, (id, email, otherId, otherEmail) => {
        const one = seals.seal({ ...RECORD, id, email });
        const opened = seals.open({ ...one, id: otherId, email: otherEmail });
        expect(opened !== undefined).toBe(id === otherId && email === otherEmail);
      }),
    );
  });
});

test("the last use is the one that was sealed, whatever the store says of it", () => {
  const sealed = seals.seal(RECORD);
  for (const seenAt of [0, RECORD.seenAt - 1, RECORD.seenAt + 1, 2e12]) {
    expect(seals.open({ ...sealed, seenAt })).toEqual(sealed);
  }
  const used = seals.renew(sealed, RECORD.seenAt + 5, 0);
  expect(seals.open(used)).toEqual({ ...sealed, seenAt: RECORD.seenAt + 5, seal: used.seal });
});

test("a rest is sealed with the use that ended it, and without one the seal is what it was before there were any", () => {
  const sealed = seals.seal(RECORD);
  const rested = seals.renew(sealed, RECORD.seenAt + 3_600_000, 3_600_000);
  expect(seals.open(rested)).toEqual(rested);
  expect(seals.open({ ...rested, rested: 0 })).toBeUndefined();
  expect(seals.open({ ...rested, rested: 60_000 })).toBeUndefined();
  const text = `${RECORD.createdAt} ${RECORD.expiresAt} ${RECORD.seenAt} 43 ${RECORD.id}${RECORD.email}`;
  const mac = new Bun.CryptoHasher("sha256", key(1)).update(text).digest("base64url");
  expect(sealed.seal).toBe(`${RECORD.seenAt}.${mac}`);
});

test("where it came from is shown only, and may be anything", () => {
  const sealed = seals.seal(RECORD);
  expect(seals.open({ ...sealed, ip: "x", userAgent: "y" })).toBeDefined();
});

describe("when the key has changed", () => {
  const [before, both, after] = [
    createSeals({ current: key(1), previous: undefined }),
    createSeals({ current: key(2), previous: key(1) }),
    createSeals({ current: key(2), previous: undefined }),
  ];

  test("what the previous one sealed is opened, and stays under it for those who have no other", () => {
    const old = before.seal(RECORD);
    expect(both.open(old)).toEqual(old);
    const used = both.renew(old, RECORD.seenAt + 5, 0);
    expect(before.open(used)).toEqual(used);
    expect(both.open(used)).toEqual(used);
  });

  test("what is new is under the new one", () => {
    const fresh = both.seal(RECORD);
    expect([before.open(fresh), after.open(fresh)]).toEqual([undefined, fresh]);
  });

  test("and the previous one is gone, nothing of it is opened", () => {
    expect(after.open(before.seal(RECORD))).toBeUndefined();
    expect([both.verify(before.sign("a")), after.verify(before.sign("a"))]).toEqual(["a", undefined]);
  });
});

test.each(["", "x", "0", "0.", ".", "1800000000000.AAAA", seals.seal(RECORD).seal])(
  "%j is no signed note",
  (text) => expect(seals.verify(text)).toBeUndefined(),
);
