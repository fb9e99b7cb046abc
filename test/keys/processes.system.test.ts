import { expect, setDefaultTimeout, test } from "bun:test";
import { openSocket } from "../process/long.ts";
import { openStage, type Stage, until } from "../process/stage.ts";
import { bearer, said } from "./stage.ts";

/** API keys of a gateway that runs as in service, with several workers: each knows what any of them does. */

setDefaultTimeout(60_000);

const AT_MOST_MS = 5_000;

async function keyOf(stage: Stage, owner: string, ...more: string[]): Promise<string> {
  const { code, output } = await stage.command("keys", "create", "--owner", owner, ...more);
  expect([code, output]).toEqual([0, expect.stringMatching(/^rg_\S+\n$/)]);
  return output.trim();
}

const start = (options: Record<string, string> = {}) =>
  openStage({ workers: 2, options: { RUNEGATE_API_KEYS: "true", ...options } });
/** By a connection of its own each, so that every worker is asked. */
const askOnce = ({ url }: Stage, token: string) =>
  said(fetch(url, { headers: bearer(token), keepalive: false }));
const askOften = async (stage: Stage, token: string, count = 40) => [
  ...new Set(await Promise.all(Array.from({ length: count }, () => askOnce(stage, token)))),
];

/** How long it takes until every worker answers so, in milliseconds. */
async function timeUntil(stage: Stage, token: string, answer: string): Promise<number> {
  const begun = performance.now();
  await until(answer, async () => (await askOften(stage, token)).join() === answer, 2 * AT_MOST_MS);
  return performance.now() - begun;
}

test("a key is revoked and disabled on every worker, and its requests a minute are counted over all", async () => {
  await using stage = await start();
  const [one, other] = [await keyOf(stage, "ada@example.org"), await keyOf(stage, "ada@example.org")];
  for (const token of [one, other]) expect(await askOften(stage, token)).toEqual(["200"]);
  expect((await stage.command("keys", "revoke", one.slice(3, 15))).code).toBe(0);
  expect(await timeUntil(stage, one, "401 invalid_key")).toBeLessThan(AT_MOST_MS);
  expect((await stage.command("keys", "disable", other.slice(3, 15))).code).toBe(0);
  expect(await timeUntil(stage, other, "401 invalid_key")).toBeLessThan(AT_MOST_MS);

  const slow = await keyOf(stage, "ada@example.org", "--rate", "10");
  const answers = await Promise.all(Array.from({ length: 60 }, () => askOnce(stage, slow)));
  expect(answers.filter((answer) => answer === "200").length).toBe(10);
  expect(answers.filter((answer) => answer === "429 rate_limited").length).toBe(50);
});

test("B4: whoever is taken off the list by a reload has no key any more, nor what is open on it", async () => {
  await using stage = await start();
  const [eve, ada] = [await keyOf(stage, "eve@example.org"), await keyOf(stage, "ada@example.org")];
  for (const token of [eve, ada]) expect(await askOften(stage, token)).toEqual(["200"]);
  const [lost, kept] = [
    await openSocket(stage, { "X-Runegate-Key": eve }),
    await openSocket(stage, bearer(ada)),
  ];
  stage.configure({ RUNEGATE_ALLOW_ANY_EMAIL: undefined, RUNEGATE_ALLOWED_EMAILS: "ada@example.org" });
  const begun = performance.now();
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  expect(await timeUntil(stage, eve, "401 invalid_key")).toBeLessThan(AT_MOST_MS);
  expect(await lost.closed).toBe(1008);
  expect(performance.now() - begun).toBeLessThan(2 * AT_MOST_MS);
  expect(await kept.echo("still here")).toBe("still here");
  expect(await askOften(stage, ada)).toEqual(["200"]);
  kept.close();
});
