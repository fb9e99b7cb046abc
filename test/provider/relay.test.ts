import { afterEach, expect, test } from "bun:test";
import { decodeJwt } from "jose";
import { asOperator } from "../api/support.ts";
import { ADA, browserOf, clientBlock, type House, isActive, startProvider } from "./support.ts";

/** `RUNEGATE_TOKEN_RELAY`: an application gets an access token with each request, and never one that a visitor sends. */

let house: House;
let seen: (string | null)[] = [];
const application = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request) {
    seen.push(request.headers.get("x-forwarded-access-token"));
    return new Response("ok");
  },
});
afterEach(() => house.gateway.stop());

async function start(relay: string, more = "", env: Record<string, string> = {}): Promise<void> {
  seen = [];
  house = await startProvider({
    clientsToml: clientBlock("app", more),
    target: `http://127.0.0.1:${application.port}`,
    env: { RUNEGATE_TOKEN_RELAY: relay, ...env },
  });
}

test("one for whoever asks, the same until half its time is over, and then the next", async () => {
  await start("default=app");
  const ada = await browserOf(house);
  await ada.get("/one", { "X-Forwarded-Access-Token": "forged" });
  await ada.get("/two");
  expect(seen[0]).toBe(seen[1] ?? "");
  expect(decodeJwt(seen[0] ?? "")).toMatchObject({ aud: "app", client_id: "app", email: ADA });
  expect(await isActive(house, seen[0] ?? "")).toBe(true);
  house.clock.advance(8 * 60_000);
  await ada.get("/three");
  expect(seen[2]).not.toBe(seen[0] ?? "");
  expect(await isActive(house, seen[2] ?? "")).toBe(true);
});

test("it dies with the session", async () => {
  await start("default=app");
  const ada = await browserOf(house);
  await ada.get("/one");
  await ada.post("/_runegate/logout", {});
  expect(await isActive(house, seen[0] ?? "")).toBe(false);
});

test.each([
  ["for an application that gets none", "other=app", ""],
  ["for somebody who may not use the client", "default=app", 'allow = ["grace@example.org"]'],
  ["without the option", "", ""],
])("none %s, and what a visitor sends does not arrive", async (_, relay, more) => {
  await start(relay, more);
  const ada = await browserOf(house);
  await ada.get("/one", { "X-Forwarded-Access-Token": "forged" });
  expect(seen).toEqual([null]);
});

test("after an administrator's revoke the dead one is passed on for five seconds at most", async () => {
  await start("default=app", "", { RUNEGATE_ADMINS: "root@example.org" });
  const ada = await browserOf(house);
  await ada.get("/one");
  const operator = asOperator(house.gateway);
  expect((await operator("DELETE", `/clients/app/people/${ADA}`)).status).toBe(204);
  house.clock.advance(5000);
  await ada.get("/two");
  expect(seen[1]).not.toBe(seen[0] ?? "");
  expect(await isActive(house, seen[0] ?? "")).toBe(false);
  expect(await isActive(house, seen[1] ?? "")).toBe(true);
});

test("one that compromised keys have signed is not passed on either", async () => {
  await start("default=app");
  const ada = await browserOf(house);
  await ada.get("/one");
  await asOperator(house.gateway)("POST", "/clients/keys", {
    headers: { "Content-Type": "application/json" },
    body: '{"compromised":true}',
  });
  house.clock.advance(5000);
  await ada.get("/two");
  expect(await isActive(house, seen[0] ?? "")).toBe(false);
  expect(await isActive(house, seen[1] ?? "")).toBe(true);
});
