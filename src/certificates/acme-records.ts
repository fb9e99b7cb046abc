import type { Clock } from "../clock.ts";
import { MINUTE } from "../option/values.ts";
import type { Kind, RecordStore } from "../store/records.ts";
import { type Challenges, ORDER_MS } from "./acme.ts";

/** What processes and machines that answer for the same names tell each other while one of them orders a certificate. */

export const ANSWERS: Kind<{ readonly answer: string }> = { name: "acme_answer" };
export const LEASES: Kind<Record<never, never>> = { name: "acme_lease" };
/** Longer than any order takes. */
const LEASE_MS = 2 * ORDER_MS;
const ANSWER_MS = 30 * MINUTE;

/** As the authority writes them (RFC 8555 §8.3), and too short to fill anything. */
const TOKEN = /^[\w-]{16,200}$/;

export type OrderRecords = {
  readonly challenges: Challenges;
  /** What is answered below `/.well-known/acme-challenge/`, whoever ordered. */
  challengeOf(token: string): Promise<string | undefined>;
  /** Of all that ask, one gets true, until it gives back. */
  lease(name: string): Promise<boolean>;
  giveBack(name: string): Promise<void>;
};

export function createOrderRecords(store: RecordStore, clock: Clock): OrderRecords {
  const [answers, leases] = [store.records(ANSWERS), store.records(LEASES)];
  return {
    challenges: {
      type: "http-01",
      async put(token, answer) {
        if (!TOKEN.test(token)) throw new Error("the authority's token is none");
        await answers.add(token, { answer }, clock.now() + ANSWER_MS, "light");
      },
      async remove(token) {
        await answers.take(token, "light");
      },
    },
    async challengeOf(token) {
      if (!TOKEN.test(token)) return undefined;
      const answer = (await answers.get(token))?.record.answer;
      return typeof answer === "string" ? answer : undefined;
    },
    lease: async (name) => leases.add(name, {}, clock.now() + LEASE_MS, "light"),
    async giveBack(name) {
      await leases.take(name, "light");
    },
  };
}
