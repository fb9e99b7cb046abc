import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { HOUR, MINUTE } from "../../src/option/values.ts";
import { type Asker, asOperator, asProved } from "../api/support.ts";
import { auditOf } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { signedIn } from "../support/principal.ts";
import { bearer, HOME, openStage, type Stage, said } from "./stage.ts";

/** The management API for keys. */

const API = "/_runegate/api";
let clock: TestClock;
let stage: Stage;
beforeEach(async () => {
  clock = testClock();
  stage = await openStage({ clock, env: { RUNEGATE_LOG_FORMAT: "json" } });
});
afterEach(() => stage.stop());

type Token = { readonly id: string; readonly token: string; readonly sub: string; readonly status: string };
type Answer = {
  readonly status: number;
  readonly body: Partial<Token> & { message?: string; error?: string };
};

/** With a session of its own. */
async function as(email: string) {
  const cookie = await stage.gateway.signIn(email);
  return async (method: string, path: string, body?: object, more: Record<string, string> = {}) => {
    const json = body === undefined ? {} : { "Content-Type": "application/json" };
    const headers = { Cookie: cookie, Origin: `https://${HOME}`, ...json, ...more };
    const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const response = await stage.ask(API + path, headers, init);
    const text = await response.text();
    return { status: response.status, body: text === "" ? {} : JSON.parse(text), headers: response.headers };
  };
}

const brief = ({ status, body }: Answer) => [status, body.error ?? body.message ?? ""];

describe("a user", () => {
  test("makes, uses, lists, changes, rotates and ends a key of their own", async () => {
    const ada = await as("ada@example.org");
    const made = await ada("POST", "/me/tokens", {
      description: " ci ",
      expires_in: "30d",
      paths: ["/ci/*"],
    });
    expect(made.status).toBe(201);
    expect(made.headers.get("cache-control")).toBe("no-store");
    const { token, ...rest } = made.body as Token;
    expect(rest).toEqual({
      id: expect.stringMatching(/^[0-9a-z]{12}$/) as string,
      ...{ sub: "ada@example.org", description: "ci", created_by: "ada@example.org" },
      created_at: new Date(clock.now()).toISOString(),
      expires_at: new Date(clock.now() + 30 * 24 * HOUR).toISOString(),
      ...{ last_used_at: null, last_used_from: null, status: "active", routes: ["lab", "wiki"] },
      ...{ methods: null, paths: ["/ci/*"], networks: null, rate: null },
    } as unknown as typeof rest);
    expect(await said(stage.ask("/ci/x", bearer(token)))).toBe("200");

    const { body: list } = await ada("GET", "/me/tokens");
    expect(list).toHaveLength(1);
    expect(list[0]).toMatchObject({ id: rest.id });
    expect(JSON.stringify(list)).not.toContain(token.slice(16));
    expect(Object.keys(list[0] as object).toSorted()).toEqual(Object.keys(rest).toSorted());

    const one = `/me/tokens/${rest.id}`;
    expect((await ada("PATCH", one, { description: null })).body).toMatchObject({ description: null });
    expect((await ada("PATCH", one, { disabled: true })).body).toMatchObject({ status: "disabled" });
    expect(await said(stage.ask("/ci/x", bearer(token)))).toBe("401 invalid_key");
    expect((await ada("PATCH", one, { disabled: false })).body).toMatchObject({ status: "active" });
    const rotated = await ada("POST", `${one}/rotate`, { overlap: "1h" });
    expect([rotated.status, rotated.body.id]).toEqual([200, rest.id]);
    for (const key of [token, rotated.body.token as string])
      expect(await said(stage.ask("/ci/x", bearer(key)))).toBe("200");
    clock.advance(HOUR);
    expect(await said(stage.ask("/ci/x", bearer(token)))).toBe("401 invalid_key");

    expect(await ada("DELETE", one)).toMatchObject({ status: 204, body: {} });
    expect(await said(stage.ask("/ci/x", bearer(rotated.body.token as string)))).toBe("401 invalid_key");
    expect((await ada("GET", "/me/tokens")).body).toEqual([]);
    const events = ["key_created", "key_changed", "key_disabled", "key_rotated", "key_revoked"];
    const told = auditOf(stage.gateway).flatMap(({ event, key }) => (key === rest.id ? [event] : []));
    for (const event of events) expect(told).toContain(event);
  });

  test("B12: somebody else's key is answered as an unknown one is", async () => {
    const [ada, bob] = [await as("ada@example.org"), await as("bob@example.org")];
    const { body } = await ada("POST", "/me/tokens", {});
    const answers: unknown[] = [];
    for (const id of [body.id, "000000000000", "x".repeat(100)]) {
      const attempts = [
        await bob("DELETE", `/me/tokens/${id}`),
        await bob("PATCH", `/me/tokens/${id}`, { disabled: true }),
        await bob("POST", `/me/tokens/${id}/rotate`, {}),
      ];
      for (const { status, body } of attempts) {
        const { request_id: _, ...rest } = body as Record<string, unknown>;
        answers.push({ status, ...rest });
      }
    }
    expect(answers).toHaveLength(9);
    for (const answer of answers)
      expect(answer).toEqual({ status: 404, error: "not_found", message: "token not found" });
    expect((await bob("GET", "/me/tokens")).body).toEqual([]);
  });

  test("needs a sign-in of the last 15 minutes to make a key or give it a new secret, and not for the rest", async () => {
    const ada = await as("ada@example.org");
    const { body } = await ada("POST", "/me/tokens", {});
    clock.advance(15 * MINUTE - 1_000);
    expect((await ada("POST", "/me/tokens", {})).status).toBe(201);
    clock.advance(2_000);
    for (const path of ["/me/tokens", `/me/tokens/${body.id}/rotate`]) {
      const late = await ada("POST", path, {});
      expect(late.status).toBe(401);
      expect(late.body).toMatchObject({
        error: "sign_in_again",
        login_url: `https://${HOME}/_runegate/login?again=1`,
      });
    }
    expect((await ada("GET", "/me/tokens")).body).toHaveLength(2);
    expect((await ada("DELETE", `/me/tokens/${body.id}`)).status).toBe(204);
  });

  test("is not made to do it by a page elsewhere, a form, or without a session", async () => {
    const ada = await as("ada@example.org");
    const elsewhere = await ada("POST", "/me/tokens", {}, { Origin: "https://evil.example" });
    expect(elsewhere.status).toBe(403);
    const form = await ada("POST", "/me/tokens", {}, { "Content-Type": "text/plain" });
    expect(form.status).toBe(415);
    expect(await said(stage.ask(`${API}/me/tokens`))).toBe("401 unauthenticated");
    expect((await ada("GET", "/me/tokens")).body).toEqual([]);
  });

  test("is told what is wrong", async () => {
    const ada = await as("ada@example.org");
    const bad: [object, number, RegExp][] = [
      [{ routes: ["*"] }, 400, /administrator/],
      [{ routes: ["shop"] }, 400, /shop/],
      [{ expires_in: "10000d" }, 400, /longer/],
      [{ expires_in: "soon" }, 400, /expires_in/],
      [{ expires_in: "999999999999999d" }, 400, /duration/],
      [{ description: "x".repeat(257) }, 400, /256/],
      [{ paths: ["x"] }, 400, /paths/],
      [{ rate: 1.5 }, 400, /rate/],
      [{ scope: "all" }, 400, /scope/],
    ];
    for (const [body, status, message] of bad) {
      const answer = await ada("POST", "/me/tokens", body);
      expect([body, answer.status]).toEqual([body, status]);
      expect(answer.body.message).toMatch(message);
    }
    for (let count = 0; count < 20; count++) await ada("POST", "/me/tokens", {});
    expect(brief(await ada("POST", "/me/tokens", {}))).toEqual([409, "too_many_keys"]);
  });
});

describe("somebody else's keys", () => {
  test("are an administrator's business alone", async () => {
    const [ada, root] = [await as("ada@example.org"), await as("root@example.org")];
    const theirs = "/users/bob%40example.org/tokens";
    for (const [method, path] of [
      ["GET", theirs],
      ["POST", theirs],
      ["DELETE", `${theirs}/x`],
      ["PATCH", `${theirs}/x`],
      ["POST", `${theirs}/x/rotate`],
      ["GET", "/tokens"],
    ] as const) {
      const refused = await ada(method, path, method === "GET" || method === "DELETE" ? undefined : {});
      expect([method, path, refused.status, refused.body.message]).toEqual([
        ...[method, path, 403, "admin privileges required"],
      ]);
    }
    const made = await root("POST", theirs, { routes: ["*"] });
    expect(made.body).toMatchObject({
      sub: "bob@example.org",
      created_by: "root@example.org",
      routes: ["*"],
    });
    expect((await root("GET", "/users/Bob@Example.org/tokens")).body).toHaveLength(1);
    const service = await root("POST", "/users/service:backup/tokens", {});
    expect(service.body).toMatchObject({ sub: "service:backup", routes: ["lab"] });
    expect(await said(stage.ask("/", bearer(service.body.token as string)))).toBe("200");

    const { items } = (await root("GET", "/tokens")).body as { items: Token[] };
    expect(items.map(({ sub }) => sub).toSorted()).toEqual(["bob@example.org", "service:backup"]);
    const query = async (text: string) =>
      ((await root("GET", `/tokens?${text}`)).body as { items: Token[] }).items.length;
    expect(await query("owner=bob@example.org")).toBe(1);
    expect(await query("unused=true")).toBe(0);

    const one = `${theirs}/${made.body.id}`;
    expect((await root("PATCH", one, { disabled: true })).body).toMatchObject({ status: "disabled" });
    const bob = await as("bob@example.org");
    const mine = await bob("PATCH", `/me/tokens/${made.body.id}`, { disabled: false });
    expect(mine.status).toBe(403);
    expect((await root("PATCH", one, { disabled: false })).status).toBe(200);
    expect((await root("POST", `${one}/rotate`, { overlap: "0s" })).status).toBe(200);
    expect((await root("DELETE", `/users/ada@example.org/tokens/${made.body.id}`)).status).toBe(404);
    expect((await root("DELETE", one)).status).toBe(204);
  });

  test("in pages, for the operator on the socket too, whom no sign-in holds up", async () => {
    await stage.key();
    await stage.key({ owner: "bob@example.org" });
    const operator = asOperator(stage.gateway);
    const { body } = await operator("GET", "/tokens");
    expect((body as { items: object[] }).items).toHaveLength(2);
    const headers = { "Content-Type": "application/json" };
    const made = await operator("POST", "/users/service:backup/tokens", { headers, body: "{}" });
    expect([made.status, (made.body as Token).sub]).toEqual([201, "service:backup"]);
  });
});

test("a bearer of an identity provider is as good as a session, and needs no recent sign-in; no other proof is", async () => {
  const who = signedIn("s");
  const ask = (kind: string): Asker => asProved(stage.gateway, { ...who, proof: { kind, id: "x" } });
  expect((await ask("bearer")("GET", "/me/tokens")).status).toBe(200);
  expect((await ask("bearer")("GET", "/tokens")).body).toMatchObject({
    message: "admin privileges required",
  });
  for (const kind of ["key", "impersonation"])
    expect((await ask(kind)("GET", "/me/tokens")).status).toBe(401);
});

test("switched off, there is nothing of it, and what begins like a key is the application's", async () => {
  const off = await openStage({ env: { RUNEGATE_API_KEYS: "false", RUNEGATE_TOKEN_ROOT_PATHS: "true" } });
  try {
    const cookie = await off.gateway.signIn("ada@example.org");
    const { token } = await off.key();
    expect(await said(off.ask(`${API}/me/tokens`, { Cookie: cookie }))).toBe("404 not_found");
    expect(await said(off.ask("/x", bearer(token)))).toBe("401 unauthenticated");
    expect(await said(off.ask("/x", { Cookie: cookie, ...bearer(token) }))).toBe("200");
    expect(off.got("/x")?.one("authorization")).toBe(`Bearer ${token}`);
    expect(await said(off.ask("/forward-auth", { Cookie: cookie }))).toBe("200");
    expect(off.upstream.to("/forward-auth")).toHaveLength(1);
  } finally {
    await off.stop();
  }
});
