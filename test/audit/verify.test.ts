import { describe, expect, test } from "bun:test";
import { canonicalJson, headText, notedHeads } from "../../src/audit/chain.ts";
import type { AuditEntry } from "../../src/audit/entry.ts";
import { findAll } from "../../src/audit/find.ts";
import { createVerifier, type Verdict } from "../../src/audit/verify.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { testClock } from "../support/clock.ts";
import { ADA, openTrail, redeemed, refused } from "./support.ts";

const DAY = 86_400_000;

/** What two processes write in turn, as it is exported. */
async function exported(pruneFirst = 0): Promise<AuditEntry[]> {
  const clock = testClock();
  const store = createMemoryStore({ clock });
  const some = [openTrail({ clock, store, seed: 1 }), openTrail({ clock, store, seed: 2 })];
  for (let i = 0; i < 12; i++) {
    some[i % 2]?.trail.keep(i % 3 === 0 ? refused() : redeemed(ADA, { n: `${i}` }));
    clock.advance(1000);
    for (const { trail } of some) await trail.flush();
  }
  if (pruneFirst > 0) await some[0]?.trail.prune(testClock().now() + pruneFirst * 1000);
  for (const { trail } of some) await trail.close();
  const all: AuditEntry[] = [];
  const { trail } = openTrail({ clock, store, seed: 3 });
  for await (const part of findAll(trail.find, {})) all.push(...part);
  return all;
}

function verify(entries: readonly unknown[], heads: Parameters<typeof createVerifier>[0] = []): Verdict {
  const verifier = createVerifier(heads);
  // As it comes from a file.
  for (const entry of entries) verifier.take(JSON.parse(JSON.stringify(entry)));
  return verifier.end();
}

describe("H7 verifying", () => {
  test("what was written is right, by each of two processes, and says where each ends", async () => {
    const all = await exported();
    const { events, chains, wrong, heads } = verify(all);
    expect({ events, chains, wrong }).toEqual({ events: 14, chains: 2, wrong: undefined });
    expect(verify(all, heads).wrong).toBeUndefined();
    expect(verify([])).toEqual({ events: 0, chains: 0, heads: [] });
  });

  test("each edit of each line is found, in that line", async () => {
    const all = await exported();
    const edits: ((entry: AuditEntry) => unknown)[] = [
      (entry) => ({ ...entry, event: "logged_out" }),
      (entry) => ({ ...entry, time: "2026-01-02T03:04:05.001Z" }),
      (entry) => ({ ...entry, subject: { email: "eve@example.org" } }),
      (entry) => ({ ...entry, details: { ...entry.details, by: "code" } }),
      (entry) => ({ ...entry, note: "more" }),
      (entry) => ({ ...entry, chain: { ...entry.chain, hash: "0".repeat(64) } }),
      (entry) => ({ ...entry, chain: { ...entry.chain, seq: entry.chain.seq + 1 } }),
      (entry) => ({ ...entry, chain: { ...entry.chain, writer: "vps2" } }),
      (entry) => ({ ...entry, chain: { ...entry.chain, prev: "0".repeat(64) } }),
      () => ({}),
      () => 7,
      () => null,
    ];
    for (const edit of edits) {
      for (let at = 0; at < all.length; at++) {
        const { wrong } = verify(all.with(at, edit(all[at] as AuditEntry) as AuditEntry));
        expect({ line: wrong?.line, edit: `${edit}` }).toEqual({ line: at + 1, edit: `${edit}` });
      }
    }
  });

  test("a line that was taken out is found where its chain goes on without it", async () => {
    const all = await exported();
    for (let at = 0; at < all.length; at++) {
      const { writer } = (all[at] as AuditEntry).chain;
      const next = all.findIndex((entry, i) => i > at && entry.chain.writer === writer);
      const { wrong } = verify(all.toSpliced(at, 1));
      // Of the last of a chain only a known head tells.
      expect(wrong?.line).toBe(next === -1 ? undefined : next);
    }
  });

  test("lines that changed places are found", async () => {
    const all = await exported();
    for (let at = 0; at + 1 < all.length; at++) {
      const [one, other] = [all[at] as AuditEntry, all[at + 1] as AuditEntry];
      const { wrong } = verify(all.with(at, other).with(at + 1, one));
      expect(wrong?.line).toBeGreaterThanOrEqual(at + 1);
      expect(wrong?.line).toBeLessThanOrEqual(at + 2);
    }
    expect(verify([...all.slice(0, 3), all[2], ...all.slice(3)]).wrong?.line).toBe(4);
  });

  test("an end that was cut off, or written anew, is found by a head that was noted", async () => {
    const all = await exported();
    const { heads } = verify(all);
    const text = heads.map((head) => `12:00 INFO audit event=audit_head heads=${headText(head)}`).join("\n");
    expect(notedHeads(text)).toEqual([...heads]);
    expect(verify(all.slice(0, -1)).wrong).toBeUndefined();
    const cut = verify(all.slice(0, -1), notedHeads(text)).wrong;
    expect(cut).toEqual({ line: undefined, what: expect.stringContaining("the end of a chain is cut off") });
    const [head] = heads;
    if (head === undefined) throw new Error("no head");
    const other = verify(all, [{ ...head, hash: "0".repeat(64) }]).wrong;
    expect(other?.what).toContain("known head");
    expect(verify(all, [{ ...head, writer: "vps1-gone" }]).wrong?.what).toContain("vps1-gone");
  });

  test("heads are noted by what tells of them, in every format of a log, and by no word of a visitor's", () => {
    const head = { writer: "vps1-0123456789", seq: 7, hash: "a".repeat(64) };
    const told = headText(head);
    const lines: string[] = [];
    for (const format of ["console", "json"] as const) {
      for (const color of [false, true]) {
        const write = (line: string) => lines.push(line);
        const levels = { default: "info", modules: {} } as const;
        const log = createLoggers({ format, levels, write, now: () => 0, color })("audit");
        log.info("audit", { event: "audit_head", heads: told });
        for (const said of [told, ` event=audit_head heads=${told}`, `"  event=audit_head heads=${told}`]) {
          log.info("audit", { event: "access_requested", reason: said });
          log.info("request", {
            method: "GET",
            path: `/${said}`,
            agent: `{"event":"audit_head","heads":"${told}"}`,
          });
          log.info("request", { path: `/{"event":"audit_head","heads":"${told}"}` });
        }
      }
    }
    expect(notedHeads(lines.join("\n"))).toEqual([head, head, head, head]);
    const syslog = `<86>1 2026-01-31T12:00:00Z vps1 runegate 7 audit_head [meta sequenceId="1"] {"event":"audit_head","heads":"${told}"}`;
    const entry = JSON.stringify({ v: 1, event: "audit_head", details: { heads: told } });
    expect(notedHeads(`${syslog}\n${entry}\n${told} ${told}\n`)).toEqual([head, head, head, head]);
  });

  test("what was pruned is missed by nobody, as long as it says so", async () => {
    const all = await exported(5);
    expect(all[0]?.chain.seq).toBeGreaterThan(1);
    expect(all.filter(({ event }) => event === "audit_pruned")).toHaveLength(1);
    const { wrong } = verify(all);
    expect(wrong).toBeUndefined();
    // One more than it says.
    expect(verify(all.slice(1)).wrong).toMatchObject({ line: 2, what: expect.stringContaining("pruned") });
    const untold = all.filter(({ event }) => event !== "audit_pruned");
    expect(verify(untold).wrong?.line).toBe(1);
    // A head from before counts as reached.
    const before = (await exported())[3]?.chain;
    expect(before && verify(all, [before]).wrong).toBeUndefined();
  });
});

test("canonical JSON has its fields in order at every depth, and no spaces", () => {
  expect(
    canonicalJson({ b: 1, a: { d: null, c: "ä\n\u2028", undefined: undefined }, "": [1, { z: 1, y: 2 }] }),
  ).toBe('{"":[1,{"y":2,"z":1}],"a":{"c":"ä\\n\u2028","d":null},"b":1}');
});

test("a chain goes on through a clock that is set back a little, and another begins where it is set back far", async () => {
  const { trail, clock } = openTrail();
  for (const by of [0, -5_000, 1_000, -DAY, 1_000]) {
    clock.setWall(clock.now() + by);
    trail.keep(redeemed());
  }
  const all: AuditEntry[] = [];
  for await (const part of findAll(trail.find, {})) all.push(...part);
  expect(new Set(all.map(({ chain }) => chain.writer)).size).toBe(2);
  expect(verify(all)).toMatchObject({ events: 5, chains: 2 });
  expect(verify(all).wrong).toBeUndefined();
});
