import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import manifest from "../../package.json" with { type: "json" };
import { systemClock } from "../../src/clock.ts";
import { assetPath } from "../../src/pages/assets.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { askFor, NAVIGATION } from "../login/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { dial, exchange, readResponse, requestHead } from "../support/raw.ts";
import { stoppable } from "../support/store.ts";
import { type Echo, startUpstream, type Upstream } from "../support/upstream.ts";

/** Runegate's own paths as HTTP: methods, content types, sizes, headers (CONTRACT section 1). */

let upstream: Upstream;
let gateway: TestGateway;
let session: string;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startGateway({ target: upstream.url });
  session = await gateway.signIn();
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
});

/** Every own path with what it answers, and with its root path. */
const PATHS: ReadonlyArray<
  readonly [path: string, root: string | undefined, get: number | undefined, post: boolean]
> = [
  ["/_runegate/login", "/login", 200, true],
  ["/_runegate/auth", "/auth", 400, true],
  ["/_runegate/logout", "/logout", 200, true],
  ["/_runegate/session", undefined, 200, false],
  ["/_runegate/health", "/health", 200, false],
  ["/_runegate/health/live", undefined, 200, false],
  ["/_runegate/health/ready", undefined, 200, false],
  ["/_runegate/rate_limit_info", "/rate_limit_info", 200, false],
  ["/_runegate/debug/session", "/debug/session", 200, false],
  ["/_runegate/debug/cookies", "/debug/cookies", 200, false],
  ["/_runegate/debug/protected", "/debug/protected", 401, false],
  [assetPath("style.css"), undefined, 200, false],
];
const PLACES = PATHS.flatMap(([path, root, get, post]) =>
  (root === undefined ? [path] : [path, root]).map((at) => [at, get, post] as const),
);

describe("methods", () => {
  test.each(PLACES)("%s", async (path, get, post) => {
    const allow = post ? "GET, HEAD, POST" : "GET, HEAD";
    const got = await exchange(gateway.port, `GET ${path}`);
    expect(got.status).toBe(get ?? 0);
    const head = await exchange(gateway.port, `HEAD ${path}`);
    expect(head.status).toBe(got.status);
    expect(head.one("content-type")).toBe(got.one("content-type"));
    expect(head.body.byteLength).toBe(0);
    if (got.one("content-type")?.startsWith("application/json") && got.status === 200) {
      expect(head.one("content-length")).toBe(String(got.body.byteLength));
    }
    for (const method of [
      "PUT",
      "PATCH",
      "DELETE",
      "OPTIONS",
      "PROPFIND",
      "TRACE",
      "CONNECT",
      "PURGE",
      "QUERY",
      "M-SEARCH",
      ...(post ? [] : ["POST"]),
    ]) {
      const refused = await exchange(gateway.port, `${method} ${path}`, ["Content-Length: 0"]);
      expect([method, refused.status, refused.one("allow")]).toEqual([method, 405, allow]);
      expect(JSON.parse(refused.body.toString())).toMatchObject({ error: "method_not_allowed" });
    }
  });

  // Bun's own parser decides this before any code of ours runs. One that begins to answer is no longer a known limit.
  test.each(["FOO", "X", "get"])("the method %s, which Bun does not know, is hung up on", async (method) => {
    const wire = await dial(gateway.port);
    await wire.write(requestHead(`${method} /_runegate/login`));
    expect((await wire.readToEnd()).toString()).toBe("");
  });

  test("/login.html is the login page too", async () => {
    const response = await exchange(gateway.port, "GET /login.html");
    expect([response.status, response.one("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  });

  test("an own path that does not exist is a 404, as JSON and as a page", async () => {
    for (const path of [
      "/_runegate/nothing",
      "/_runegate/static/",
      "/_runegate/static/app.js",
      "/_runegate/LOGIN",
      "/_runegate/login/x",
    ]) {
      const asJson = await exchange(gateway.port, `GET ${path}`);
      expect([path, asJson.status]).toEqual([path, 404]);
      expect(JSON.parse(asJson.body.toString())).toMatchObject({ error: "not_found" });
      const asPage = await exchange(gateway.port, `GET ${path}`, ["Sec-Fetch-Mode: navigate"]);
      expect([asPage.status, asPage.one("content-type")]).toEqual([404, "text/html; charset=utf-8"]);
      expect(asPage.body.toString()).toContain('href="/_runegate/">Go to the start page</a>');
    }
  });

  test("the prefix alone leads to the login page, and somebody signed in to the landing path", async () => {
    const cookie = `Cookie: ${await gateway.signIn()}`;
    for (const path of ["/_runegate", "/_runegate/"]) {
      const visitor = await exchange(gateway.port, `GET ${path}`);
      expect([path, visitor.status, visitor.one("location")]).toEqual([path, 302, "/_runegate/login"]);
      const user = await exchange(gateway.port, `GET ${path}`, [cookie]);
      expect([path, user.status, user.one("location")]).toEqual([path, 302, "/"]);
    }
  });
});

test("no request for an own path, however odd, breaks anything", async () => {
  const part = fc.constantFrom(
    ..."% %ff %00 %2f .. / // ; ? * : { } [ ] \\ login auth logout static %u0041 %c0%af | ^ ` < > ~ ' $ & = + @ ! # token= constructor __proto__ toString".split(
      " ",
    ),
    '"',
    "\xff",
    "\xe9",
  );
  const fields = fc.subarray([
    "Accept: text/html",
    "Sec-Fetch-Mode: navigate",
    "Content-Type: application/json",
    "Cookie: =;;runegate_id=%;runegate_login=..",
    "X-Forwarded-For: [::,,",
    "X-Forwarded-Host: %",
    "Origin: null",
    "User-Agent: \xff\xfe",
    'If-None-Match: "',
  ]);
  const method = fc.constantFrom("GET", "HEAD", "POST", "OPTIONS");
  await fc.assert(
    fc.asyncProperty(method, fc.array(part, { maxLength: 6 }), fields, async (how, parts, sent) => {
      const body = how === "POST" ? ["Content-Length: 0"] : [];
      const response = await exchange(gateway.port, `${how} /_runegate/${parts.join("")}`, [
        ...sent,
        ...body,
      ]);
      expect(response.status).toBeGreaterThanOrEqual(200);
      expect(response.status).toBeLessThan(500);
    }),
    { numRuns: 600 },
  );
});

test("a body that an own path does not want is not the next request", async () => {
  const wire = await dial(gateway.port);
  const inner = requestHead("GET /_runegate/session");
  await wire.write(
    requestHead("POST /_runegate/health", [`Content-Length: ${inner.length}`]) +
      inner +
      requestHead("GET /_runegate/health/live"),
  );
  expect((await readResponse(wire)).status).toBe(405);
  expect(JSON.parse((await readResponse(wire)).body.toString())).toMatchObject({ status: "running" });
  wire.destroy();
});

describe("bodies of own paths", () => {
  const json = ["Content-Type: application/json"];
  const form = ["Content-Type: application/x-www-form-urlencoded"];
  const send = (path: string, fields: readonly string[], body: string) =>
    exchange(
      gateway.port,
      `POST ${path}`,
      [...fields, `Content-Length: ${Buffer.byteLength(body, "latin1")}`],
      body,
    );

  test.each<[what: string, fields: readonly string[], body: string, status: number, error: string]>([
    ["no content type", [], "{}", 415, "unsupported_media_type"],
    [
      "plain text, which any site may send",
      ["Content-Type: text/plain"],
      '{"email":"a@b.example"}',
      415,
      "unsupported_media_type",
    ],
    ["multipart", ["Content-Type: multipart/form-data; boundary=x"], "--x--", 415, "unsupported_media_type"],
    ["XML", ["Content-Type: application/xml"], "<a/>", 415, "unsupported_media_type"],
    [
      "a type that begins like JSON",
      ["Content-Type: application/jsonp"],
      "{}",
      415,
      "unsupported_media_type",
    ],
    ["a compressed body", [...json, "Content-Encoding: gzip"], "{}", 415, "unsupported_media_type"],
    ["an empty body", json, "", 400, "bad_request"],
    ["broken JSON", json, '{"email":', 400, "bad_request"],
    ["JSON after JSON", json, "{}{}", 400, "bad_request"],
    ["an array", json, '["a@b.example"]', 400, "bad_request"],
    ["a string", json, '"a@b.example"', 400, "bad_request"],
    ["null", json, "null", 400, "bad_request"],
    ["a number", json, "1", 400, "bad_request"],
    ["an address that is a number", json, '{"email":1,"token":1}', 400, "bad_request"],
    [
      "an address that is a list",
      json,
      '{"email":["a@b.example","c@d.example"],"token":[]}',
      400,
      "bad_request",
    ],
    ["an address that is an object", json, '{"email":{"$ne":null},"token":{}}', 400, "bad_request"],
    ["JSON nested 10,000 deep", json, "[".repeat(10_000), 400, "bad_request"],
    [
      "an object nested 5,000 deep",
      json,
      `${'{"email":'.repeat(5_000)}1${"}".repeat(5_000)}`,
      400,
      "bad_request",
    ],
    ["a name that would be a prototype", json, '{"__proto__":{"email":"a@b.example"}}', 400, "bad_request"],
    ["bytes that are no UTF-8", json, '{"email":"\xff"}', 400, "bad_request"],
    [
      "a form with a field twice",
      form,
      "email=a%40b.example&email=c%40d.example&token=a&token=b",
      400,
      "bad_request",
    ],
    ["a form that is no UTF-8", form, "email=\xff", 400, "bad_request"],
    ["one byte over 64 KiB", json, `{"a":"${"a".repeat(65_536 - 7)}"}`, 413, "body_too_large"],
    ["a megabyte", form, `email=${"a".repeat(1 << 20)}`, 413, "body_too_large"],
  ])("%s", async (_, fields, body, status, error) => {
    for (const path of ["/_runegate/login", "/login", "/_runegate/auth"]) {
      const response = await send(path, fields, body);
      expect([path, response.status]).toEqual([path, status]);
      expect(JSON.parse(response.body.toString())).toMatchObject({ error });
    }
  });

  test("64 KiB exactly are read", async () => {
    const body = `{"x":"${"a".repeat(65_536 - 8)}"}`;
    expect(body.length).toBe(65_536);
    const response = await send("/_runegate/login", json, body);
    expect([response.status, JSON.parse(response.body.toString())]).toMatchObject([
      400,
      { error: "invalid_email" },
    ]);
  });

  test("a chunked body is cut at 64 KiB, wherever it would end", async () => {
    const chunk = `1000\r\n${"a".repeat(4096)}\r\n`;
    const response = await exchange(
      gateway.port,
      "POST /_runegate/login",
      [...json, "Transfer-Encoding: chunked"],
      chunk.repeat(40),
    );
    expect(response.status).toBe(413);
  });

  test.each([
    ["JSON", json, '{"email":"ada@example.org"}'],
    ["JSON with a charset", ["Content-Type: Application/JSON; charset=utf-8"], '{"email":"ada@example.org"}'],
    ["JSON with fields nobody knows", json, '{"email":"ada@example.org","theme":"dark","next":null}'],
    ["JSON after blanks", json, ' \r\n{"email":"ada@example.org"}\n'],
    ["a form", form, "email=ada%40example.org"],
    ["a form with blanks", form, "email=+ada%40example.org+&next=%2Fa"],
    ["an identity encoding", [...form, "Content-Encoding: identity"], "email=ada@example.org"],
  ])("%s is understood", async (_, fields, body) => {
    expect((await send("/_runegate/login", fields, body)).status).toBe(200);
  });
});

describe("security headers", () => {
  const OWN = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
  };
  const POLICY =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

  test.each<[what: string, method: string, path: string, page: boolean]>([
    ["the login page", "GET", "/_runegate/login", true],
    ["the logout page", "GET", "/logout", true],
    ["a failure as a page", "GET", "/_runegate/auth", true],
    ["an unknown path as a page", "GET", "/_runegate/nothing", true],
    ["a wrong method as a page", "DELETE", "/_runegate/health", true],
    ["the mailbox", "GET", "/_runegate/mailbox", true],
    ["JSON", "GET", "/_runegate/session", false],
    ["the challenge's redirect", "GET", "/a", false],
  ])("on %s", async (what, method, path, page) => {
    const response = await fetch(gateway.url + path, { method, headers: NAVIGATION, redirect: "manual" });
    expect(response.headers.toJSON()).toMatchObject(OWN);
    // A mail's HTML has inline styles.
    const styles = what === "the mailbox" ? "style-src 'self' 'unsafe-inline'" : "style-src 'self'";
    const policy = POLICY.replace("style-src 'self'", styles);
    expect(response.headers.get("content-security-policy")).toBe(page ? policy : null);
    if (page) expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  });

  test("not on what the application says", async () => {
    upstream.on("/bare", ({ reply }) =>
      reply(200, ["Content-Type: text/html", "X-Frame-Options: SAMEORIGIN"], "hello"),
    );
    const response = await exchange(gateway.port, "GET /bare", [`Cookie: ${session}`]);
    expect(response.status).toBe(200);
    expect(response.all("x-frame-options")).toEqual(["SAMEORIGIN"]);
    for (const name of Object.keys(OWN).filter((one) => one !== "x-frame-options"))
      expect(response.all(name)).toEqual([]);
    expect(response.one("content-security-policy")).toBeUndefined();
  });

  test("no page has inline script or style, or names another host", async () => {
    for (const path of ["/_runegate/login", "/_runegate/logout", "/_runegate/auth", "/_runegate/nothing"]) {
      const html = await (await fetch(gateway.url + path, { headers: NAVIGATION })).text();
      expect(html).not.toMatch(/<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)|javascript:/i);
      expect(html.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:\/\//);
    }
  });
});

describe("a page for a navigation, JSON for everything else", () => {
  test.each([
    ["an unknown own path", "/_runegate/nothing", 404],
    ["a missing token", "/_runegate/auth", 400],
    ["a bad token", "/_runegate/auth?token=x", 401],
    ["a debug endpoint that refuses", "/_runegate/debug/protected", 401],
  ])("%s", async (_, path, status) => {
    const page = await fetch(gateway.url + path, { headers: NAVIGATION });
    const json = await fetch(gateway.url + path);
    expect([page.status, json.status]).toEqual([status, status]);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const body = (await json.json()) as Record<string, unknown>;
    expect(body).toMatchObject({
      error: expect.stringMatching(/^[a-z_]+$/),
      message: expect.any(String),
      request_id: expect.any(String),
    });
    expect(await page.text()).toContain("<!doctype html>");
  });
});

describe("what scripts read", () => {
  test("/health is exactly this", async () => {
    for (const path of ["/health", "/_runegate/health", "/_runegate/health/live"]) {
      const response = await fetch(gateway.url + path, { headers: NAVIGATION });
      expect([response.status, await response.json()]).toEqual([
        200,
        { status: "running", service: "Runegate", version: manifest.version },
      ]);
    }
  });

  test("/rate_limit_info is exactly this", async () => {
    const limited = await startGateway({ env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" } });
    try {
      for (const path of ["/rate_limit_info", "/_runegate/rate_limit_info"]) {
        expect(await (await fetch(limited.url + path)).json()).toEqual({
          login_rate_limit: 5,
          email_cooldown: 300,
          token_rate_limit: 10,
          enabled: true,
        });
      }
      expect(await (await fetch(`${gateway.url}/rate_limit_info`)).json()).toMatchObject({ enabled: false });
    } finally {
      await limited.stop();
    }
  });
});

describe("debug endpoints", () => {
  test("tell names, lengths and verdicts, never a value", async () => {
    const [secret = ""] = session.slice("runegate_id=".length).split(";");
    const headers = {
      Cookie: `runegate_id=${secret}; other=hidden-value; nameless-hidden; =hidden-too`,
      Accept: "*/*",
    };
    const texts: string[] = [];
    for (const path of [
      "/debug/session",
      "/debug/cookies",
      "/debug/protected",
      "/_runegate/debug/session",
      "/_runegate/debug/cookies",
    ]) {
      const response = await fetch(gateway.url + path, { headers });
      expect(response.status).toBe(200);
      texts.push(await response.text());
    }
    const all = texts.join("\n");
    expect(all).not.toContain(secret);
    expect(all).not.toContain("hidden");
    expect(JSON.parse(texts[0] ?? "")).toMatchObject({
      authenticated: true,
      email: "ada@example.org",
      cookie_length: 43,
      client: "127.0.0.1",
      peer_trusted: true,
    });
    expect(JSON.parse(texts[1] ?? "")).toEqual({
      session_cookie_name: "runegate_id",
      ambiguous: false,
      received: [
        { name: "runegate_id", length: 43 },
        { name: "other", length: 12 },
        { name: "", length: 15 },
        { name: "", length: 10 },
      ],
    });
  });

  test("off means gone: the root paths are the application's, the others nobody's", async () => {
    const without = await startGateway({ target: upstream.url, env: { RUNEGATE_DEBUG_ENDPOINTS: "false" } });
    try {
      const cookie = `Cookie: ${await without.signIn()}`;
      for (const name of ["session", "cookies", "protected"]) {
        expect((await exchange(without.port, `GET /_runegate/debug/${name}`, [cookie])).status).toBe(404);
        const root = await exchange(without.port, `GET /debug/${name}`, [cookie]);
        expect(JSON.parse(root.body.toString())).toMatchObject({
          target: `/debug/${name}`,
        } satisfies Partial<Echo>);
        expect((await exchange(without.port, `GET /debug/${name}`)).status).toBe(401);
      }
    } finally {
      await without.stop();
    }
  });
});

describe("RUNEGATE_ROOT_PATHS=false", () => {
  test("gives every root path to the application, visitors and all", async () => {
    const rootless = await startGateway({ target: upstream.url, env: { RUNEGATE_ROOT_PATHS: "false" } });
    try {
      const cookie = await rootless.signIn();
      for (const path of [...PATHS.map(([, root]) => root), "/login.html"].filter(
        (one) => one !== undefined,
      )) {
        for (const method of ["GET", "POST"]) {
          const response = await exchange(
            rootless.port,
            `${method} ${path}`,
            [`Cookie: ${cookie}`, "Content-Length: 0"].slice(0, method === "GET" ? 1 : 2),
          );
          expect(JSON.parse(response.body.toString())).toMatchObject({ method, target: path });
        }
        expect((await exchange(rootless.port, `GET ${path}`)).status).toBe(401);
      }
      // And an own root path is now a good place to go after a login.
      const after = await fetch(`${rootless.url}/_runegate/login?next=/login`, {
        headers: { ...NAVIGATION, Cookie: cookie },
        redirect: "manual",
      });
      expect(after.headers.get("location")).toBe("/login");
    } finally {
      await rootless.stop();
    }
  });
});

describe("while the store is away", () => {
  test("nobody is let in anywhere, no reason is told, and it is over when the store is back", async () => {
    const store = stoppable(createMemoryStore({ clock: systemClock }));
    const shaky = await startGateway({
      target: upstream.url,
      stores: store.store,
      env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" },
    });
    try {
      const cookie = await shaky.signIn();
      expect((await fetch(`${shaky.url}/_runegate/health/ready`)).status).toBe(200);
      const seen = upstream.requests.length;
      store.away = true;
      const form = { "Content-Type": "application/json", Cookie: cookie };
      const requests: ReadonlyArray<readonly [path: string, init: RequestInit, status: number]> = [
        ["/", { headers: { Cookie: cookie } }, 503],
        ["/a", { method: "POST", body: "x", headers: { Cookie: cookie } }, 503],
        ["/proxy/a", { headers: { Cookie: cookie, ...NAVIGATION } }, 503],
        [
          "/",
          {
            headers: {
              Cookie: cookie,
              Connection: "Upgrade",
              Upgrade: "websocket",
              "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
          },
          503,
        ],
        ["/_runegate/session", { headers: { Cookie: cookie } }, 503],
        ["/_runegate/login", { headers: { Cookie: cookie } }, 503],
        ["/_runegate/logout", { headers: { Cookie: cookie } }, 503],
        ["/_runegate/logout", { method: "POST", headers: { Cookie: cookie } }, 503],
        ["/_runegate/login", { method: "POST", headers: form, body: '{"email":"ada@example.org"}' }, 503],
        ["/_runegate/auth?token=x", { headers: { Cookie: cookie } }, 503],
        ["/_runegate/auth", { method: "POST", headers: form, body: '{"token":"x"}' }, 503],
        ["/_runegate/debug/session", { headers: { Cookie: cookie } }, 503],
        ["/_runegate/debug/protected", { headers: { Cookie: cookie } }, 503],
        ["/_runegate/health/ready", {}, 503],
        // What needs no store answers, and somebody without a cookie is challenged as ever.
        ["/_runegate/health", {}, 200],
        ["/_runegate/health/live", {}, 200],
        ["/_runegate/login", {}, 200],
        ["/", {}, 401],
      ];
      for (const [path, init, status] of requests) {
        const response = await fetch(shaky.url + path, { redirect: "manual", ...init });
        expect([init.method ?? "GET", path, response.status]).toEqual([init.method ?? "GET", path, status]);
        expect(response.headers.getSetCookie()).toEqual([]);
        const text = await response.text();
        if (status !== 503 || path.endsWith("ready")) continue;
        expect(text).not.toContain("/secret/place");
        expect(response.headers.get("retry-after")).toBe("10");
        if (response.headers.get("content-type")?.includes("json"))
          expect(JSON.parse(text)).toMatchObject({ error: "store_unavailable" });
      }
      expect(upstream.requests.length).toBe(seen);
      const ready = await fetch(`${shaky.url}/_runegate/health/ready`);
      expect(await ready.json()).toMatchObject({
        status: "unavailable",
        error: "store_unavailable",
        message: expect.any(String),
      });
      expect(shaky.lines.some((line) => line.includes("/secret/place"))).toBe(true);
      store.away = false;
      expect((await fetch(shaky.url, { headers: { Cookie: cookie } })).status).toBe(200);
    } finally {
      await shaky.stop();
    }
  });

  test("a good link is neither spent nor let in, and works afterwards", async () => {
    const store = stoppable(createMemoryStore({ clock: systemClock }), ({ of }) => of === "ticket");
    const shaky = await startGateway({ stores: store.store });
    try {
      const { cookie, token } = await askFor(shaky);
      store.away = true;
      const refused = await fetch(`${shaky.url}/auth?token=${token}`, {
        headers: { Cookie: cookie },
        redirect: "manual",
      });
      expect([refused.status, refused.headers.getSetCookie()]).toEqual([503, []]);
      store.away = false;
      const opened = await fetch(`${shaky.url}/auth?token=${token}`, {
        headers: { Cookie: cookie },
        redirect: "manual",
      });
      expect(opened.status).toBe(302);
    } finally {
      await shaky.stop();
    }
  });
});

describe("a host of few letters", () => {
  test.each(["a", "pi", "nas", "a:80", "[::1]"])("%s has Runegate's own paths", async (host) => {
    const gateway = await startGateway();
    const own = ["/_runegate/login", "/_runegate/session", "/_runegate/health/ready", "/login", "/health"];
    for (const path of own) {
      expect((await exchange(gateway.port, `GET ${path}`, [`Host: ${host}`])).status).toBe(200);
    }
    expect((await exchange(gateway.port, "GET /_runegate/nothing", [`Host: ${host}`])).status).toBe(404);
    await gateway.stop();
  });
});
