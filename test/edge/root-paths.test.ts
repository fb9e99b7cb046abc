import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { systemClock } from "../../src/clock.ts";
import { ROOT_PATHS } from "../../src/edge/root-paths.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { askFor, NAVIGATION, openLink } from "../login/support.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";
import { exchange } from "../support/raw.ts";
import { intercepted, stoppable } from "../support/store.ts";
import { type Echo, startUpstream, type Upstream } from "../support/upstream.ts";

/** Paths that Runegate and an application may both have: whose they are, and for whom. */

const FOR_DEBUGGING: readonly string[] = ROOT_PATHS.filter((path) => path.startsWith("/debug/"));
const SHARED: readonly string[] = ROOT_PATHS.filter((path) => !FOR_DEBUGGING.includes(path));

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

/** What the application received of a request, or undefined if Runegate answered it. */
async function applicationGets(
  line: string,
  cookie: string | undefined,
  at: TestGateway = gateway,
  fields: readonly string[] = [],
  body = "",
): Promise<Echo | undefined> {
  const before = upstream.requests.length;
  const cookies = cookie === undefined ? [] : [`Cookie: ${cookie}`];
  const length = line.startsWith("GET") ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  const response = await exchange(at.port, line, [...cookies, ...length, ...fields], body);
  if (upstream.requests.length === before) return undefined;
  expect(response.status).toBe(200);
  return JSON.parse(response.body.toString());
}

describe("by default, a root path", () => {
  test.each(SHARED.flatMap((path) => [`GET ${path}`, `POST ${path}`, `GET ${path}?next=/a&token=b.c.d`]))(
    "%s is the application's for whoever is signed in, and Runegate's for everybody else",
    async (line) => {
      const [method = "", target = ""] = line.split(" ");
      expect(await applicationGets(line, session)).toEqual({ method, target, body: "" });
      for (const cookie of [undefined, "other=1", `runegate_id=${"x".repeat(43)}`, "runegate_id=x"]) {
        expect(await applicationGets(line, cookie)).toBeUndefined();
      }
    },
  );

  test("is the application's for everybody where a route has it open to everybody", async () => {
    const open = await startGateway({
      target: upstream.url,
      env: { RUNEGATE_BASE_URL: "https://app.example.org" },
      routes: `
        [[routes]]
        name = "app"
        target = "${upstream.url}"
        public_paths = ["/health"]

        [[routes]]
        name = "site"
        host = "site.example.org"
        target = "${upstream.url}"
        allow = ["public"]
      `,
    });
    const gets = (line: string, host: string) =>
      applicationGets(line, undefined, open, [`Host: ${host}`, "Accept: text/html"]);
    expect(await gets("GET /health", "app.example.org")).toMatchObject({ target: "/health" });
    expect(await gets("GET /login", "site.example.org")).toMatchObject({ target: "/login" });
    expect(await gets("GET /login", "app.example.org")).toBeUndefined();
    await open.stop();
  });

  test("is Runegate's again once the session has ended", async () => {
    const cookie = await gateway.signIn("grace@example.org");
    expect(await applicationGets("GET /login", cookie)).toMatchObject({ target: "/login" });
    await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers: { Cookie: cookie } });
    expect(await applicationGets("GET /login", cookie)).toBeUndefined();
  });

  test("is answered by one of Runegate's own handlers for a visitor: there is no path too many", async () => {
    for (const path of ROOT_PATHS) {
      const { status } = await exchange(gateway.port, `GET ${path}`);
      const expected = path === "/auth" ? 400 : path === "/debug/protected" ? 401 : 200;
      expect([path, status]).toEqual([path, expected]);
    }
  });

  test.each(FOR_DEBUGGING)("%s is Runegate's for everybody while debug endpoints are on", async (path) => {
    expect(await applicationGets(`GET ${path}`, session)).toBeUndefined();
    const quiet = await startGateway({ target: upstream.url, env: { RUNEGATE_DEBUG_ENDPOINTS: "false" } });
    try {
      expect(await applicationGets(`GET ${path}`, await quiet.signIn(), quiet)).toMatchObject({
        target: path,
      });
      expect((await exchange(quiet.port, `GET ${path}`)).status).toBe(401);
    } finally {
      await quiet.stop();
    }
  });

  test("asks for the session once, and no more than any other path does", async () => {
    let asked = 0;
    const counting = await startGateway({
      target: upstream.url,
      stores: intercepted(createMemoryStore({ clock: systemClock }), ({ of, verb, go }) => {
        if (of === "session" && verb === "get") asked++;
        return go();
      }),
    });
    try {
      const cookie = await counting.signIn();
      for (const [line, visitor, times] of [
        ["GET /a", false, 1],
        ["GET /login", false, 1],
        ["GET /login", true, 0],
        ["GET /health", true, 0],
        ["GET /_runegate/health", false, 0],
      ] as const) {
        asked = 0;
        await applicationGets(line, visitor ? undefined : cookie, counting);
        expect([line, visitor, asked]).toEqual([line, visitor, times]);
      }
    } finally {
      await counting.stop();
    }
  });

  test("is nobody's with a session that cannot be asked for, and Runegate's without one", async () => {
    const store = stoppable(createMemoryStore({ clock: systemClock }));
    const shaky = await startGateway({ target: upstream.url, stores: store.store });
    try {
      const cookie = await shaky.signIn();
      store.away = true;
      const before = upstream.requests.length;
      for (const path of SHARED) {
        expect((await exchange(shaky.port, `GET ${path}`, [`Cookie: ${cookie}`])).status).toBe(503);
      }
      expect(upstream.requests.length).toBe(before);
      for (const path of ["/health", "/login"]) {
        expect((await exchange(shaky.port, `GET ${path}`)).status).toBe(200);
      }
    } finally {
      await shaky.stop();
    }
  });
});

describe("an application's form at /login", () => {
  test.each([
    ["a form", "application/x-www-form-urlencoded", "username=ada&password=x%26y&next=//evil.example"],
    ["JSON that would be a login request", "application/json", '{"email":"ada@example.org","next":"/a"}'],
    ["what Runegate's own login refuses", "multipart/form-data; boundary=b", "--b--\r\n"],
    ["more than Runegate's own login reads", "text/plain", "x".repeat(200_000)],
  ])("%s arrives untouched", async (_, type, body) => {
    const mails = gateway.mailbox.mails().length;
    const received = await applicationGets(
      "POST /login",
      session,
      gateway,
      [`Content-Type: ${type}`, "Origin: https://app.example.org"],
      body,
    );
    expect(received).toEqual({ method: "POST", target: "/login", body });
    expect(gateway.mailbox.mails()).toHaveLength(mails);
  });
});

describe("/auth with a token of ours", () => {
  test("signs in whoever is signed in already, as an older mail's link does", async () => {
    const { cookie, token } = await askFor(gateway, "grace@example.org");
    const old = await gateway.signIn("grace@example.org");
    const opened = await fetch(`${gateway.url}/auth?from=mail&token=${token}`, {
      redirect: "manual",
      headers: { ...NAVIGATION, Cookie: `${cookie}; ${old}` },
    });
    expect([opened.status, opened.headers.get("location")]).toEqual([302, "/"]);
    expect(cookieHeader(opened)).not.toBe(old);
    // Spent, and not the application's for that.
    expect(await applicationGets(`GET /auth?from=mail&token=${token}`, cookieHeader(opened))).toBeUndefined();
  });

  test("is ours whatever is wrong with it", async () => {
    const { token } = await askFor(gateway);
    const [head = "", claims = ""] = token.split(".");
    for (const broken of [`${head}.${claims}.AAAA`, `${head}.e30.AAAA`, `${head}.x.y`]) {
      const response = await exchange(gateway.port, `GET /auth?token=${broken}`, [`Cookie: ${session}`]);
      expect(response.status).toBe(401);
      expect(JSON.parse(response.body.toString())).toMatchObject({ error: "invalid_token" });
    }
  });

  test.each([
    "/auth",
    "/auth?token=",
    "/auth?token=0123456789abcdef",
    "/auth?code=ABCD-2345",
    // A JWT of the application's own.
    "/auth?token=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA",
    // An OpenID Connect provider's.
    "/auth?token=eyJ0eXAiOiJhdCtqd3QifQ.e30.AAAA",
    "/auth?token=eyJhbGciOiJub25lIn0.e30.",
    "/auth?token=..",
    "/auth?token=%00.%ff.",
    "/auth?Token=eyJ0eXAiOiJydW5lZ2F0ZS1sb2dpbitqd3QifQ.e30.AAAA",
  ])("and %s is the application's", async (target) => {
    expect(await applicationGets(`GET ${target}`, session)).toEqual({ method: "GET", target, body: "" });
    expect(await applicationGets(`POST ${target}`, session)).toMatchObject({ method: "POST", target });
  });
});

describe("next", () => {
  test("may lead to the application's own login page, and does not go round in circles", async () => {
    const { cookie, token } = await askFor(gateway, "linus@example.org", { next: "/login?next=/lab" });
    const opened = await openLink(gateway, token, { ...NAVIGATION, Cookie: cookie });
    expect(opened.headers.get("location")).toBe("/login?next=/lab");
    const signedIn = cookieHeader(opened);
    expect(await applicationGets("GET /login?next=/lab", signedIn)).toMatchObject({
      target: "/login?next=/lab",
    });
    const again = await fetch(`${gateway.url}/_runegate/login?next=/login`, {
      headers: { ...NAVIGATION, Cookie: signedIn },
      redirect: "manual",
    });
    expect([again.status, again.headers.get("location")]).toEqual([302, "/login"]);
    expect(await applicationGets("GET /login", signedIn)).toMatchObject({ target: "/login" });
  });

  test("does not lead to what stays Runegate's", async () => {
    const { token } = await askFor(gateway);
    for (const next of ["/debug/session", `/auth?token=${token}`, "/_runegate/logout"]) {
      const onward = await fetch(`${gateway.url}/_runegate/login?next=${encodeURIComponent(next)}`, {
        headers: { ...NAVIGATION, Cookie: session },
        redirect: "manual",
      });
      expect([next, onward.headers.get("location")]).toEqual([next, "/"]);
    }
  });

  test("mails link to the reserved prefix, whoever has the root", async () => {
    expect(gateway.mailbox.mails()[0]?.link).toStartWith(`${gateway.url}/_runegate/auth?token=`);
  });
});

describe("applications with a page of such a name, without a setting", () => {
  /** Follows redirects as a browser with this cookie does; gives where it ends. */
  async function visit(path: string, cookie: string, at = gateway): Promise<string> {
    let where = path;
    for (let hop = 0; hop < 6; hop++) {
      const response = await exchange(at.port, `GET ${where}`, [`Cookie: ${cookie}`, "Accept: text/html"]);
      const location = response.one("location");
      if (location === undefined) return `${where} ${response.body}`;
      where = location;
    }
    throw new Error(`still redirected at ${where}`);
  }

  test("JupyterLab with its default token", async () => {
    // As Jupyter does without a token: /lab → /login?next=%2Flab, and back with its own cookie.
    upstream.on("/lab", ({ request, reply }) =>
      request.one("cookie")?.includes("username-8888=")
        ? reply(200, [], "JupyterLab")
        : reply(302, ["Location: /login?next=%2Flab"]),
    );
    upstream.on("/login", async ({ request, body, reply }) => {
      if (request.method === "GET") return reply(200, [], "Password or token");
      const right = (await body()).toString() === "password=default-token";
      return right
        ? reply(302, ["Set-Cookie: username-8888=x; Path=/", "Location: /lab"])
        : reply(401, [], "Invalid credentials");
    });
    expect(await visit("/lab", session)).toBe("/login?next=%2Flab Password or token");
    const form = ["Content-Type: application/x-www-form-urlencoded", "Content-Length: 22"];
    const fields = [`Cookie: ${session}`, `Origin: ${gateway.url}`, ...form];
    const sent = await exchange(gateway.port, "POST /login?next=%2Flab", fields, "password=default-token");
    expect([sent.status, sent.one("location")]).toEqual([302, "/lab"]);
    expect(await visit("/lab", `${session}; username-8888=x`)).toBe("/lab JupyterLab");
  });

  test("a Django with /login and /logout", async () => {
    upstream.on("/accounts", ({ reply }) => reply(302, ["Location: /login?next=/accounts"]));
    upstream.on("/logout", ({ reply }) => reply(302, ["Location: /login"]));
    expect(await visit("/accounts", session)).toBe("/login?next=/accounts Password or token");
    expect(await visit("/logout", session)).toBe("/login Password or token");
  });

  test("one with a /health that its own pages ask", async () => {
    upstream.on("/health", ({ reply }) => reply(200, [], "the application is fine"));
    expect(await visit("/health", session)).toBe("/health the application is fine");
    const monitor = await exchange(gateway.port, "GET /health", ["User-Agent: curl/8"]);
    expect(JSON.parse(monitor.body.toString())).toMatchObject({ service: "Runegate" });
  });
});

describe("RUNEGATE_ROOT_PATHS=true", () => {
  let strict: TestGateway;
  let cookie: string;
  const warnings = () => strict.lines.filter((line) => line.includes("RUNEGATE_ROOT_PATHS=auto"));

  beforeAll(async () => {
    strict = await startGateway({ target: upstream.url, env: { RUNEGATE_ROOT_PATHS: "true" } });
    cookie = await strict.signIn();
    for (const [path, location] of [
      ["/elsewhere", "https://other.example/login"],
      ["/inner", "/login/step"],
      ["/created", "/login"],
      ["/whole", "https://gate.example/login?next=/"],
      ["/again", "../health"],
      ["/none", ""],
    ] as const) {
      upstream.on(path, ({ reply }) =>
        reply(path === "/created" ? 201 : 302, location === "" ? [] : [`Location: ${location}`]),
      );
    }
  });
  afterAll(() => strict.stop());

  test.each([...ROOT_PATHS])("%s is Runegate's for everybody", async (path) => {
    expect(await applicationGets(`GET ${path}`, cookie, strict)).toBeUndefined();
    expect(await applicationGets(`GET ${path}`, undefined, strict)).toBeUndefined();
  });

  test("a redirect of the application to one of them is warned of once, with the remedy", async () => {
    const ask = (path: string) =>
      exchange(strict.port, `GET ${path}`, [`Cookie: ${cookie}`, "Host: gate.example"]);
    for (const path of ["/elsewhere", "/inner", "/created", "/none"]) await ask(path);
    expect(warnings()).toEqual([]);
    expect((await ask("/whole")).one("location")).toBe("https://gate.example/login?next=/");
    expect(warnings()).toEqual([expect.stringMatching(/WARN +proxy +.*path=\/login /)]);
    await ask("/whole");
    await ask("/again");
    expect(warnings()).toHaveLength(1);
  });

  test("by default it is no matter for a warning", async () => {
    await exchange(gateway.port, "GET /whole", [`Cookie: ${session}`]);
    expect(gateway.lines.filter((line) => line.includes("RUNEGATE_ROOT_PATHS"))).toEqual([]);
  });
});
