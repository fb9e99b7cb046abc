import { afterEach, describe, expect, test } from "bun:test";
import { decodeJwt } from "jose";
import type { Jar } from "../approval/support.ts";
import { auditOf } from "../login/support.ts";
import {
  ADA,
  basic,
  browserOf,
  clientBlock,
  type House,
  post,
  refresh,
  startProvider,
  unescaped,
  userinfo,
} from "./support.ts";

/** Programs without a browser (RFC 8628). */

const CLI = clientBlock("cli", "device = true", false).replace(/redirect_uris.*/, "");
const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";
const SCOPE = "openid email groups";

let house: House;
let ada: Jar;
afterEach(() => house.gateway.stop());

async function start(toml = CLI): Promise<void> {
  house = await startProvider({ clientsToml: toml });
  ada = await browserOf(house);
}

const ask = (sent = {}) =>
  post(house, "device_authorization", { client_id: "cli", scope: SCOPE, ...sent }, {});
const poll = (code: string | undefined, sent = {}) =>
  post(house, "token", { grant_type: DEVICE_GRANT, client_id: "cli", device_code: code, ...sent }, {});
const decide = (user_code: string | undefined, allow: string, jar = ada, headers = {}) =>
  jar.post("/_runegate/oidc/device", { user_code: user_code ?? "", allow }, headers);
const open = (user_code: string | undefined, jar = ada) =>
  jar.get(`/_runegate/oidc/device?user_code=${user_code}`);

test("it is described only where a client may", async () => {
  await start();
  const described = await (await fetch(`${house.issuer}/.well-known/openid-configuration`)).json();
  expect(described).toMatchObject({
    device_authorization_endpoint: `${house.issuer}/_runegate/oidc/device_authorization`,
    grant_types_supported: expect.arrayContaining([DEVICE_GRANT]),
  });
});

test("from the code to tokens, once", async () => {
  await start();
  const { status, body } = await ask();
  expect([status, body.verification_uri]).toEqual([200, `${house.issuer}/_runegate/oidc/device`]);
  expect(String(body.user_code)).toMatch(/^\w{4}-\w{4}$/);
  expect((await poll(body.device_code)).body.error).toBe("authorization_pending");
  const html = unescaped(await (await open(body.user_code?.toLowerCase())).text());
  expect(html).toContain("<strong>cli</strong>, on another device");
  expect(html).toContain("203.0.113.9");
  expect((await decide(body.user_code, "true")).status).toBe(200);
  house.clock.advance(5000);
  const tokens = await poll(body.device_code);
  expect([tokens.status, tokens.body.scope]).toEqual([200, "openid email groups"]);
  expect(decodeJwt(tokens.body.id_token ?? "")).toMatchObject({ email: ADA, aud: "cli" });
  expect((await userinfo(house, tokens.body.access_token)).body.email).toBe(ADA);
  expect((await poll(body.device_code)).body.error).toBe("invalid_grant");
  expect((await refresh(house, tokens.body.refresh_token, { client_id: "cli" }, {})).status).toBe(200);
  expect(auditOf(house.gateway).filter(({ event }) => event === "client_device")).toHaveLength(1);
});

test("whoever asks too often waits longer", async () => {
  await start();
  const { body } = await ask();
  await poll(body.device_code);
  house.clock.advance(4999);
  expect((await poll(body.device_code)).body.error).toBe("slow_down");
  house.clock.advance(5000);
  expect((await poll(body.device_code)).body.error).toBe("slow_down");
  house.clock.advance(15_000);
  expect((await poll(body.device_code)).body.error).toBe("authorization_pending");
});

test("denied, or too late", async () => {
  await start();
  const denied = (await ask()).body;
  await decide(denied.user_code, "false");
  expect((await poll(denied.device_code)).body.error).toBe("access_denied");
  const late = (await ask()).body;
  house.clock.advance(10 * 60_000);
  expect((await open(late.user_code)).status).toBe(404);
  expect((await poll(late.device_code)).body.error).toBe("expired_token");
});

describe("is not let in", () => {
  test("by nobody, nor by somebody who signed in long ago", async () => {
    await start();
    const { body } = await ask();
    const to = (response: Response) => response.headers.get("location") ?? "";
    expect(to(await open(body.user_code, house.browser))).toStartWith("/_runegate/login?next=");
    house.clock.advance(16 * 60_000);
    const again = (await ask()).body;
    expect(to(await open(again.user_code))).toEndWith("&again=1");
    expect(to(await decide(again.user_code, "true"))).toEndWith("&again=1");
    expect((await poll(again.device_code)).body.error).toBe("authorization_pending");
  });

  test("by another page", async () => {
    await start();
    const { body } = await ask();
    expect((await decide(body.user_code, "true", ada, { Origin: "https://evil.example" })).status).toBe(403);
    expect((await poll(body.device_code)).body.error).toBe("authorization_pending");
  });

  test("by somebody who may not use it", async () => {
    await start(CLI.replace('["anyone"]', '["grace@example.org"]'));
    const { body } = await ask();
    expect((await decide(body.user_code, "true")).status).toBe(403);
    expect((await poll(body.device_code)).body.error).toBe("access_denied");
  });

  test("by a session that has ended since", async () => {
    await start();
    const { body } = await ask();
    await decide(body.user_code, "true");
    await ada.post("/_runegate/logout", {});
    expect((await poll(body.device_code)).body.error).toBe("access_denied");
  });

  test("twice: what was decided stays", async () => {
    await start();
    const { body } = await ask();
    await decide(body.user_code, "false");
    expect((await decide(body.user_code, "true")).status).toBe(404);
  });

  test("as another client than asked", async () => {
    await start(CLI + clientBlock("app"));
    const { body } = await ask();
    await decide(body.user_code, "true");
    const other = await post(
      house,
      "token",
      { grant_type: DEVICE_GRANT, device_code: body.device_code },
      basic(),
    );
    expect(other.body.error).toBe("invalid_grant");
    expect((await poll(body.device_code)).status).toBe(200);
  });

  test("by guessing: twenty codes in five minutes, and then none", async () => {
    await start();
    const { body } = await ask();
    for (let tries = 0; tries < 20; tries++) expect((await open("ABCD-2345")).status).toBe(404);
    expect((await open("ABCD-2345")).status).toBe(429);
    expect((await decide(body.user_code, "true")).status).toBe(429);
  });
});

test.each([
  ["a client that may not", { client_id: "app", client_secret: "x" }, "invalid_client"],
  ["no openid", { scope: "email" }, "invalid_scope"],
  ["nobody", { client_id: "" }, "invalid_client"],
])("%s gets no code", async (_, sent, error) => {
  await start(CLI + clientBlock("app"));
  expect((await ask(sent)).body.error).toBe(error);
});

test("a client without device = true gets no code", async () => {
  await start(CLI + clientBlock("app"));
  expect((await post(house, "device_authorization", { scope: SCOPE })).body.error).toBe(
    "unauthorized_client",
  );
});
