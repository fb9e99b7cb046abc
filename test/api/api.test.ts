import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Address, parseAddress } from "../../src/identity/address.ts";
import { NO_GROUPS } from "../../src/identity/principal.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { auditOf, NAVIGATION } from "../login/support.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { dial, readResponse, requestHead } from "../support/raw.ts";
import { intercepted, stoppable } from "../support/store.ts";
import { type Asker, asOperator, asProved, asUser, JSON_BODY } from "./support.ts";

/** The management API: who may do what, and how it says so. */

let gateway: TestGateway;
let stranger: Asker;
let operator: Asker;

beforeEach(async () => {
  gateway = await startGateway({
    env: {
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_DOMAINS: "example.org",
      RUNEGATE_ALLOWED_EMAILS: "carol@example.net",
      RUNEGATE_LOG_FORMAT: "json",
    },
  });
  stranger = asUser(gateway);
  operator = asOperator(gateway);
});
afterEach(() => gateway.stop());

const signIn = async (email: string) => asUser(gateway, await gateway.signIn(email));
const idsOf = async (ask: Asker, query = "") =>
  ((await ask("GET", `/sessions${query}`)).body as { items: { id: string }[] }).items.map(({ id }) => id);
const failureOf = ({ status, body }: Awaited<ReturnType<Asker>>) => [
  status,
  (body as { error?: string } | undefined)?.error,
];

const ROUTES = [
  ["GET", "/session"],
  ["GET", "/sessions"],
  ["DELETE", "/sessions"],
  ["DELETE", "/sessions/abc"],
  ["GET", "/users"],
  ["POST", "/links"],
  ["GET", "/mail"],
  ["POST", "/mail/0123456789ab/retry"],
  ["DELETE", "/mail/0123456789ab"],
  ["GET", "/links"],
  ["DELETE", `/links/${"A".repeat(22)}`],
  ["GET", "/openapi.json"],
] as const;

describe("whoever is not signed in", () => {
  test.each(ROUTES)(
    "gets 401 for %s %s, with the way to sign in, before anything they sent is looked at",
    async (method, path) => {
      for (const headers of [{}, NAVIGATION, { Cookie: `runegate_id=${"A".repeat(43)}` }]) {
        const answer = await stranger(method, `${path}?nonsense&nonsense`, {
          headers,
          ...(method === "GET" ? {} : { body: "x".repeat(100_000) }),
        });
        expect(answer.body).toEqual({
          error: "unauthenticated",
          message: expect.any(String),
          login_url: `${gateway.url}/_runegate/login`,
          request_id: expect.any(String),
        });
        expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([
          401,
          `Bearer realm="${gateway.url}"`,
        ]);
      }
    },
  );

  test("finds none of it at the root, which is the application's", async () => {
    for (const [method, path] of ROUTES) {
      const answer = await fetch(gateway.url + path, { method, redirect: "manual" });
      expect([path, answer.status, answer.headers.get("content-type")]).toEqual([
        path,
        401,
        "application/json; charset=utf-8",
      ]);
    }
  });
});

describe("a user", () => {
  test("is told who they are, how that is known and for how long", async () => {
    const ada = await signIn("ada@example.org");
    const [id] = await idsOf(ada);
    const { status, headers, body } = await ada("GET", "/session");
    expect(status).toBe(200);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    const time = expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(body).toEqual({
      email: "ada@example.org",
      proof: { kind: "session", id },
      created_at: time,
      expires_at: time,
      idle_expires_at: time,
    });
  });

  test("sees their own sessions, oldest first, and no other's", async () => {
    const ada = await signIn("ada@example.org");
    await signIn("bob@example.org");
    await signIn("ada@example.org");
    const { body } = await ada("GET", "/sessions");
    const { items, next } = body as { items: { email: string; created_at: string }[]; next: unknown };
    expect([items.map(({ email }) => email), next]).toEqual([["ada@example.org", "ada@example.org"], null]);
    expect(items.map(({ created_at }) => created_at).toSorted()).toEqual(
      items.map(({ created_at }) => created_at),
    );
    expect(await idsOf(ada, "?email=Ada@Example.org")).toHaveLength(2);
    expect(failureOf(await ada("GET", "/sessions?email=bob@example.org"))).toEqual([403, "not_allowed"]);
    expect(failureOf(await ada("DELETE", "/sessions?email=bob@example.org"))).toEqual([403, "not_allowed"]);
    expect(await idsOf(operator)).toHaveLength(3);
  });

  test("ends one of their own sessions, and finds none of another's under its name", async () => {
    const [ada, phone, bob] = [
      await signIn("ada@example.org"),
      await signIn("ada@example.org"),
      await signIn("bob@example.org"),
    ];
    const [theirs = ""] = await idsOf(bob);
    expect(failureOf(await ada("DELETE", `/sessions/${theirs}`))).toEqual([404, "not_found"]);
    const [, second = ""] = await idsOf(ada);
    const ended = await ada("DELETE", `/sessions/${second}`);
    expect([ended.status, ended.text, ended.headers.get("cache-control")]).toEqual([204, "", "no-store"]);
    expect(failureOf(await ada("DELETE", `/sessions/${second}`))).toEqual([404, "not_found"]);
    expect([(await phone("GET", "/session")).status, (await bob("GET", "/session")).status]).toEqual([
      401, 200,
    ]);
    expect(
      auditOf(gateway)
        .filter(({ event }) => event === "session_revoked")
        .map(({ email, by }) => [email, by]),
    ).toEqual([["ada@example.org", "user"]]);
  });

  test("ends all others of their own and keeps the one they use, unless they say all", async () => {
    const ada = await signIn("ada@example.org");
    const bob = await signIn("bob@example.org");
    for (let i = 0; i < 3; i++) await signIn("ada@example.org");
    expect((await ada("DELETE", "/sessions")).body).toEqual({ revoked: 3 });
    expect((await ada("DELETE", "/sessions")).body).toEqual({ revoked: 0 });
    expect((await ada("DELETE", "/sessions?all=true")).body).toEqual({ revoked: 1 });
    expect([(await ada("GET", "/session")).status, (await bob("GET", "/session")).status]).toEqual([
      401, 200,
    ]);
  });

  test.each([
    ["GET", "/users", {}],
    ["POST", "/links", { headers: JSON_BODY, body: '{"email":"ada@example.org"}' }],
  ] as const)("may not %s %s", async (method, path, init) => {
    const ada = await signIn("ada@example.org");
    expect(failureOf(await ada(method, path, init))).toEqual([403, "not_allowed"]);
    expect(auditOf(gateway).some(({ event }) => event === "link_printed")).toBe(false);
  });

  test.each([
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
    { Origin: "https://evil.example" },
    { Origin: "null" },
    { ...NAVIGATION, "Sec-Fetch-Site": "cross-site", Origin: "https://evil.example" },
  ])("cannot be made to change anything by a page elsewhere: %o", async (headers) => {
    const ada = await signIn("ada@example.org");
    await signIn("ada@example.org");
    const [first = ""] = await idsOf(ada);
    for (const path of ["/sessions", "/sessions?all=true", `/sessions/${first}`]) {
      expect(failureOf(await ada("DELETE", path, { headers }))).toEqual([403, "cross_site"]);
    }
    expect(await idsOf(ada)).toHaveLength(2);
    // Not even asked for leave: there is none.
    expect((await ada("OPTIONS", "/sessions", { headers })).status).toBe(405);
  });

  test("of whom somebody has planted a second session's cookie is nobody", async () => {
    const [ada, bob] = [await gateway.signIn("ada@example.org"), await gateway.signIn("bob@example.org")];
    const both = asUser(gateway, `${ada}; ${bob}`);
    expect((await both("DELETE", "/sessions?all=true")).status).toBe(401);
    expect(await idsOf(operator)).toHaveLength(2);
  });
});

describe("whoever proved it by something else than a session", () => {
  const provenAt = Date.now();

  test("that is not for managing, such as a key, is nobody here", async () => {
    await signIn("ada@example.org");
    const subject = { email: parseAddress("ada@example.org") };
    const proof = { kind: "key", id: "k".repeat(30) };
    const key = asProved(gateway, { subject, groups: NO_GROUPS, proof, provenAt });
    const [id] = await idsOf(operator);
    for (const path of ["/sessions", "/sessions?all=true", `/sessions/${id}`]) {
      expect(failureOf(await key("DELETE", path))).toEqual([401, "unauthenticated"]);
    }
    for (const path of ["/session", "/sessions", "/users", "/openapi.json"]) {
      expect(failureOf(await key("GET", path))).toEqual([401, "unauthenticated"]);
    }
    expect(await idsOf(operator)).toEqual([id ?? ""]);
  });

  test("without an address, has no sessions to see", async () => {
    await signIn("ada@example.org");
    const subject = { service: "ada@example.org" };
    const service = asProved(gateway, {
      subject,
      groups: NO_GROUPS,
      proof: { kind: "bearer", id: "k" },
      provenAt,
    });
    expect((await service("GET", "/session")).body).toMatchObject({ email: null });
    for (const path of ["/sessions", "/sessions?email=ada@example.org", "/users"]) {
      expect(failureOf(await service("GET", path))).toEqual([403, "not_allowed"]);
    }
  });

  test("in vain, is nobody", async () => {
    expect(failureOf(await asProved(gateway, "refused")("GET", "/session"))).toEqual([
      401,
      "unauthenticated",
    ]);
  });
});

describe("an administrator", () => {
  const clock = testClock();
  let house: TestGateway;
  let root: Asker;

  beforeEach(async () => {
    house = await startGateway({
      env: { RUNEGATE_ALLOW_ANY_EMAIL: "true", RUNEGATE_LOG_FORMAT: "json" },
      clock,
      stores: createMemoryStore({ clock }),
      routes: `[groups]\nadmins = ["root@example.org"]\n[[routes]]\nname = "lab"\ntarget = "http://127.0.0.1:9"\n`,
    });
    root = asUser(house, await house.signIn("root@example.org"));
  });
  afterEach(() => house.stop());

  const signInAs = async (email: string) => asUser(house, await house.signIn(email));
  const owners = async (query: string) =>
    ((await root("GET", `/sessions${query}`)).body as { items: { email: string }[] }).items.map(
      ({ email }) => email,
    );
  const actors = () => auditOf(house).flatMap(({ event, by }) => (event === "session_revoked" ? [by] : []));

  test("sees who is signed in, whose sessions there are and what applications", async () => {
    await signInAs("ada@example.org");
    expect((await root("GET", "/users")).body).toMatchObject({
      items: [{ email: "ada@example.org" }, { email: "root@example.org" }],
    });
    expect(await owners("")).toEqual(["root@example.org"]);
    expect(await owners("?email=ada@example.org")).toEqual(["ada@example.org"]);
    expect((await owners("?everyone=true")).toSorted()).toEqual(["ada@example.org", "root@example.org"]);
    expect((await root("GET", "/routes")).body).toMatchObject({ items: [{ name: "lab", closed: null }] });
  });

  test("ends anybody's sessions, and never everybody's by a word that means their own", async () => {
    const [ada, bob] = [await signInAs("ada@example.org"), await signInAs("bob@example.org")];
    expect((await root("DELETE", "/sessions?email=ada@example.org")).body).toEqual({ revoked: 1 });
    const { items } = (await root("GET", "/sessions?email=bob@example.org")).body as {
      items: { id: string }[];
    };
    expect((await root("DELETE", `/sessions/${items[0]?.id}`)).status).toBe(204);
    const eve = await signInAs("eve@example.org");
    await signInAs("root@example.org");
    expect((await root("DELETE", "/sessions")).body).toEqual({ revoked: 1 });
    expect((await root("DELETE", "/sessions?all=true")).body).toEqual({ revoked: 1 });
    const left = [ada, bob, root, eve].map(async (ask) => (await ask("GET", "/session")).status);
    expect(await Promise.all(left)).toEqual([401, 401, 401, 200]);
    expect(actors()).toEqual(["root@example.org", "root@example.org", "user", "user"]);
  });

  test.each(['"AAA"', "[]", "7", "null", '""', "true", '[{"message":"x"}]'])(
    "closes nothing by a body that is no object, though it may be left out: %s",
    async (body) => {
      const answer = await root("PUT", "/routes/lab/closed", { headers: JSON_BODY, body });
      expect(failureOf(answer)).toEqual([400, "bad_request"]);
    },
  );

  test("closes an application and opens it, and the log says who", async () => {
    expect((await root("PUT", "/routes/lab/closed", { headers: JSON_BODY, body: "{}" })).status).toBe(204);
    expect((await root("DELETE", "/routes/lab/closed")).status).toBe(204);
    expect(auditOf(house).filter(({ event }) => String(event).startsWith("route_"))).toMatchObject([
      { event: "route_closed", route: "lab", by: "root@example.org" },
      { event: "route_opened", route: "lab", by: "root@example.org" },
    ]);
  });

  test("who signed in 15 minutes ago does so again before changing what is others'", async () => {
    await signInAs("ada@example.org");
    const listed = (await root("GET", "/sessions?email=ada@example.org")).body as { items: { id: string }[] };
    clock.advance(15 * 60_000);
    for (const [method, path] of [
      ["DELETE", "/sessions?email=ada@example.org"],
      ["DELETE", `/sessions/${listed.items[0]?.id}`],
      ["PUT", "/routes/lab/closed"],
      ["DELETE", "/routes/lab/closed"],
    ] as const) {
      const { status, body, headers } = await root(method, path);
      expect([status, body, headers.get("www-authenticate")]).toMatchObject([
        401,
        { error: "sign_in_again", login_url: expect.stringMatching(/_runegate\/login\?again=1$/) },
        expect.stringContaining('error="insufficient_user_authentication", max_age=900'),
      ]);
    }
    expect((await root("GET", "/users")).status).toBe(200);
    expect((await root("DELETE", "/sessions")).status).toBe(200);
    expect(await owners("?everyone=true")).toHaveLength(2);
  });

  test("is not the operator: makes no links for others, and is not believed as a key", async () => {
    for (const [method, path] of [
      ["POST", "/links"],
      ["POST", "/doctor/probes"],
    ] as const) {
      const init = { headers: JSON_BODY, body: '{"email":"ada@example.org"}' };
      expect(failureOf(await root(method, path, init))).toEqual([403, "not_allowed"]);
    }
    const key = asProved(house, {
      subject: { email: parseAddress("root@example.org") },
      groups: new Set(["admins"]),
      proof: { kind: "key", id: "k" },
      provenAt: clock.now(),
    });
    expect(failureOf(await key("GET", "/users"))).toEqual([401, "unauthenticated"]);
  });

  test("nobody else sees everybody's", async () => {
    const ada = await signInAs("ada@example.org");
    for (const path of ["/sessions?everyone=true", "/sessions?email=root@example.org", "/users", "/routes"]) {
      expect(failureOf(await ada("GET", path))).toEqual([403, "not_allowed"]);
    }
  });
});

describe("the operator", () => {
  test("is told that they are", async () => {
    expect((await operator("GET", "/session")).body).toEqual({
      email: null,
      proof: { kind: "operator", id: "socket" },
      created_at: null,
      expires_at: null,
      idle_expires_at: null,
    });
  });

  test("sees all sessions, or those of one address", async () => {
    for (const name of ["ada", "bob", "ada"]) await signIn(`${name}@example.org`);
    expect(
      [await idsOf(operator), await idsOf(operator, "?email=ADA@example.org")].map(({ length }) => length),
    ).toEqual([3, 2]);
    expect(await idsOf(operator, "?email=eve@example.org")).toEqual([]);
  });

  test("must say which sessions to end", async () => {
    const [ada, bob] = [await signIn("ada@example.org"), await signIn("bob@example.org")];
    for (const query of ["", "?", "?email=ada@example.org&all=true"]) {
      expect(failureOf(await operator("DELETE", `/sessions${query}`))).toEqual([400, "bad_request"]);
    }
    // A name that was forgotten is not all of them.
    expect(failureOf(await operator("DELETE", "/sessions/"))).toEqual([404, "not_found"]);
    expect(failureOf(await ada("DELETE", "/sessions/"))).toEqual([404, "not_found"]);
    expect((await operator("DELETE", "/sessions?email=ada@example.org")).body).toEqual({ revoked: 1 });
    expect((await bob("GET", "/session")).status).toBe(200);
    expect((await operator("DELETE", "/sessions?all=true")).body).toEqual({ revoked: 1 });
    expect((await bob("GET", "/session")).status).toBe(401);
  });

  test("names a session by the beginning of its id, if that is the beginning of one only", async () => {
    const { sessions } = gateway.gateway;
    // As many as there are characters, and one more: two begin alike.
    for (let i = 0; i < 65; i++) {
      await sessions.start({ email: parseAddress("ada@example.org"), ip: "192.0.2.1", userAgent: "" });
    }
    const ids = await idsOf(operator);
    const shared = ids.map((id) => id[0] ?? "").find((first, i, all) => all.indexOf(first) !== i) ?? "";
    expect(failureOf(await operator("DELETE", `/sessions/${shared}`))).toEqual([409, "ambiguous"]);
    expect(await idsOf(operator)).toEqual(ids);
    expect((await operator("DELETE", `/sessions/${ids[7]}`)).status).toBe(204);
    expect(await idsOf(operator)).toEqual(ids.toSpliced(7, 1));
  });

  test("sees who may sign in by name or is signed in, by address", async () => {
    await signIn("bob@example.org");
    await signIn("bob@example.org");
    expect((await operator("GET", "/users")).body).toEqual({
      items: [
        { email: "bob@example.org", allowed: true, sessions: 2, seen_at: expect.stringMatching(/^20/) },
        { email: "carol@example.net", allowed: true, sessions: 0, seen_at: null },
      ],
      next: null,
    });
  });

  test("gets a link for an address that may sign in, and for no other", async () => {
    const link = (email: string) =>
      operator("POST", "/links", { headers: JSON_BODY, body: JSON.stringify({ email }) });
    const made = await link("Ada@Example.org");
    expect(made.status).toBe(201);
    expect(made.body).toEqual({ link: expect.stringContaining(`${gateway.url}/_runegate/auth?token=`) });
    expect(failureOf(await link("eve@evil.example"))).toEqual([403, "not_allowed"]);
    expect(failureOf(await link("not an address"))).toEqual([400, "bad_request"]);
  });

  test("is nobody that a request from the network could be", async () => {
    for (const headers of [{ "X-Forwarded-For": "unix" }, { Authorization: "Bearer socket" }]) {
      expect((await stranger("GET", "/users", { headers })).status).toBe(401);
    }
  });
});

describe("lists", () => {
  test("come in pages of at most 200, in an order that stays while others sign in and out", async () => {
    const { sessions } = gateway.gateway;
    const clock = testClock();
    const other = await startGateway({ clock, stores: createMemoryStore({ clock }) });
    try {
      const start = () =>
        other.gateway.sessions.start({
          email: parseAddress("ada@example.org"),
          ip: "192.0.2.1",
          userAgent: "",
        });
      const { cookie } = await start();
      // Many in one millisecond, which a time alone would not tell apart.
      for (let i = 1; i < 450; i++) {
        if (i % 150 === 0) clock.advance(1);
        await start();
      }
      const ada = asUser(other, `runegate_id=${cookie}`);
      const seen: string[] = [];
      const sizes: number[] = [];
      let query = "";
      for (;;) {
        const page = (await ada("GET", `/sessions${query}`)).body as {
          items: { id: string }[];
          next: string | null;
        };
        seen.push(...page.items.map(({ id }) => id));
        sizes.push(page.items.length);
        // The last that was shown may be gone by the time of the next page.
        const last = page.items.at(-1)?.id ?? "";
        if (page.next !== null && sizes.length === 1) await ada("DELETE", `/sessions/${last}`);
        if (page.next === null) break;
        query = `?cursor=${page.next}`;
      }
      expect(sizes).toEqual([200, 200, 50]);
      expect(new Set(seen).size).toBe(450);
      expect(await idsOf(asOperator(other))).toHaveLength(449);
    } finally {
      await other.stop();
    }
    expect(await sessions.list()).toEqual([]);
  });

  test("take no cursor that is none, and from one behind the end show nothing", async () => {
    const ada = await signIn("ada@example.org");
    for (const cursor of ["", "a b", "%00", "é", "a".repeat(601)]) {
      expect(failureOf(await ada("GET", `/sessions?cursor=${cursor}`))).toEqual([400, "bad_request"]);
    }
    const end = Buffer.from("9").toString("base64url");
    expect((await ada("GET", `/sessions?cursor=${end}`)).body).toEqual({ items: [], next: null });
  });
});

describe("what is wrong is said", () => {
  test.each([
    ["/sessions?emial=ada@example.org", '"emial" is not as it should be.'],
    ["/sessions?all=yes", '"all" is not as it should be.'],
    ["/sessions?email=x", "The address needs an @."],
    ["/sessions?all=true&all=true", "A parameter was sent twice."],
    ["/sessions/a%20b", '"id" is not as it should be.'],
  ])("in a few words for DELETE %s, which ends nothing", async (path, message) => {
    const ada = await signIn("ada@example.org");
    for (const ask of [ada, operator]) {
      const { status, body } = await ask("DELETE", path);
      expect([status, body]).toEqual([
        400,
        { error: "bad_request", message: expect.any(String), request_id: expect.any(String) },
      ]);
      if (!path.includes("email=")) expect(body).toMatchObject({ message });
    }
    expect(await idsOf(ada)).toHaveLength(1);
  });

  test.each([
    ["no body", {}, 400],
    ["a form", { headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: "email=a" }, 415],
    ["no type", { headers: { "Content-Type": "" }, body: '{"email":"ada@example.org"}' }, 415],
    ["what is no JSON", { headers: JSON_BODY, body: "{" }, 400],
    ["a list", { headers: JSON_BODY, body: "[]" }, 400],
    ["null", { headers: JSON_BODY, body: "null" }, 400],
    ["a number for an address", { headers: JSON_BODY, body: '{"email":7}' }, 400],
    ["one field too many", { headers: JSON_BODY, body: '{"email":"ada@example.org","next":"/"}' }, 400],
    ["an object that is no text", { headers: JSON_BODY, body: '{"email":{"toString":"x"}}' }, 400],
    [
      "lists in lists",
      { headers: JSON_BODY, body: `{"email":${"[".repeat(9_000)}${"]".repeat(9_000)}}` },
      400,
    ],
    ["a prototype", { headers: JSON_BODY, body: '{"__proto__":{"email":"ada@example.org"}}' }, 400],
    ["too much", { headers: JSON_BODY, body: JSON.stringify({ email: "a".repeat(70_000) }) }, 413],
    ["compressed", { headers: { ...JSON_BODY, "Content-Encoding": "gzip" }, body: "x" }, 415],
  ] as const)("where a link is asked for with %s", async (_, init, status) => {
    const answer = await operator("POST", "/links", init);
    expect(answer.status).toBe(status);
    expect(Object.keys(answer.body as object)).toEqual(["error", "message", "request_id"]);
    expect(answer.text.length).toBeLessThan(300);
    expect(answer.text).not.toContain("aaaa");
  });

  test.each([
    ["GET", "", 404],
    ["GET", "/", 404],
    ["GET", "/nothing", 404],
    ["GET", "/sessions/", 404],
    ["GET", "/sessions/abc/def", 404],
    ["GET", "/__proto__", 404],
    ["POST", "/session", 405],
    ["PUT", "/sessions", 405],
    ["GET", "/sessions/abc", 405],
    ["PATCH", "/links", 405],
    ["GET", "/links/abc", 405],
    ["PATCH", "/users", 405],
  ])("in JSON for %s %s, a person's navigation included", async (method, path, status) => {
    for (const headers of [{}, NAVIGATION]) {
      const answer = await stranger(method, path, { headers });
      expect([answer.status, answer.headers.get("content-type")]).toEqual([
        status,
        "application/json; charset=utf-8",
      ]);
      expect(answer.headers.has("allow")).toBe(status === 405);
    }
  });

  test("which methods there are", async () => {
    const allowed = async (path: string) => (await stranger("PUT", path)).headers.get("allow");
    expect([
      await allowed("/session"),
      await allowed("/sessions"),
      await allowed("/sessions/abc"),
      await allowed("/links"),
    ]).toEqual(["GET, HEAD", "GET, HEAD, DELETE", "DELETE", "POST, GET, HEAD"]);
  });

  test("where the store is away", async () => {
    const clock = testClock();
    const state = stoppable(createMemoryStore({ clock }));
    const away = await startGateway({ clock, stores: state.store });
    try {
      const cookie = await away.signIn();
      state.away = true;
      for (const ask of [asUser(away, cookie), asOperator(away)]) {
        const { status, text } = await ask("GET", "/sessions");
        expect([status, text.includes("/secret/place")]).toEqual([503, false]);
      }
    } finally {
      state.away = false;
      await away.stop();
    }
  });

  test("and an answer of ours that is wrong is our fault, told without what was in it", async () => {
    const { sessions } = gateway.gateway;
    const { list } = sessions;
    await sessions.start({ email: parseAddress("ada@example.org"), ip: "::1", userAgent: "a-secret-agent" });
    Object.assign(sessions, {
      list: async (email?: Address) => (await list(email)).map((one) => ({ ...one, ip: 7 })),
    });
    const { status, body, text } = await operator("GET", "/sessions?email=ada%40example.org");
    Object.assign(sessions, { list });
    expect([status, body]).toEqual([
      500,
      { error: "internal", message: expect.any(String), request_id: expect.any(String) },
    ]);
    const line = gateway.lines.find((one) => one.includes("a request failed")) ?? "";
    expect(line).toContain("does not fit its schema");
    expect(text + line).not.toContain("a-secret-agent");
  });
});

test("what a user asks of their own sessions costs nothing for those that others have", async () => {
  const clock = testClock();
  const asked: unknown[] = [];
  const stores = intercepted(createMemoryStore({ clock }), (call) => {
    if (call.of === "session" && call.verb === "find") asked.push(call.args[0]);
    return call.go();
  });
  const own = await startGateway({ stores, clock });
  const ada = asUser(own, await own.signIn("ada@example.org"));
  const [id = ""] = await idsOf(ada);
  asked.length = 0;
  await idsOf(ada);
  await ada("DELETE", "/sessions");
  await ada("DELETE", `/sessions/${id}`);
  const query = { where: { email: "ada@example.org" }, most: Number.MAX_SAFE_INTEGER };
  expect(asked).toEqual([query, query, query]);
  await own.stop();
});

test("HEAD is answered where GET is, with its length and without its body", async () => {
  const cookie = await gateway.signIn();
  const length = (await asUser(gateway, cookie)("GET", "/sessions")).headers.get("content-length");
  const wire = await dial(gateway.port);
  await wire.write(requestHead("HEAD /_runegate/api/sessions", [`Cookie: ${cookie}`, "Connection: close"]));
  const all = (await wire.readToEnd()).toString();
  expect(all).toStartWith("HTTP/1.1 200 ");
  expect(all.toLowerCase()).toContain(`\r\ncontent-length: ${length}\r\n`);
  expect(all).toEndWith("\r\n\r\n");
});

test("a body that is too large is not waited for, also where none is taken", async () => {
  const cookie = await gateway.signIn();
  const wire = await dial(gateway.port);
  const head = [`Cookie: ${cookie}`, "Content-Type: application/json", "Content-Length: 70000"];
  await wire.write(requestHead("DELETE /_runegate/api/sessions", head));
  expect((await readResponse(wire)).status).toBe(413);
  wire.destroy();
});

test("everybody's sessions come in pages, each session once, and a cursor that is none is refused", async () => {
  const own = await startGateway({ clock: testClock() });
  for (let i = 0; i < 450; i++)
    await own.gateway.sessions.start({ email: parseAddress(`p${i}@example.org`), ip: "::1", userAgent: "" });
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const part = await own.gateway.sessions.part(200, cursor);
    seen.push(...(part?.items ?? []).map(({ email }) => email));
    cursor = part?.next;
  } while (cursor !== undefined);
  expect([seen.length, new Set(seen).size]).toEqual([450, 450]);
  const { status, body } = await asOperator(own)("GET", "/sessions?cursor=none");
  expect([status, body]).toMatchObject([400, { error: "bad_request" }]);
  await own.stop();
});
