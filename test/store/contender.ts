import { systemClock } from "../../src/clock.ts";
import { createSpentTickets } from "../../src/login/spent.ts";
import { createWaitingMails } from "../../src/mail/waiting.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { SILENT } from "../support/silent.ts";
import type { Contest, Outcome } from "./sqlite-processes.test.ts";

/** One of several processes that want the same things at once: started by the test, which says when. */

const [path = ""] = process.argv.slice(2);
const stores = openSqliteStore({ path, clock: systemClock, log: SILENT });
const { limits } = stores;
const tickets = createSpentTickets(stores, systemClock);
const waiting = createWaitingMails(stores, SILENT);

async function compete({ tickets: count, mails, rule, hits }: Contest): Promise<Outcome> {
  const end = Date.now() + 600_000;
  const outcome: Outcome = { fresh: [], unavailable: 0, allowed: 0, claimed: [] };
  for (let i = 0; i < Math.max(count, hits, mails); i++) {
    if (i < count) {
      try {
        if (await tickets.spend(`t${i}`, end)) outcome.fresh.push(i);
      } catch {
        outcome.unavailable++;
      }
    }
    if (i < hits && (await limits.hit("one key", rule)).allowed) outcome.allowed++;
    if (i < mails) {
      const now = Date.now();
      for (const { id } of await waiting.claim(false, now, now + 600_000, 2)) outcome.claimed.push(id);
    }
  }
  return outcome;
}

process.on("message", async (contest: Contest) => {
  process.send?.(await compete(contest));
  await stores.close();
  process.exit(0);
});
process.send?.("open");
