import { afterEach, expect, test } from "bun:test";
import { decodeProtectedHeader } from "jose";
import { asOperator, asUser } from "../api/support.ts";
import type { Jar } from "../approval/support.ts";
import { auditOf } from "../login/support.ts";
import {
  AFTER,
  browserOf,
  type House,
  isActive,
  refresh,
  startProvider,
  tokensFor,
  userinfo,
} from "./support.ts";

/** Signing keys that are changed before their time. */

const DAY = 24 * 3_600_000;

let house: House;
let ada: Jar;
afterEach(() => house.gateway.stop());

async function start(): Promise<void> {
  house = await startProvider();
  ada = await browserOf(house);
}

const kidOf = (token: string | undefined) => decodeProtectedHeader(token ?? "").kid ?? "";
const AT_ONCE = { headers: { "Content-Type": "application/json" }, body: '{"compromised":true}' };
const rotate = (compromised: boolean) =>
  asOperator(house.gateway)("POST", "/clients/keys", {
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ compromised }),
  });

async function published(): Promise<string[]> {
  const answer = await fetch(`${house.issuer}/_runegate/oidc/jwks`);
  return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid).sort();
}

test("new keys are published at once and sign two days later; what the old ones signed stays good", async () => {
  await start();
  const old = await tokensFor(house, ada);
  const before = await published();
  const answer = await rotate(false);
  expect(answer.status).toBe(200);
  const from = Date.parse(String((answer.body as { signs_from: string }).signs_from));
  expect(from).toBe(house.clock.now() + 2 * DAY);
  const after = await published();
  expect(after).toHaveLength(4);
  expect(after).toEqual(expect.arrayContaining(before));
  expect(kidOf((await tokensFor(house, ada)).id_token)).toBe(kidOf(old.id_token));
  expect(await isActive(house, old.access_token)).toBe(true);
  // Asked again while they are on their way, there are no more of them.
  expect((await rotate(false)).body).toEqual(answer.body);
  expect(await published()).toEqual(after);
  house.clock.advance(2 * DAY);
  const fresh = await tokensFor(house, await browserOf(house));
  expect(before).not.toContain(kidOf(fresh.id_token));
  expect(after).toContain(kidOf(fresh.id_token));
});

test("compromised ones are gone at once, with all that they signed; refresh tokens give new ones", async () => {
  await start();
  const old = await tokensFor(house, ada);
  const before = await published();
  await rotate(false);
  expect((await rotate(true)).status).toBe(200);
  const after = await published();
  expect(after).toHaveLength(2);
  expect(after.filter((kid) => before.includes(kid))).toEqual([]);
  expect((await userinfo(house, old.access_token)).status).toBe(401);
  expect(await isActive(house, old.access_token)).toBe(false);
  const { body } = await refresh(house, old.refresh_token);
  expect(after).toContain(kidOf(body.access_token));
  expect(await isActive(house, body.access_token)).toBe(true);
  expect(auditOf(house.gateway).filter(({ event }) => event === "client_keys_rotated")).toEqual([
    expect.objectContaining({ reason: "asked" }),
    expect.objectContaining({ reason: "compromised" }),
  ]);
});

test("is for the operator alone", async () => {
  await start();
  const before = await published();
  for (const cookie of [undefined, [...ada.cookies].map((pair) => pair.join("=")).join("; ")])
    expect((await asUser(house.gateway, cookie)("POST", "/clients/keys", AT_ONCE)).status).toBe(
      cookie === undefined ? 401 : 403,
    );
  expect(await published()).toEqual(before);
});

test("an ID token is a hint for signing out long after its key is gone from the published ones", async () => {
  await start();
  const { id_token: hint } = await tokensFor(house, ada);
  await rotate(false);
  house.clock.advance(5 * DAY);
  expect(await published()).not.toContain(kidOf(hint));
  const asked = await (await browserOf(house)).get(
    `/_runegate/oidc/end_session?${new URLSearchParams({ id_token_hint: hint ?? "", post_logout_redirect_uri: AFTER })}`,
  );
  expect([asked.status, (await asked.text()).includes("Sign out?")]).toEqual([200, true]);
});
