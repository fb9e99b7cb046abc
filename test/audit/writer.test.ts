import { describe, expect, test } from "bun:test";
import type { AuditEntry } from "../../src/audit/entry.ts";
import { findAll } from "../../src/audit/find.ts";
import { createVerifier } from "../../src/audit/verify.ts";
import { KEY_CREATED } from "../../src/keys/audit.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { testClock } from "../support/clock.ts";
import { intercepted } from "../support/store.ts";
import { ADA, openTrail, ROOT, redeemed } from "./support.ts";

/** A trail whose events cannot be written while `away`. */
function stage() {
  const clock = testClock();
  const state = { away: false, adds: 0 };
  const store = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
    if (of !== "audit" || verb !== "add") return go();
    state.adds++;
    if (state.away) throw new StoreUnavailable("the disk is full");
    return go();
  });
  return { ...openTrail({ clock, store }), state };
}

async function all({ trail }: ReturnType<typeof stage>): Promise<AuditEntry[]> {
  const found: AuditEntry[] = [];
  for await (const part of findAll(trail.find, {})) found.push(...part);
  return found;
}

function wrongIn(entries: readonly AuditEntry[]) {
  const verifier = createVerifier();
  for (const entry of entries) verifier.take(entry);
  return verifier.end().wrong;
}

describe("while the store does not take events", () => {
  test("what happens waits, in its order, and is written when it does", async () => {
    const opened = stage();
    const { trail, state } = opened;
    state.away = true;
    for (let n = 0; n < 300; n++) trail.keep(redeemed(ADA, { n: `${n}` }));
    await trail.flush();
    expect(await all(opened)).toEqual([]);
    state.away = false;
    const found = await all(opened);
    expect(found.map(({ details }) => details.n)).toEqual(Array.from({ length: 300 }, (_, n) => `${n}`));
    expect(wrongIn(found)).toBeUndefined();
  });

  test("so many wait and no more; what is lost is counted, and leaves no gap in the chain", async () => {
    const opened = stage();
    const { trail, state, lines } = opened;
    state.away = true;
    for (let n = 0; n < 5_000; n++) trail.keep(redeemed());
    await trail.flush();
    state.away = false;
    await trail.flush();
    const found = await all(opened);
    expect(found).toHaveLength(1_001);
    expect(found.at(-1)).toMatchObject({ event: "audit_lost", outcome: "failed", details: { n: "4000" } });
    expect(wrongIn(found)).toBeUndefined();
    const said = lines.map((line) => JSON.parse(line).message);
    expect(said.filter((message) => message === "the audit cannot be written")).toHaveLength(1);
    expect(said.filter((message) => message === "the audit is written again")).toHaveLength(1);
  });

  test("what has to be recorded first is refused, and never said to have been done", async () => {
    const opened = stage();
    const { trail, state, auditFirst, lines } = opened;
    const act = () => auditFirst(KEY_CREATED, { key: "k1", subject: ADA, actor: ROOT });
    await act();
    state.away = true;
    trail.keep(redeemed());
    expect(act()).rejects.toThrow(StoreUnavailable);
    expect(act()).rejects.toThrow(StoreUnavailable);
    await trail.flush();
    expect(lines.filter((line) => line.includes("key_created"))).toHaveLength(1);
    state.away = false;
    await act();
    const found = await all(opened);
    expect(wrongIn(found)).toBeUndefined();
    const acts = found.filter(({ event, outcome }) => event === "key_created" && outcome === "ok");
    const undone = found.filter(({ event, outcome }) => event === "key_created" && outcome === "failed");
    // What was linked by then may be there, and is followed by what became of it.
    expect(acts.length - undone.length).toBe(2);
    for (const { reason } of undone) expect(reason).toContain("was not done");
  });
});

test("an act is recorded before it is done, and with it all that came before", async () => {
  const opened = stage();
  const { trail, auditFirst } = opened;
  trail.keep(redeemed());
  await auditFirst(KEY_CREATED, { key: "k1", subject: ADA, actor: ROOT });
  expect(opened.state.adds).toBe(2);
  expect((await all(opened)).map(({ event }) => event)).toEqual(["redeemed", "key_created"]);
});
