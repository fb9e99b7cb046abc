import { expect, setDefaultTimeout, test } from "bun:test";
import { openStage, until } from "./stage.ts";

/** Keys and several processes: whichever of them a request comes to, and whichever store they have. */

setDefaultTimeout(60_000);

const ROUNDS = 40;
const AT_MOST_MS = 5_000;

test.each([false, true])("a key is made, used and ended on every worker; SQLite: %s", async (sqlite) => {
  await using stage = await openStage({
    workers: 2,
    sqlite,
    options: { RUNEGATE_API_KEYS: "true", RUNEGATE_SESSION_KEY: "5e".repeat(64) },
  });
  /** How often each status came, over connections of their own. */
  async function statuses(token: string): Promise<Record<number, number>> {
    const counts: Record<number, number> = {};
    for (let round = 0; round < ROUNDS; round++) {
      const headers = { Authorization: `Bearer ${token}`, Connection: "close" };
      const { status } = await fetch(`${stage.url}/`, { headers, redirect: "manual" });
      counts[status] = (counts[status] ?? 0) + 1;
    }
    return counts;
  }
  const { code, output } = await stage.command("keys", "create", "--owner", "ada@example.org");
  const token = /rg_\w+/.exec(output)?.[0] ?? "";
  expect([code, token]).toEqual([0, expect.stringMatching(/^rg_/) as string]);
  expect(await statuses(token)).toEqual({ 200: ROUNDS });
  await until("its use is noted", async () => !(await stage.command("keys")).output.includes("never"));

  const begun = performance.now();
  await stage.command("keys", "disable", token.slice(3, 15));
  await until("every worker refuses it", async () => (await statuses(token))[401] === ROUNDS);
  expect(performance.now() - begun).toBeLessThan(AT_MOST_MS + 2_000);
  const other = /rg_\w+/.exec(
    (await stage.command("keys", "create", "--owner", "ada@example.org")).output,
  )?.[0];
  expect(await statuses(other ?? "")).toEqual({ 200: ROUNDS });
  await stage.command("keys", "revoke", other?.slice(3, 15) ?? "");
  await until("every worker refuses it", async () => (await statuses(other ?? ""))[401] === ROUNDS);
});
