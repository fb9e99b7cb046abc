import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { createWaitingMails } from "../../src/mail/waiting.ts";
import type { LimitRule } from "../../src/store/limits.ts";
import { systemMachine } from "../../src/store/sqlite/shared-clock.ts";
import { SILENT } from "../support/silent.ts";
import { type Place, temporaryPlace } from "./sqlite-place.ts";

/** Several processes on one file, as the workers of an instance are. */

/** What each of the processes tries for. */
export type Contest = {
  readonly tickets: number;
  readonly mails: number;
  readonly rule: LimitRule;
  readonly hits: number;
};
export type Outcome = { fresh: number[]; unavailable: number; allowed: number; claimed: string[] };

const PROCESSES = 4;

let place: Place;
beforeEach(() => {
  place = temporaryPlace();
});
afterEach(() => place[Symbol.dispose]());

/** A process that has the file open, and waits to be told. */
async function startContender() {
  const opened = Promise.withResolvers<void>();
  const done = Promise.withResolvers<Outcome>();
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "contender.ts"), place.path], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc(message: "open" | Outcome) {
      if (message === "open") opened.resolve();
      else done.resolve(message);
    },
  });
  const ended = child.exited.then((code): never => {
    throw new Error(`it ended with ${code}`);
  });
  ended.catch(() => {});
  await Promise.race([opened.promise, ended]);
  return (contest: Contest): Promise<Outcome> => {
    child.send(contest);
    return Promise.race([done.promise, ended]);
  };
}

test("of all processes one gets a ticket, one a mail, and together they get as many hits as the limit allows", async () => {
  // There is no database yet: they also create it at once.
  const contenders = await Promise.all(Array.from({ length: PROCESSES }, startContender));
  expect(place.lines).toEqual([]);
  const store = place.open(systemClock, systemMachine);
  expect(place.lines).toEqual([]);
  const mails = createWaitingMails(store, SILENT);
  const now = Date.now();
  for (let i = 0; i < 100; i++) {
    await mails.add({
      ...{ id: `m${i}`, to: "ann@example.org", content: "sealed", messageId: `<m${i}@example.org>` },
      ...{ queuedAt: now, expiresAt: now + 600_000, attempts: 0, nextAttemptAt: now + i - 100 },
      ...{ cooldownKey: undefined, first: false },
    });
  }
  const rule = { limit: 50, windowMs: 600_000 };
  const outcomes = await Promise.all(
    contenders.map((compete) => compete({ tickets: 300, mails: 100, rule, hits: 200 })),
  );

  const inOrder = (numbers: number[]) => numbers.toSorted((a, b) => a - b);
  expect(outcomes.map(({ unavailable }) => unavailable)).toEqual(outcomes.map(() => 0));
  expect(inOrder(outcomes.flatMap(({ fresh }) => fresh))).toEqual(Array.from({ length: 300 }, (_, i) => i));
  expect(outcomes.reduce((sum, { allowed }) => sum + allowed, 0)).toBe(50);
  const claimed = outcomes.flatMap((outcome) => outcome.claimed.map((id) => Number(id.slice(1))));
  expect(inOrder(claimed)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  // Each claim is in order of age.
  for (const outcome of outcomes) {
    const own = outcome.claimed.map((id) => Number(id.slice(1)));
    expect(own).toEqual(inOrder(own));
  }
  // A process that comes later counts what they counted.
  expect(await store.limits.hit("one key", rule)).toMatchObject({ allowed: false });
}, 20_000);
