import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { basic, bearer, HOME, openStage, type Stage, said } from "./stage.ts";

/** What was written for rusty-valkey-forward-auth works unchanged with `RUNEGATE_TOKEN_ROOT_PATHS=true`: its requests, and its answers. */

let stage: Stage;
let ada: string;
let root: string;
beforeAll(async () => {
  stage = await openStage({ env: { RUNEGATE_TOKEN_ROOT_PATHS: "true" } });
  [ada, root] = [
    await stage.gateway.signIn("ada@example.org"),
    await stage.gateway.signIn("root@example.org"),
  ];
});
afterAll(() => stage.stop());

async function call(cookie: string, method: string, path: string, body?: object) {
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  const headers = { Cookie: cookie, Origin: `https://${HOME}`, ...json };
  const response = await stage.ask(path, headers, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === "" ? undefined : JSON.parse(text)) as unknown };
}

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string;
const ID = expect.stringMatching(/^[0-9a-z]{12}$/) as string;

describe.each([
  ["one's own", "/api/me/tokens", () => ada],
  ["somebody's", "/api/users/ada@example.org/tokens", () => root],
  ["somebody's, escaped", "/api/users/ada%40example.org/tokens", () => root],
])("%s tokens", (_, path, cookie) => {
  test("POST gives 201 with the token, GET a list without it, DELETE 204 and then 404", async () => {
    const made = await call(cookie(), "POST", path, { description: "  my script " });
    expect(made.status).toBe(201);
    const { id, token } = made.body as { id: string; token: string };
    expect(made.body).toMatchObject({
      ...{ token: expect.any(String) as string, id: ID, sub: "ada@example.org" },
      ...{ description: "my script", created_at: TIME },
    });
    const list = await call(cookie(), "GET", path);
    expect([list.status, Array.isArray(list.body)]).toEqual([200, true]);
    expect(list.body).toMatchObject([{ id, description: "my script", created_at: TIME }]);
    expect(JSON.stringify(list.body)).not.toContain(token);
    expect(await call(cookie(), "DELETE", `${path}/${id}`)).toEqual({ status: 204, body: undefined });
    const again = await call(cookie(), "DELETE", `${path}/${id}`);
    expect([again.status, again.body]).toMatchObject([404, { message: "token not found" }]);
  });

  test.each([{}, { description: null }, { description: "   " }])(
    "without a description: %j",
    async (body) => {
      const made = await call(cookie(), "POST", path, body);
      expect(made.body).toMatchObject({ description: null });
      await call(cookie(), "DELETE", `${path}/${(made.body as { id: string }).id}`);
    },
  );

  test("with too long a one: 400", async () => {
    const { status, body } = await call(cookie(), "POST", path, { description: "x".repeat(257) });
    expect([status, body]).toMatchObject([400, { message: "description exceeds 256 characters" }]);
  });
});

test("whoever is no administrator: 403, whoever is nobody: 401", async () => {
  const { status, body } = await call(ada, "GET", "/api/users/bob@example.org/tokens");
  expect([status, body]).toMatchObject([403, { message: "admin privileges required" }]);
  expect((await call("", "GET", "/api/me/tokens")).status).toBe(401);
});

describe("GET /forward-auth", () => {
  /** As Traefik asks, by a name of its own. */
  const ask = (headers: Record<string, string>, uri = "/lab/x", host = HOME) =>
    stage.ask("/forward-auth", {
      ...{ Host: "runegate:7870", "X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https" },
      ...{ "X-Forwarded-Host": host, "X-Forwarded-Uri": uri, ...headers },
    });
  async function answer(response: Promise<Response>) {
    const { status, headers, ...rest } = await response.then(async (one) => ({
      status: one.status,
      headers: one.headers,
      body: await one.text(),
    }));
    const user = headers.get("x-authenticated-user");
    const message = rest.body === "" ? undefined : (JSON.parse(rest.body) as { message: string }).message;
    return { status, user, id: headers.get("x-authenticated-token-id"), message };
  }

  test.each<[string, (token: string) => Record<string, string>]>([
    ["Bearer", bearer],
    ["Bearer with more blanks", (token) => ({ Authorization: `bearer   ${token}` })],
    ["Basic, as the password", (token) => basic(`x:${token}`)],
    ["Basic, as the user", (token) => basic(`${token}:`)],
    ["Basic, as the whole", (token) => basic(token)],
  ])("%s: 204 with user and id", async (_, headersOf) => {
    const { token, id } = await stage.key();
    expect(await answer(ask(headersOf(token)))).toEqual({
      ...{ status: 204, user: "ada@example.org", id, message: undefined },
    });
    await stage.gateway.gateway.apiKeys.revoke(id, { name: "test", isAdmin: true });
  });

  test("nothing, or what is none: 401, and no cookie counts", async () => {
    const missing = { status: 401, user: null, id: null, message: "missing token" };
    for (const headers of [{}, { Cookie: ada }, { Authorization: "Digest x" }])
      expect(await answer(ask(headers))).toEqual(missing);
    const { token } = await stage.key();
    for (const wrong of ["eyJ", "rg_x", `${token}x`, `${token.slice(0, -1)}_`])
      expect(await answer(ask({ ...bearer(wrong), Cookie: ada }))).toEqual({
        ...missing,
        message: "invalid token",
      });
  });

  test("what a key is not for: 403, by what the edge says was asked for", async () => {
    const { token } = await stage.key({ routes: ["wiki"], paths: ["/wiki/api/*"] });
    expect((await answer(ask(bearer(token), "/wiki/api/x"))).status).toBe(204);
    for (const uri of ["/x", "/wiki/x", "/wiki/api/../x", "/wiki/api%2f..%2fx", "/_runegate/api/me/tokens"])
      expect([uri, (await answer(ask(bearer(token), uri))).status]).toEqual([uri, 403]);
    expect((await answer(ask(bearer(token), "/wiki/api/x", "evil.example"))).status).toBe(403);
    const all = await stage.key({ routes: ["*"] });
    for (const uri of ["/shop/x", "/shop/open", "/_runegate/x", "/%5frunegate/x"])
      expect([uri, (await answer(ask(bearer(all.token), uri))).status]).toEqual([uri, 403]);
  });

  test("where the edge does not say it, only what opens all that takes keys", async () => {
    const bare = (token: string) => answer(stage.ask("/forward-auth", bearer(token)));
    const [all, some, narrow] = [
      await stage.key(),
      await stage.key({ routes: ["lab"] }),
      await stage.key({ paths: ["/x"] }),
    ];
    expect((await bare(all.token)).status).toBe(204);
    for (const one of [some, narrow]) expect((await bare(one.token)).status).toBe(403);
  });
});

test("its other paths: /docs, /frontend/config; what only looks like them is the application's", async () => {
  const config = await call("", "GET", "/frontend/config");
  expect(config).toMatchObject({ status: 200, body: { api_docs_path: "/docs", oidc_authority: null } });
  const docs = await stage.ask("/docs", { Cookie: ada });
  expect([docs.status, docs.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect(await docs.text()).not.toContain("<script src=");
  for (const path of [
    "/api/me/tokensx",
    "/api/me",
    "/api/users/x",
    "/api/users/x/y/tokens",
    "/forward-auth/x",
  ]) {
    expect(await said(stage.ask(path, { Cookie: ada }))).toBe("200");
    expect(stage.upstream.to(path)).toHaveLength(1);
  }
});

test("without the option they are all the application's", async () => {
  const other = await openStage();
  try {
    const cookie = await other.gateway.signIn("ada@example.org");
    for (const path of [
      "/api/me/tokens",
      "/api/users/x/tokens",
      "/forward-auth",
      "/docs",
      "/frontend/config",
    ]) {
      expect(await said(other.ask(path, { Cookie: cookie }))).toBe("200");
      expect(other.upstream.to(path)).toHaveLength(1);
    }
  } finally {
    await other.stop();
  }
});
