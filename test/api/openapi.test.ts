import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { NAVIGATION } from "../login/support.ts";
import { renderApiPage } from "../support/api-page.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { API_PAGE, OPENAPI, renderOpenApi } from "../support/write-openapi.ts";
import { type Asker, asOperator, asUser } from "./support.ts";

/** What the API says of itself is true, whatever is sent. */

setDefaultTimeout(30_000);

type Document = {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};
type Operation = { readonly summary?: string; readonly responses: Readonly<Record<string, object>> };

const document = JSON.parse(readFileSync(OPENAPI, "utf8")) as Document;

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({
    env: { RUNEGATE_ALLOWED_EMAILS: "ada@example.org", RUNEGATE_API_KEYS: "true" },
  });
});
afterAll(() => gateway.stop());

test("the document and the page are what the rooms declare: `npm run docs` writes them", async () => {
  const current = await renderOpenApi();
  expect(readFileSync(OPENAPI, "utf8")).toBe(current);
  expect(readFileSync(API_PAGE, "utf8")).toBe(renderApiPage(JSON.parse(current)));
});

test("it names what there is, each with a summary", () => {
  expect(document.openapi).toBe("3.1.0");
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary }]) => [`${method} ${path}`, summary !== undefined]),
  );
  expect(Object.fromEntries(operations)).toEqual({
    "get /admin/mail": true,
    "post /admin/mail/test": true,
    "post /admin/mail/{id}/retry": true,
    "delete /admin/mail/{id}": true,
    "post /secrets/renew": true,
    "get /openapi.json": true,
    "get /session": true,
    "get /sessions": true,
    "get /admin/status": true,
    "post /admin/impersonate": true,
    "get /admin/impersonations": true,
    "delete /admin/impersonations/{id}": true,
    "delete /sessions": true,
    "delete /sessions/{id}": true,
    "get /users": true,
    "get /routes": true,
    "put /routes/{name}/closed": true,
    "delete /routes/{name}/closed": true,
    "get /tunnels": true,
    "post /tunnels": true,
    "post /tunnels/{name}/rotate": true,
    "delete /tunnels/{name}": true,
    "get /clients": true,
    "post /clients/keys": true,
    "get /clients/{id}/people": true,
    "delete /clients/{id}/people/{email}": true,
    "post /hooks/{name}/test": true,
    "post /links": true,
    "get /hooks": true,
    "get /links": true,
    "delete /links/{id}": true,
    "post /doctor/probes": true,
    "get /doctor/probes/{nonce}": true,
    "get /admin/audit": true,
    "get /admin/audit/{id}": true,
    "get /me/tokens": true,
    "post /me/tokens": true,
    "delete /me/tokens/{id}": true,
    "patch /me/tokens/{id}": true,
    "post /me/tokens/{id}/rotate": true,
    "get /users/{sub}/tokens": true,
    "post /users/{sub}/tokens": true,
    "delete /users/{sub}/tokens/{id}": true,
    "patch /users/{sub}/tokens/{id}": true,
    "post /users/{sub}/tokens/{id}/rotate": true,
    "get /tokens": true,
    "get /admin/users": true,
    "post /admin/users": true,
    "patch /admin/users/{sub}": true,
    "delete /admin/users/{sub}": true,
    "get /admin/requests": true,
    "post /admin/requests/{id}/approve": true,
    "post /admin/requests/{id}/refuse": true,
  });
});

test("is served to whoever is signed in, and the page made of it, which needs no script and nothing from elsewhere", async () => {
  const cookie = await gateway.signIn();
  const served = await asUser(gateway, cookie)("GET", "/openapi.json");
  expect([served.status, served.body]).toEqual([200, document]);
  expect((await asOperator(gateway)("GET", "/openapi.json")).body).toEqual(document);
  const shown = await asUser(gateway, cookie)("GET", "/docs", { headers: NAVIGATION });
  expect([shown.status, shown.headers.get("content-security-policy")]).toEqual([
    200,
    expect.stringContaining("default-src 'none'; style-src 'self'; script-src 'self'"),
  ]);
  expect(shown.text).not.toMatch(/https?:\/\/|style=|<script>| on[a-z]+=/);
  for (const words of [
    "DELETE /_runegate/api/sessions/{id}",
    "items[].seen_at",
    "the operator, on the control socket",
  ]) {
    expect(shown.text).toContain(words);
  }
});

test("the page sends a visitor to the login, and a program is told", async () => {
  const shown = await asUser(gateway)("GET", "/docs", { headers: NAVIGATION });
  expect([shown.status, shown.headers.get("location")]).toEqual([302, "/_runegate/login"]);
  expect((await asUser(gateway)("GET", "/openapi.json", { headers: NAVIGATION })).status).toBe(401);
});

describe("whatever is sent, the answer is one that the document promises", () => {
  const noise = fc.oneof(
    fc.constantFrom(
      "",
      "true",
      "ada@example.org",
      "__proto__",
      "constructor",
      "\0",
      "%00",
      "..",
      "null",
      "[]",
      "9".repeat(400),
    ),
    fc.string({ unit: "binary", maxLength: 12 }),
    fc.string({ unit: "grapheme", minLength: 300, maxLength: 3000 }),
  );
  const name = fc.constantFrom("email", "all", "cursor", "id", "__proto__", "toString", "email[]", "", "x");
  const query = fc.array(fc.tuple(name, noise), { maxLength: 3 });
  const json = fc.oneof(
    fc.dictionary(name, fc.oneof(noise, fc.jsonValue()), { maxKeys: 3 }),
    fc.jsonValue(),
    fc.constantFrom(
      { email: ["ada@example.org"] },
      { email: { toString: "x" } },
      { email: `a\0@example.org` },
    ),
  );
  const body = fc.oneof(
    json.map((value) => ({ type: "application/json", text: JSON.stringify(value) })),
    fc.record({
      type: fc.constantFrom("application/json", "text/plain", "application/json; charset=x"),
      text: noise,
    }),
    fc.constant(undefined),
  );
  const method = fc.constantFrom("GET", "POST", "DELETE", "PUT", "HEAD");
  const path = fc.oneof(
    fc.constantFrom("/session", "/sessions", "/users", "/links", "/openapi.json", "/docs"),
    noise.map((id) => `/sessions/${encodeURIComponent(id.toWellFormed())}`),
    noise.map((rest) => `/${encodeURI(rest.toWellFormed())}`),
  );

  const text = expect.any(String);
  const SAID = { error: text, message: text, request_id: text };

  /** Whether the document knows this answer; that its body fits the schema is seen to by the route itself. */
  function isPromised(asked: string, verb: string, status: number): boolean {
    const template = /^\/sessions\/[^/]+$/.test(asked) ? "/sessions/{id}" : asked;
    const operation = document.paths[template]?.[verb === "HEAD" ? "get" : verb.toLowerCase()];
    return operation !== undefined && (status === 200 || String(status) in operation.responses);
  }

  test.each<[string, () => Promise<Asker>]>([
    ["a stranger", async () => asUser(gateway)],
    ["a user", async () => asUser(gateway, await gateway.signIn())],
    ["the operator", async () => asOperator(gateway)],
  ])("for %s", async (_, who) => {
    let ask = await who();
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(method, path, query, body, async (verb, asked, parameters, sent) => {
        const search = new URLSearchParams(
          parameters.map(([key, value]): [string, string] => [key, value.toWellFormed()]),
        ).toString();
        const init =
          sent === undefined || verb === "GET" || verb === "HEAD"
            ? {}
            : { headers: { "Content-Type": sent.type }, body: sent.text.toWellFormed() };
        const answer = await ask(verb, search === "" ? asked : `${asked}?${search}`, init);
        statuses.add(answer.status);
        expect([verb, asked, answer.status < 500]).toEqual([verb, asked, true]);
        if (answer.status === 401) ask = await who();
        // Bun's own, where the head is too large.
        if (answer.status === 431) return;
        // Dot segments lead out of the API, and the page is none of it.
        const at = new URL(`${gateway.url}/_runegate/api${asked}`).pathname;
        if (!at.startsWith("/_runegate/api/") || at.startsWith("/_runegate/api/docs")) return;
        if (answer.status < 400) {
          expect([verb, asked, answer.status, isPromised(asked, verb, answer.status)]).toEqual([
            verb,
            asked,
            answer.status,
            true,
          ]);
        } else if (verb !== "HEAD") {
          const { login_url, ...failure } = answer.body as Record<string, unknown>;
          expect([verb, asked, failure]).toEqual([verb, asked, SAID]);
          expect(answer.text.length).toBeLessThan(500);
        }
      }),
      { numRuns: 500, endOnFailure: true },
    );
    expect([...statuses].filter((status) => status === 404 || status === 405).toSorted()).toEqual([404, 405]);
  });
});
