import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createMemoryStore } from "../../src/store/memory.ts";
import { check, EDGES, errorOf, FULL } from "../forward-auth/support.ts";
import { testClock } from "../support/clock.ts";
import { exchange } from "../support/raw.ts";
import { type InterceptedCall, intercepted } from "../support/store.ts";
import { basic, bearer, HOME, openStage, type Stage, said } from "./stage.ts";

/** API keys through the front door: inline, by WebSocket and through every edge's check. */

const clock = testClock();
const calls: InterceptedCall[] = [];
let stage: Stage;
let token: string;
let id: string;
let ada: string;

beforeAll(async () => {
  const stores = intercepted(createMemoryStore({ clock }), (call) => {
    calls.push(call);
    return call.go();
  });
  stage = await openStage({ clock, stores });
  ({ token, id } = await stage.key());
  ada = await stage.gateway.signIn("ada@example.org");
});
afterAll(() => stage.stop());

const IDENTITY = {
  "x-runegate-user": "ada@example.org",
  "x-forwarded-email": "ada@example.org",
  "x-authenticated-user": "ada@example.org",
};

describe("a key opens an application", () => {
  test.each<[string, (token: string) => Record<string, string>]>([
    ["as Bearer", bearer],
    ["B7: as the password of Basic", (key) => basic(`ada:${key}`)],
    ["B7: as its user name", (key) => basic(`${key}:`)],
    ["B7: as both, by the password", (key) => basic(`rg_user:${key}`)],
    ["as the whole of Basic", basic],
    ["in X-Runegate-Key", (key) => ({ "X-Runegate-Key": key })],
  ])("%s; B14: and no header of what the application gets has it", async (name, headersOf) => {
    const path = `/use/${encodeURIComponent(name)}`;
    const headers = headersOf(token);
    expect(await said(stage.ask(path, headers))).toBe("200");
    const got = stage.got(path);
    for (const [header, value] of Object.entries(IDENTITY)) expect(got?.one(header)).toBe(value);
    expect(got?.one("x-authenticated-token-id")).toBe(id);
    expect(got?.one("x-runegate-key-id")).toBe(id);
    expect(got?.one("authorization")).toBeUndefined();
    expect(got?.one("x-runegate-key")).toBeUndefined();
    const all = JSON.stringify(got?.fields);
    expect(all).not.toContain(token.slice(16));
    for (const value of Object.values(headers)) expect(all).not.toContain(value);
  });

  test("an Authorization that is none of ours passes untouched, beside a key and beside a session", async () => {
    for (const headers of [{ "X-Runegate-Key": token }, { Cookie: ada }]) {
      for (const Authorization of ["Bearer eyJhbGciOi", "Basic YWRhOnNlY3JldA=="]) {
        expect(await said(stage.ask("/theirs", { ...headers, Authorization }))).toBe("200");
        expect(stage.got("/theirs")?.one("authorization")).toBe(Authorization);
      }
    }
  });

  test("what a client says of keys itself is removed", async () => {
    const forged = {
      "X-Authenticated-User": "root",
      "X-Authenticated-Token-Id": "x",
      "X-Runegate-Key-Id": "x",
    };
    await said(stage.ask("/forged", { Cookie: ada, ...forged }));
    for (const name of Object.keys(forged)) {
      expect(stage.got("/forged")?.one(name.toLowerCase())).toBeUndefined();
    }
    await said(stage.ask("/forged", { ...bearer(token), ...forged }));
    expect(stage.got("/forged")?.one("x-authenticated-token-id")).toBe(id);
  });

  test("two keys of one owner are told apart", async () => {
    const other = await stage.key();
    for (const one of [{ token, id }, other, { token, id }]) {
      await said(stage.ask("/apart", bearer(one.token)));
      expect(stage.got("/apart")?.one("x-runegate-key-id")).toBe(one.id);
    }
  });

  test("of a service account, which has a name and no address", async () => {
    const service = await stage.key({ owner: "service:backup" });
    expect(await said(stage.ask("/service", bearer(service.token)))).toBe("200");
    const got = stage.got("/service");
    expect(got?.one("remote-user")).toBe("service:backup");
    expect(got?.one("x-authenticated-user")).toBe("service:backup");
    expect(got?.one("remote-email")).toBeUndefined();
    // It may come from this machine's network alone, and may use nothing that does not name it.
    const far = { ...bearer(service.token), "X-Forwarded-For": "192.0.2.1" };
    expect(await said(stage.ask("/service", far))).toBe("403 key_scope");
    expect(await said(stage.ask("/wiki", bearer(service.token)))).toBe("403 key_scope");
  });

  test("without a way to sign in, without a cookie, and never by what stands in the address", async () => {
    const bad = await stage.ask("/", {
      ...bearer("rg_none"),
      Accept: "text/html",
      "Sec-Fetch-Mode": "navigate",
    });
    expect([bad.status, bad.headers.get("location"), bad.headers.getSetCookie()]).toEqual([401, null, []]);
    expect(bad.headers.get("www-authenticate")).toMatch(/^Bearer /);
    const before = stage.gateway.lines.length;
    expect(await said(stage.ask(`/where?key=${token}`))).toBe("401 unauthenticated");
    expect(await said(stage.ask("/where", { Cookie: `key=${token}` }))).toBe("401 unauthenticated");
    expect(stage.upstream.to("/where")).toEqual([]);
    expect(stage.gateway.lines.slice(before).join("\n")).not.toContain(token.slice(16));
  });
});

describe("a key decides alone", () => {
  test("B1: a slip of the hand is refused without a look into the store", async () => {
    const slip = token.slice(0, -1) + (token.endsWith("0") ? "1" : "0");
    calls.length = 0;
    expect(await said(stage.ask("/slip", bearer(slip)))).toBe("401 invalid_key");
    expect(calls.filter(({ verb }) => verb !== "find")).toEqual([]);
  });

  test("B2: a wrong secret is answered as an unknown id is", async () => {
    const other = await stage.key();
    const { parseKey, writeKey } = await import("../../src/keys/format.ts");
    const secret = parseKey(other.token)?.secret ?? "";
    const bodies: unknown[] = [];
    for (const tried of [writeKey({ id, secret }), writeKey({ id: "000000000000", secret })]) {
      const response = await stage.ask("/wrong", bearer(tried));
      const { request_id: _, ...body } = (await response.json()) as Record<string, unknown>;
      bodies.push([response.status, body]);
    }
    expect(bodies[0]).toEqual(bodies[1]);
    expect(bodies[0]).toMatchObject([401, { error: "invalid_key" }]);
  });

  test("B5: beside a cookie of somebody else it is the key's owner or nobody, on every route", async () => {
    const bob = { Cookie: await stage.gateway.signIn("bob@example.org") };
    expect(await said(stage.ask("/both", { ...bob, ...bearer(token) }))).toBe("200");
    expect(stage.got("/both")?.one("x-runegate-user")).toBe("ada@example.org");
    for (const path of ["/both/x", "/open", "/shop/x", "/shop/open", "/wiki"]) {
      expect(await said(stage.ask(path, { ...bob, ...bearer("rg_wrong") }))).toBe("401 invalid_key");
    }
    for (const path of ["/shop/x", "/shop/open"]) {
      expect(await said(stage.ask(path, { ...bob, ...bearer(token) }))).toBe("403 key_scope");
    }
    expect(stage.upstream.to("/shop/x")).toEqual([]);
  });

  test("B6: two keys are one too many", async () => {
    const lines = [`Authorization: Bearer ${token}`, `X-Runegate-Key: ${token}`];
    for (const pair of [lines, [lines[0], lines[0]], [lines[1], lines[1]]]) {
      const fields = [`Host: ${HOME}`, ...pair.flatMap((one) => one ?? [])];
      const answer = await exchange(stage.gateway.port, "GET /two", fields);
      expect([answer.status, errorOf(answer)]).toEqual([400, "several_keys"]);
    }
    expect(stage.upstream.to("/two")).toEqual([]);
  });
});

describe("a key is good for what it was made for", () => {
  test("B9: paths, in one spelling", async () => {
    const { token: narrow } = await stage.key({ paths: ["/api/*", "/one"] });
    const ask = async (path: string) => {
      const fields = [`Host: ${HOME}`, `Authorization: Bearer ${narrow}`];
      return (await exchange(stage.gateway.port, `GET ${path}`, fields)).status;
    };
    for (const path of ["/api/", "/api/x", "/api/x/y?z", "/one"])
      expect([path, await ask(path)]).toEqual([path, 200]);
    for (const path of [
      ...["/", "/api", "/apix", "/one/", "/api/../admin", "/api%2f..%2fadmin", "/api/%2e%2e/admin"],
      ...["/api/..%2fadmin", "/api//x", "/api/..;/admin", "/api\\..\\admin", "/API/x"],
    ])
      expect([path, await ask(path)]).toEqual([path, 403]);
  });

  test("routes, methods and networks", async () => {
    const { token: narrow } = await stage.key({
      ...{ routes: ["wiki"], methods: ["GET", "HEAD"], networks: ["198.51.100.0/24", "2001:db8::/32"] },
    });
    const ask = (path: string, from: string, method = "GET") =>
      said(stage.ask(path, { ...bearer(narrow), "X-Forwarded-For": from }, { method }));
    expect(await ask("/wiki", "198.51.100.7")).toBe("200");
    expect(await ask("/wiki", "2001:db8::1")).toBe("200");
    expect(await ask("/lab", "198.51.100.7")).toBe("403 key_scope");
    expect(await ask("/wiki", "198.51.100.7", "DELETE")).toBe("403 key_scope");
    expect(await ask("/wiki", "198.51.101.7")).toBe("403 key_scope");
    // Whoever adds an address in front is not believed: the nearest hop counts.
    expect(await ask("/wiki", "198.51.100.7, 203.0.113.1")).toBe("403 key_scope");
  });

  test("so many requests a minute", async () => {
    const { token: slow } = await stage.key({ rate: 2 });
    const ask = () => stage.ask("/slow", bearer(slow));
    expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
    const third = await ask();
    expect([third.status, third.headers.get("retry-after")]).toEqual([429, "60"]);
    expect(stage.upstream.to("/slow")).toHaveLength(2);
    clock.advance(60_000);
    expect((await ask()).status).toBe(200);
  });

  test("only as far as its owner may, at each use", async () => {
    const bobs = await stage.key({ owner: "bob@example.org", routes: ["*"] });
    expect(await said(stage.ask("/bob", bearer(bobs.token)))).toBe("200");
    expect(await said(stage.ask("/wiki", bearer(bobs.token)))).toBe("403 not_allowed");
    expect(await said(stage.ask("/shop/x", bearer(bobs.token)))).toBe("403 key_scope");
  });
});

test("twenty wrong keys a minute from one client, and then no more; a right one is let in all the same", async () => {
  const other = await openStage({ clock, env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" } });
  try {
    const right = await other.key();
    const { newSecret, writeKey } = await import("../../src/keys/format.ts");
    const { systemRandom } = await import("../../src/clock.ts");
    const wrong = () => bearer(writeKey({ id: right.id, secret: newSecret(systemRandom) }));
    for (let count = 0; count < 20; count++)
      expect(await said(other.ask("/", wrong()))).toBe("401 invalid_key");
    expect(await said(other.ask("/", wrong()))).toBe("429 rate_limited");
    expect(await said(other.ask("/", bearer(right.token)))).toBe("200");
    expect(await said(other.ask("/", { ...wrong(), "X-Forwarded-For": "192.0.2.9" }))).toBe(
      "401 invalid_key",
    );
    clock.advance(60_000);
    expect(await said(other.ask("/", wrong()))).toBe("401 invalid_key");
  } finally {
    await other.stop();
  }
});

describe("of Runegate's own, a key opens one page", () => {
  test("who am I", async () => {
    const mine = await stage.ask("/_runegate/session", { ...bearer(token), Cookie: "runegate_id=x" });
    expect((await mine.json()) as unknown).toMatchObject({
      ...{ authenticated: true, email: "ada@example.org", user: "ada@example.org", key: id },
    });
    expect(await said(stage.ask("/_runegate/session", { ...bearer("rg_x"), Cookie: ada }))).toBe(
      "401 invalid_key",
    );
    const service = await stage.key({ owner: "service:backup" });
    const theirs = await stage.ask("/_runegate/session", bearer(service.token));
    expect((await theirs.json()) as unknown).toMatchObject({ email: null, user: "service:backup" });
  });

  test.each(["session", "sessions", "me/tokens", "users", "openapi.json", "tokens"])(
    "B10: not /_runegate/api/%s, whatever cookie stands beside it",
    async (path) => {
      for (const more of [{}, { Cookie: ada }]) {
        const answer = await stage.ask(`/_runegate/api/${path}`, { ...bearer(token), ...more });
        expect(answer.status).toBe(401);
      }
    },
  );
});

describe("through an edge's check", () => {
  const url = (path: string) => `https://${HOME}${path}`;

  test.each(EDGES)("%s: lets a key pass, says whose it is, and takes it out", async (edge) => {
    for (const field of [`Authorization: Bearer ${token}`, `X-Runegate-Key: ${token}`]) {
      const answer = await check(stage.gateway.port, edge, { url: url("/x"), fields: [field] });
      expect(answer.status).toBe(200);
      expect(answer.one("remote-user")).toBe("ada@example.org");
      expect(answer.one("x-authenticated-user")).toBe("ada@example.org");
      expect(answer.one("x-authenticated-token-id")).toBe(id);
      expect(answer.one("x-runegate-key-id")).toBe(id);
      // Nginx reads what is not there as nothing.
      expect(answer.one("authorization")).toBe(edge === "nginx" ? undefined : "");
      expect(answer.one("cache-control")).toBe("no-store");
      expect(JSON.stringify(answer.fields)).not.toContain(token.slice(16));
    }
  });

  test.each(EDGES)("%s: leaves an Authorization of others as it is", async (edge) => {
    const fields = ["Authorization: Bearer eyJ", `X-Runegate-Key: ${token}`];
    const answer = await check(stage.gateway.port, edge, { url: url("/x"), fields });
    expect([answer.status, answer.one("authorization")]).toEqual([200, "Bearer eyJ"]);
  });

  test.each(FULL)("%s: says what is wrong with a key", async (edge) => {
    const { token: narrow } = await stage.key({ paths: ["/api/*"] });
    const { token: slow } = await stage.key({ rate: 1 });
    const ask = async (path: string, ...keys: string[]) => {
      const fields = keys.map((key) => `Authorization: Bearer ${key}`);
      const answer = await check(stage.gateway.port, edge, { url: url(path), fields });
      if (edge === "haproxy" || answer.status === 200) return answer.status;
      return `${answer.status} ${errorOf(answer)}`;
    };
    const expected = (text: string) => (edge === "haproxy" ? Number(text.slice(0, 3)) : text);
    expect(await ask("/x", "rg_wrong")).toBe(expected("401 invalid_key"));
    for (const path of ["/api/../admin", "//api/x", "/api//x"])
      expect(await ask(path, narrow)).toBe(expected("403 key_scope"));
    await ask("/x", slow);
    expect(await ask("/x", slow)).toBe(expected("429 rate_limited"));
    expect(await ask("/x", token, token)).toBe(expected("400 several_keys"));
    expect(await ask("/shop/open", token)).toBe(expected("403 key_scope"));
  });

  test("nginx: a refusal is one that it asks the challenge about", async () => {
    for (const key of ["rg_wrong", `${token}, Bearer ${token}`]) {
      const fields = [`Authorization: Bearer ${key}`];
      const answer = await check(stage.gateway.port, "nginx", { url: url("/x"), fields });
      expect([401, 403]).toContain(answer.status);
    }
  });
});

test("B20: the log has the id of a key and nothing of the rest, at any level", () => {
  const log = stage.gateway.lines.join("\n");
  expect(log).toContain(id);
  expect(log).toContain("key_refused");
  expect(log).not.toContain(token.slice(16));
  expect(log).not.toContain(btoa(`ada:${token}`));
  expect(stage.gateway.lines.length).toBeGreaterThan(50);
});
