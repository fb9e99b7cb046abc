import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import type { Stores } from "../../src/store/contracts.ts";
import { createMemoryStores } from "../../src/store/memory.ts";
import { openSqliteStores } from "../../src/store/sqlite.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { SILENT } from "../support/silent.ts";

setDefaultTimeout(30_000);

/** Nobody learns from Runegate which addresses may sign in: not from the answer, and not from the time it takes. */

let gateway: TestGateway;

/** A store that writes to a disk takes its time for that, which must not show either. */
const STORES: readonly (readonly [name: string, open: () => Stores, closed: () => void])[] = [
  ["memory", () => createMemoryStores({ clock: systemClock }), () => {}],
  [
    "sqlite",
    () => openSqliteStores({ path: join(folder, "state.db"), clock: systemClock, log: SILENT }),
    () => rmSync(folder, { recursive: true }),
  ],
];
const folder = mkdtempSync(join(tmpdir(), "runegate-telling-"));

const ATTEMPTS = 3;
const ASKED = 300;
const NAMED = Array.from({ length: ATTEMPTS }, (_, attempt) =>
  Array.from({ length: ASKED }, (_, count) => `n${attempt}-${count}@in.example`),
);

function ask(email: string): Promise<Response> {
  return fetch(`${gateway.url}/_runegate/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email }),
  });
}

/** Everything of an answer that does not differ between two requests of one kind anyway. */
async function shape(response: Response): Promise<object> {
  const headers = [...response.headers]
    .filter(([name]) => name !== "date")
    .map(([name, value]) => [
      name,
      name === "set-cookie" ? value.replace(/=[^;]*/, `=…${value.length}`) : value,
    ]);
  const body = (await response.text()).replace(/"request_id":"[^"]*"/, "");
  return { status: response.status, headers, body };
}

/** How often a value of `a` is below one of `b`: a half when the two cannot be told apart (Mann and Whitney's U). */
function probabilityBelow(a: readonly number[], b: readonly number[]): number {
  let below = 0;
  for (const x of a) for (const y of b) below += x < y ? 1 : x === y ? 0.5 : 0;
  return below / (a.length * b.length);
}

describe.each(STORES)("with %s, who may sign in, who is named, and who may not", (_, open, closed) => {
  let stores: Stores;
  beforeAll(async () => {
    stores = open();
    gateway = await startGateway({
      stores,
      env: {
        RUNEGATE_ALLOW_ANY_EMAIL: "false",
        RUNEGATE_ALLOWED_DOMAINS: "in.example",
        // These go first, which must not show either.
        RUNEGATE_ALLOWED_EMAILS: NAMED.flat().join(","),
        // The cooldown is on, since it is part of what is measured; one client asks a lot here.
        RUNEGATE_RATE_LIMIT_ENABLED: "true",
        RUNEGATE_LOGIN_RATE_LIMIT: "0",
        RUNEGATE_LOG: "info",
      },
    });
  });
  afterAll(async () => {
    await gateway.stop();
    await stores.close();
    closed();
  });

  test("get the same status, headers, cookie attributes and body", async () => {
    const allowed = await shape(await ask("aaaa@in.example"));
    const refused = await shape(await ask("aaaa@no.example"));
    expect(refused).toEqual(allowed);
    expect((allowed as { status: number }).status).toBe(200);
  });

  test("get the same answer while the cooldown lasts", async () => {
    await ask("bbbb@in.example");
    await ask("bbbb@no.example");
    const allowed = await shape(await ask("bbbb@in.example"));
    const refused = await shape(await ask("bbbb@no.example"));
    expect(refused).toEqual(allowed);
    expect((allowed as { status: number }).status).toBe(429);
  });

  test("have a mail queued, which only one of them gets", async () => {
    await ask("cccc@in.example");
    await ask("cccc@no.example");
    expect(gateway.lines.filter((line) => line.includes("cccc@no.example"))).toHaveLength(1);
    await gateway.gateway.outbox.runDue();
    expect(gateway.mailbox.mails().map(({ to }) => to)).toContain("cccc@in.example");
    expect(gateway.mailbox.mails().map(({ to }) => to)).not.toContain("cccc@no.example");
    expect(await stores.outbox.nextDue()).toBeUndefined();
  });

  test("wait equally long for it", async () => {
    const time = async (email: string) => {
      const start = performance.now();
      await (await ask(email)).text();
      return performance.now() - start;
    };
    for (let count = 0; count < 100; count++) await time(`warm${count}@in.example`);

    // In turn, so that whatever else the machine does hits both alike. A difference that is there shows every time; one by
    // chance does not.
    const seen: string[] = [];
    for (const [attempt, namedNow] of NAMED.entries()) {
      const allowed: number[] = [];
      const named: number[] = [];
      const refused: number[] = [];
      for (const [count, name] of namedNow.entries()) {
        const turns = [
          async () => allowed.push(await time(`t${attempt}-${count}@in.example`)),
          async () => named.push(await time(name)),
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
