import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { exchange } from "../support/raw.ts";
import type { Received } from "../support/upstream.ts";
import { type Pair, startPair, VISITOR } from "./support.ts";

/** Which headers cross, and as what, in both directions (CONTRACT section 7). */

const IDENTITY = {
  "x-runegate-authenticated": "true",
  "x-runegate-user": VISITOR,
  "x-forwarded-user": VISITOR,
  "x-forwarded-email": VISITOR,
  "remote-user": VISITOR,
  "remote-email": VISITOR,
  "x-auth-request-user": VISITOR,
  "x-auth-request-email": VISITOR,
} as const;

let trusting: Pair;
let distrusting: Pair;
let anonymous: Pair;

beforeAll(async () => {
  trusting = await startPair();
  distrusting = await startPair({ env: { RUNEGATE_TRUSTED_PROXIES: "" } });
  anonymous = await startPair({ env: { RUNEGATE_IDENTITY_HEADERS: "false" } });
});

afterAll(() => Promise.all([trusting, distrusting, anonymous].map((pair) => pair.stop())));

/** What the application received for a request with these fields. */
async function received(pair: Pair, fields: readonly string[] = []): Promise<Received> {
  const response = await pair.ask("GET /headers", fields);
  expect(response.status).toBe(200);
  const request = pair.upstream.to("/headers").at(-1);
  if (request === undefined) throw new Error("nothing was received");
  return request;
}

/** What the browser received of a response with these fields. */
async function answered(fields: readonly string[]) {
  trusting.upstream.on("/answer", ({ reply }) => reply(200, ["Content-Type: text/plain", ...fields], "ok"));
  return trusting.ask("GET /answer");
}

describe("a request as it came", () => {
  test("has nothing added but what is documented", async () => {
    const { fields } = await received(trusting);
    expect(fields.map(([name]) => name.toLowerCase()).sort()).toEqual(
      [
        ...Object.keys(IDENTITY),
        // `fetch` adds `Accept: */*`, which means what its absence means (RFC 9110 §12.5.1), and an empty `User-Agent`.
        "accept",
        "connection",
        "host",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
      ].sort(),
    );
  });

  test("does not say what asks in the browser's stead", async () => {
    expect((await received(trusting)).one("user-agent")).toBe("");
    expect((await received(trusting, ["User-Agent: Browser/1"])).one("user-agent")).toBe("Browser/1");
  });

  test.each([
    "Authorization: Basic eDp5",
    "Accept: text/html;q=0.5, */*;q=0.1",
    "Accept-Language: de, en;q=0.5",
    "Accept-Encoding: identity",
    'If-Match: "a", "b"',
    "Origin: https://app.example.org",
    "Referer: https://app.example.org/page?x",
    "Sec-Fetch-Mode: cors",
    "X-Requested-With: XMLHttpRequest",
    "X-Custom_name: 1",
    "X.Dotted: 1",
    "Date: Sun, 06 Nov 1994 08:49:37 GMT",
    "Content-Type: text/plain",
    "Pragma: no-cache",
    "Via: 1.1 edge",
    "X-Empty:",
    `X-Long: ${"x".repeat(8000)}`,
  ])("%s arrives as sent", async (field) => {
    const colon = field.indexOf(":");
    const request = await received(trusting, [field]);
    expect(request.one(field.slice(0, colon))).toBe(field.slice(colon + 1).trim());
  });

  test("names no encodings that the browser did not name", async () => {
    expect((await received(trusting)).one("accept-encoding")).toBeUndefined();
  });

  test("keeps several lines of one name as one list", async () => {
    expect((await received(trusting, ["X-List: 1", "X-List: 2"])).one("x-list")).toBe("1, 2");
  });

  test.each([
    ["Latin-1", "caf\xe9 \xff"],
    ["UTF-8", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"],
    ["neither", "\x80\x81\xfe"],
    ["a tab", "a\tb"],
  ])("keeps text in %s byte for byte", async (_, text) => {
    expect((await received(trusting, [`X-Text: ${text}`])).one("x-text")).toBe(text);
  });
});

describe("hop-by-hop headers of a request", () => {
  test.each([
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Trailer: X-Sum",
    "Upgrade: h2c",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic eDp5",
    "Proxy-Authenticate: Basic",
    "Proxy-Anything: 1",
    "Transfer_Encoding: chunked",
    "Keep.Alive: 1",
  ])("%s stops here", async (field) => {
    const name = field.slice(0, field.indexOf(":"));
    expect((await received(trusting, [field])).one(name)).toBeUndefined();
  });

  test("so do those that Connection names, and Connection itself", async () => {
    const request = await received(trusting, [
      "Connection: close, X-Hop ,x-other-hop,, @nonsense",
      "X-Hop: 1",
      "X-Other-Hop: 1",
      "X-End: 1",
    ]);
    expect(request.one("connection")).toBe("keep-alive");
    expect(request.one("x-hop")).toBeUndefined();
    expect(request.one("x-other-hop")).toBeUndefined();
    expect(request.one("x-end")).toBe("1");
  });

  test("naming one of Runegate's in Connection does not remove it", async () => {
    const own = [
      ...Object.keys(IDENTITY),
      "x-forwarded-for",
      "x-forwarded-proto",
      "x-forwarded-host",
      "x-real-ip",
    ];
    const request = await received(trusting, [`Connection: ${own.join(", ")}, host, cookie`, "Cookie: a=1"]);
    for (const name of own) expect(request.one(name)).not.toBeUndefined();
    expect(request.one("host")).toBe("app.example.org");
    expect(request.one("cookie")).toBe("a=1");
  });
});

describe("identity", () => {
  const spellings = (name: string): string[] => [
    name,
    name.toUpperCase(),
    name.replaceAll("-", "_"),
    name.replaceAll("-", "."),
    name.replace("-", "_").toUpperCase(),
    name.replaceAll("-", "~"),
  ];

  const only = [
    ...Object.keys(IDENTITY),
    "x-runegate-admin",
    "x-runegate-anything",
    "remote-name",
    "remote-groups",
    "x-auth-request-groups",
    "x-auth-request-access-token",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-authenticated-user",
    "x-webauth-user",
  ];

  test.each(only)("%s is only ever what Runegate says, in every spelling", async (name) => {
    for (const spelling of spellings(name)) {
      for (const pair of [trusting, distrusting]) {
        const { fields } = await received(pair, [`${spelling}: forged`, `${spelling}: twice`]);
        const said = fields.filter(([field]) => field.toLowerCase().replace(/[^a-z]/g, "-") === name);
        const expected = IDENTITY[name as keyof typeof IDENTITY];
        expect(said).toEqual(expected === undefined ? [] : [[expect.any(String), expected]]);
      }
      const { fields } = await received(anonymous, [`${spelling}: forged`]);
      expect(fields.filter(([field]) => field.toLowerCase().replace(/[^a-z]/g, "-") === name)).toEqual([]);
    }
  });

  test.each(Object.entries(IDENTITY))("%s says %s", async (name, value) => {
    expect((await received(trusting)).one(name)).toBe(value);
    expect((await received(anonymous)).one(name)).toBeUndefined();
  });

  test("is that of whoever's session it is", async () => {
    const cookie = await trusting.gateway.signIn("eve@example.org");
    const response = await exchange(trusting.port, "GET /headers", [
      `Cookie: ${cookie}`,
      `X-Forwarded-User: ${VISITOR}`,
    ]);
    expect(response.status).toBe(200);
    expect(trusting.upstream.to("/headers").at(-1)?.one("x-forwarded-user")).toBe("eve@example.org");
  });
});

describe("where the request came from", () => {
  test("Host arrives as the browser sent it", async () => {
    expect((await received(trusting, ["Host: App.Example.org:8443"])).one("host")).toBe(
      "App.Example.org:8443",
    );
  });

  test("from a trusted edge, what it said is passed on with the edge added", async () => {
    const request = await received(trusting, [
      "X-Forwarded-For: 203.0.113.9, 198.51.100.7",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: public.example.org",
      "X-Real-IP: 1.2.3.4",
      "X-Forwarded-Port: 443",
      "X-Forwarded-Prefix: /app",
    ]);
    expect(request.one("x-forwarded-for")).toBe("203.0.113.9, 198.51.100.7, 127.0.0.1");
    expect(request.one("x-forwarded-proto")).toBe("https");
    expect(request.one("x-forwarded-host")).toBe("public.example.org");
    expect(request.one("x-real-ip")).toBe("198.51.100.7");
    expect(request.one("x-forwarded-port")).toBe("443");
    expect(request.one("x-forwarded-prefix")).toBe("/app");
  });

  test("from anybody else, nothing of it is", async () => {
    const request = await received(distrusting, [
      "X-Forwarded-For: 203.0.113.9",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: public.example.org",
      "X-Real-IP: 1.2.3.4",
      "X-Forwarded-Port: 443",
      "X-Forwarded-Prefix: /app",
      "X-Forwarded-Server: x",
      "Forwarded: for=203.0.113.9;proto=https",
      "X_Forwarded_For: 203.0.113.9",
      "X.Real.IP: 203.0.113.9",
    ]);
    const forwarding = request.fields.filter(([name]) => /forwarded|real/i.test(name));
    expect(Object.fromEntries(forwarding.map(([name, value]) => [name.toLowerCase(), value]))).toEqual({
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "app.example.org",
      "x-real-ip": "127.0.0.1",
      "x-forwarded-user": VISITOR,
      "x-forwarded-email": VISITOR,
    });
    expect(forwarding).toHaveLength(6);
  });

  test.each(["X_Forwarded_For: 203.0.113.9", "X.Forwarded.Proto: https", "X_Forwarded_Port: 443"])(
    "%s, an odd spelling, does not come even from a trusted edge",
    async (field) => {
      const name = field.slice(0, field.indexOf(":"));
      expect((await received(trusting, [field])).one(name)).toBeUndefined();
    },
  );

  test("a request without a usable Host is refused", async () => {
    const before = trusting.upstream.requests.length;
    for (const host of ["", "a b", "a/b", "a@b", "exa\xe9mple.org", "[::1", "a:b"]) {
      expect((await trusting.ask("GET /headers", [`Host: ${host}`])).status).toBe(400);
    }
    expect(trusting.upstream.requests.length).toBe(before);
  });
});

describe("cookies", () => {
  const ours = () => trusting.cookie.slice("Cookie: ".length);
  const cases: ReadonlyArray<readonly [string, (own: string) => string, string | undefined]> = [
    ["ours alone", (own) => own, undefined],
    ["ours first", (own) => `${own}; a=1; b=2`, "a=1; b=2"],
    ["ours last", (own) => `a=1; b=2; ${own}`, "a=1; b=2"],
    ["ours in between", (own) => `a=1; ${own}; b=2`, "a=1; b=2"],
    ["ours twice", (own) => `a=1; ${own}; b=2; ${own}`, "a=1; b=2"],
    ["our login cookie", (own) => `runegate_login=x; a=1; ${own}`, "a=1"],
    [
      "names that only look like ours",
      (own) => `${own}; runegate_idx=1; xrunegate_id=2`,
      "runegate_idx=1; xrunegate_id=2",
    ],
    ["odd but theirs", (own) => `a="q; r"; ${own};b=1;;c; =d; e==`, 'a="q; r";b=1;;c; =d; e=='],
    ["bytes beyond ASCII", (own) => `a=\xc3\xa9\xff; ${own}`, "a=\xc3\xa9\xff"],
  ];
  test.each(cases)("%s: ours are cut out, the others left byte for byte", async (_, header, rest) => {
    const before = trusting.upstream.to("/cookies").length;
    const response = await exchange(trusting.port, "GET /cookies", [`Cookie: ${header(ours())}`]);
    expect(response.status).toBe(200);
    expect(trusting.upstream.to("/cookies").length).toBe(before + 1);
    expect(trusting.upstream.to("/cookies").at(-1)?.one("cookie")).toBe(rest);
  });
});

describe("a response as it came", () => {
  test.each([
    "Server: App/1.0",
    "Date: Mon, 01 Jan 2001 00:00:00 GMT",
    "Content-Security-Policy: default-src 'self'",
    "Strict-Transport-Security: max-age=1",
    "X-Frame-Options: SAMEORIGIN",
    "Cache-Control: public, max-age=60",
    'WWW-Authenticate: Basic realm="app"',
    "Access-Control-Allow-Origin: *",
    "Content-Disposition: attachment; filename*=UTF-8''%e2%82%ac.txt",
    "Link: </style.css>; rel=preload",
    "Alt-Svc: clear",
    "X-Custom_name: 1",
    "X-Accel-Buffering: no",
    "Age: 5",
  ])("%s arrives as sent", async (field) => {
    const colon = field.indexOf(":");
    expect((await answered([field])).one(field.slice(0, colon))).toBe(field.slice(colon + 1).trim());
  });

  test("has nothing added but a Date", async () => {
    const { fields } = await answered([]);
    expect(fields.map(([name]) => name.toLowerCase()).sort()).toEqual([
      "content-length",
      "content-type",
      "date",
    ]);
  });

  test.each([
    ["Latin-1", "caf\xe9 \xff"],
    ["UTF-8", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"],
    ["neither", "\x80\x81\xfe"],
  ])("keeps text in %s byte for byte", async (_, text) => {
    const response = await answered([`X-Text: ${text}`, `Set-Cookie: a=${text}`, `Location: /${text}`]);
    expect(response.one("x-text")).toBe(text);
    expect(response.one("location")).toBe(`/${text}`);
    expect(response.one("set-cookie")).toBe(`a=${text}`);
  });

  test.each([
    "Keep-Alive: timeout=5",
    "Upgrade: h2c",
    "Proxy-Authenticate: Basic",
    "Proxy-Connection: keep-alive",
    "Trailer: X-Sum",
  ])("%s, hop-by-hop, stops here", async (field) => {
    expect((await answered([field])).one(field.slice(0, field.indexOf(":")))).toBeUndefined();
  });

  test("what Connection names stops here", async () => {
    const response = await answered(["Connection: close, X-Hop", "X-Hop: 1", "X-End: 1"]);
    expect(response.one("x-hop")).toBeUndefined();
    expect(response.one("x-end")).toBe("1");
    expect(response.one("connection")).toBeUndefined();
  });
});

test("no header names another page than the one that was asked for, from a trusted edge either", async () => {
  for (const pair of [trusting, distrusting])
    for (const name of ["X-Original-URL", "X-Rewrite-URL", "X_Rewrite_Url", "X.Original.URL"]) {
      const { fields } = await received(pair, [`${name}: /admin`]);
      expect(fields.filter(([, value]) => value === "/admin")).toEqual([]);
    }
});

describe("headers that gateway interfaces fold into others", () => {
  test.each(["Proxy: http://evil.example", "Content_Length: 9", "Content.Length: 9"])("%s", async (field) => {
    const pair = await startPair();
    await pair.ask("GET /folded", [field]);
    const [seen] = pair.upstream.to("/folded");
    expect(seen?.all(field.split(":", 1)[0] ?? "")).toEqual([]);
    await pair.stop();
  });
});
