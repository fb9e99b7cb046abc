import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { CHALLENGE_MS, WORK } from "../../src/captcha/work.ts";
import { systemClock } from "../../src/clock.ts";
import { createTickets } from "../../src/secret/ticket.ts";
import type { TestGateway } from "../support/gateway.ts";
import { askFor, NAMED, STORES, startPicky } from "./telling.ts";

setDefaultTimeout(60_000);

/** A measurement: nobody learns from the time an answer takes which addresses may sign in. */

/** How often a value of `a` is below one of `b`: a half when the two cannot be told apart (Mann and Whitney's U). */
function probabilityBelow(a: readonly number[], b: readonly number[]): number {
  let below = 0;
  for (const x of a) for (const y of b) below += x < y ? 1 : x === y ? 0.5 : 0;
  return below / (a.length * b.length);
}

/** Work that was done, for nothing: what is measured is what comes after. */
function worked({ gateway, url }: TestGateway): string {
  const tickets = createTickets(gateway.keys, { audience: url, clock: systemClock });
  const issuedAt = systemClock.now();
  const grant = { jti: crypto.randomUUID(), issuedAt, expiresAt: issuedAt + CHALLENGE_MS };
  return `0.${tickets.sign(WORK, { bits: 0, network: "127.0.0.1", ...grant })}`;
}

describe.each([
  ...STORES.map(([name, open]) => [name, open, "off"] as const),
  ...STORES.map(([name, open]) => [`${name} after a proof of work`, open, "work"] as const),
])("with %s, an address that may sign in and one that may not", (_, open, captcha) => {
  let opened: ReturnType<typeof open>;
  let gateway: TestGateway;
  beforeAll(async () => {
    opened = open();
    gateway = await startPicky(opened.stores, { env: { RUNEGATE_CAPTCHA: captcha } });
  });
  afterAll(async () => {
    await gateway.stop();
    await opened.close();
  });

  test("wait equally long for the answer", async () => {
    const time = async (email: string) => {
      const proof = captcha === "work" ? worked(gateway) : undefined;
      const start = performance.now();
      const response = await askFor(gateway, email, proof);
      await response.text();
      const end = performance.now();
      // Refusals, too, would be alike.
      expect(response.status).toBe(200);
      return end - start;
    };
    for (let count = 0; count < 100; count++) await time(`warm${count}@in.example`);

    // In turn, so that whatever else the machine does hits both alike. A difference that is there shows every time; one by
    // chance does not.
    const seen: string[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      const allowed: number[] = [];
      const named: number[] = [];
      const refused: number[] = [];
      for (let count = 0; count < 300; count++) {
        const turns = [
          async () => allowed.push(await time(`t${attempt}-${count}@in.example`)),
          async () => named.push(await time(NAMED[300 * attempt + count] ?? "")),
          async () => refused.push(await time(`t${attempt}-${count}@no.example`)),
        ];
        for (let turn = 0; turn < 3; turn++) await turns[(turn + count) % 3]?.();
      }
      const probabilities = [probabilityBelow(refused, allowed), probabilityBelow(named, allowed)];
      seen.push(probabilities.map((p) => p.toFixed(2)).join(" and "));
      if (probabilities.every((probability) => Math.abs(probability - 0.5) < 0.1)) return;
    }
    throw new Error(`refused or named addresses are told apart by time: ${seen.join(", ")}`);
  });
});
