import { afterEach, describe, expect, test } from "bun:test";
import { decodeJwt } from "jose";
import { parseClients } from "../../src/config/clients.ts";
import type { Jar } from "../approval/support.ts";
import { createJar, PHONE } from "../approval/support.ts";
import { H } from "../hand-off/stage.ts";
import { ROOT, startActingStage } from "../impersonation/stage.ts";
import { made } from "../keys/support.ts";
import {
  ADA,
  authorizePath,
  basic,
  browserOf,
  CALLBACK,
  clientBlock,
  codeFor,
  type House,
  post,
  redeem,
  startProvider,
  tokensFor,
  userinfo,
} from "./support.ts";

/** Ways to become somebody else, or to have a browser do what its owner did not mean. */

let house: House;
let ada: Jar;
afterEach(() => house.gateway.stop());

async function start(clientsToml = clientBlock(), env: Record<string, string> = {}): Promise<void> {
  house = await startProvider({ clientsToml, env });
  ada = await browserOf(house);
}

const bearer = (token: string | undefined) => ({ Authorization: `Bearer ${token}` });

describe("tokens of the provider are worth nothing elsewhere:", () => {
  test("not at the management API, not at an application, not as a cookie", async () => {
    await start();
    const tokens = await tokensFor(house, ada);
    for (const token of [tokens.access_token, tokens.id_token, tokens.refresh_token]) {
      for (const path of ["/_runegate/api/clients", "/_runegate/api/sessions", "/"]) {
        const response = await fetch(house.issuer + path, { headers: bearer(token), redirect: "manual" });
        expect([path, response.status]).toEqual([path, 401]);
      }
      const jar = createJar(house.gateway, {
        ...{ ip: "192.0.2.9", userAgent: PHONE, session: `${[...ada.cookies.keys()][0]}=${token}` },
      });
      expect((await jar.get(authorizePath({ prompt: "none" }))).headers.get("location")).toContain(
        "error=login_required",
      );
    }
  });

  test("nor are those of Runegate worth anything here", async () => {
    await start();
    for (const value of ada.cookies.values()) {
      expect((await userinfo(house, value)).status).toBe(401);
      expect((await post(house, "introspect", { token: value })).body).toEqual({ active: false } as never);
    }
  });

  test("nor one kind in place of another", async () => {
    await start();
    const tokens = await tokensFor(house, ada);
    for (const code of [tokens.access_token, tokens.id_token, tokens.refresh_token])
      expect((await redeem(house, code ?? "")).body.error).toBe("invalid_grant");
    for (const token of [tokens.access_token, tokens.id_token, await codeFor(ada)])
      expect(
        (await post(house, "token", { grant_type: "refresh_token", refresh_token: token })).body.error,
      ).toBe("invalid_grant");
    expect((await userinfo(house, tokens.refresh_token)).status).toBe(401);
  });
});

describe("pages and answers", () => {
  test.each([
    ["the consent page", () => authorizePath(), 'consent = "first"'],
    ["the chooser", () => authorizePath({ prompt: "select_account" }), ""],
    ["an error of ours", () => authorizePath({ redirect_uri: "https://evil.example/" }), ""],
    ["the page to sign out", () => "/_runegate/oidc/end_session?client_id=app", ""],
    ["the page for programs", () => "/_runegate/oidc/device", "device = true"],
    ["the way back", () => authorizePath(), ""],
  ])("%s is not kept, not framed, and tells nobody more than its host", async (_, path, more) => {
    await start(clientBlock("app", more));
    const { headers, status } = await ada.get(path());
    expect(headers.get("cache-control")).toContain("no-store");
    expect(headers.get("access-control-allow-origin")).toBeNull();
    expect(headers.get("referrer-policy")).toMatch(/^(no-referrer|strict-origin)$/);
    if (status === 302) return;
    expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
  });

  test("what was sent cannot add a header or a parameter of its own", async () => {
    await start();
    const state = "x\r\nSet-Cookie: a=b&code=evil&iss=evil#<script>";
    const response = await ada.get(authorizePath({ state }));
    const answer = new URL(response.headers.get("location") ?? "").searchParams;
    expect(response.headers.get("set-cookie") ?? "").not.toContain("a=b");
    expect([answer.get("state"), answer.getAll("code").length, answer.get("iss")]).toEqual([
      ...[state, 1, house.issuer],
    ]);
    const gone = await ada.get(
      `/_runegate/oidc/end_session?${new URLSearchParams({ client_id: "app", state })}`,
    );
    expect(await gone.text()).not.toContain("<script>");
  });

  test("a form with a field twice, or in the address and the form, is refused or read from the form alone", async () => {
    await start();
    const code = await codeFor(ada);
    const body = `grant_type=authorization_code&code=${code}&code=x&redirect_uri=${CALLBACK}`;
    const headers = { ...basic(), "Content-Type": "application/x-www-form-urlencoded" };
    const twice = await fetch(`${house.issuer}/_runegate/oidc/token`, { method: "POST", headers, body });
    expect([twice.status, ((await twice.json()) as { error: string }).error]).toEqual([
      ...[400, "invalid_request"],
    ]);
    const inAddress = await fetch(`${house.issuer}/_runegate/oidc/token?client_id=app&code=${code}`, {
      ...{ method: "POST", headers, body: "grant_type=authorization_code" },
    });
    expect(inAddress.status).toBe(400);
    expect((await redeem(house, code)).status).toBe(200);
  });

  test("huge parameters are refused and nothing breaks", async () => {
    await start();
    const long = "x".repeat(7000);
    for (const sent of [{ nonce: long }, { state: long }, { scope: `openid ${long}` }, { login_hint: long }])
      expect((await ada.get(authorizePath(sent))).status).toBeLessThan(500);
    const answer = await post(house, "token", {
      grant_type: "refresh_token",
      refresh_token: "x".repeat(70_000),
    });
    expect([answer.status, answer.body.error]).toEqual([413, "invalid_request"]);
    expect((await userinfo(house, "x".repeat(8000))).status).toBe(401);
    expect((await redeem(house, await codeFor(ada))).status).toBe(200);
  });
});

describe("on another host than the base URL's", () => {
  const ROUTES = `[[routes]]
name = "lab"
host = "lab.example.org"
target = "http://127.0.0.1:1"
`;
  const isNone = async (answer: Promise<Response>) => [404, 421].includes((await answer).status);

  test("no endpoint answers, whoever asks", async () => {
    house = await startProvider({ routes: ROUTES });
    ada = await browserOf(house);
    const session = [...ada.cookies].map((pair) => pair.join("=")).join("; ");
    const there = createJar(
      house.gateway,
      { ip: "192.0.2.9", userAgent: PHONE, session },
      "http://lab.example.org",
    );
    for (const path of [
      authorizePath(),
      "/_runegate/oidc/jwks",
      "/_runegate/oidc/userinfo",
      "/_runegate/oidc/end_session",
      "/_runegate/oidc/device",
      "/_runegate/oidc/.well-known/openid-configuration",
    ])
      expect(await isNone(there.get(path))).toBe(true);
    for (const path of ["token", "revoke", "introspect", "consent", "device_authorization", "end_session"])
      expect(await isNone(there.post(`/_runegate/oidc/${path}`, {}))).toBe(true);
  });
});

describe("an administrator who acts as somebody", () => {
  test("signs in at a client as who they are, and gets no token passed on in the other's name", async () => {
    const got: (string | null)[] = [];
    await using application = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch({ headers }) {
        got.push(headers.get("x-forwarded-access-token"));
        return new Response("ok");
      },
    });
    const { clients } = parseClients(clientBlock(), "clients.toml", undefined);
    const stage = await startActingStage(`http://127.0.0.1:${application.port}`, {
      clients,
      env: { RUNEGATE_TOKEN_RELAY: "lab=app" },
    });
    house = { gateway: stage.gateway(), clock: stage.clock, browser: ada, issuer: stage.gateway().url };
    await stage.root.get(`${H}/lab/own`);
    expect(decodeJwt(got.pop() ?? "").email).toBe(ROOT);
    await stage.act(H);
    got.length = 0;
    const page = await stage.root.get(`${H}/lab/theirs`);
    expect([page.status, got]).toEqual([200, [null]]);
    const answer = await stage.root.get(H + authorizePath());
    const code = new URL(answer.headers.get("location") ?? "").searchParams.get("code") ?? "";
    const { body } = await redeem(house, code, {}, { ...basic(), Host: new URL(H).host });
    expect(decodeJwt(body.id_token ?? "").email).toBe(ROOT);
  });
});

test("an address that says they signed in at a time to come does not send them to the login for ever", async () => {
  await start();
  const since = `${house.clock.now() + 3_600_000}`;
  expect(await codeFor(ada, { runegate_since: since })).toBeString();
});

test("an API key signs nobody in at a client", async () => {
  await start(clientBlock(), { RUNEGATE_API_KEYS: "true" });
  const answer = await house.gateway.gateway.apiKeys.create(
    { owner: ADA },
    { name: "root@example.org", isAdmin: true },
  );
  const { token } = made(answer);
  for (const headers of [bearer(token), { "X-API-Key": token }]) {
    const response = await house.browser.get(authorizePath({ prompt: "none" }), headers);
    expect(response.headers.get("location")).toContain("error=login_required");
    expect((await userinfo(house, token)).status).toBe(401);
  }
});

test("sixty codes a minute for one session, so that nobody fills the room for those of all", async () => {
  await start();
  for (let made = 0; made < 60; made++) await codeFor(ada);
  const refused = await ada.get(authorizePath());
  expect([refused.status, refused.headers.get("location")]).toEqual([429, null]);
  expect(refused.headers.get("retry-after")).toBe("60");
  await codeFor(await browserOf(house, "bob@example.org"));
  house.clock.advance(60_000);
  await codeFor(ada);
});
