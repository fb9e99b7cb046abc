import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { startProvider, type TestProvider } from "./support.ts";

/**
 * The contract of rusty-valkey-forward-auth, as one of its users knows it: an address, a token of their OpenID provider, and no
 * word of sessions or of where a request comes from.
 */

setDefaultTimeout(30_000);

let provider: TestProvider;
let upstream: Upstream;
let gateway: TestGateway;
/** Tokens of the provider. */
let ada: string;
let root: string;

const PAGE = "https://tokens.example";

beforeAll(async () => {
  provider = await startProvider();
  upstream = await startUpstream();
  gateway = await startGateway({
    env: {
      ...provider.env,
      RUNEGATE_API_KEYS: "true",
      RUNEGATE_TOKEN_ROOT_PATHS: "true",
      RUNEGATE_API_ORIGINS: PAGE,
    },
    routes: `[[routes]]\nname = "lab"\ntarget = "${upstream.url}"\napi_keys = true\n`,
  });
  [ada, root] = [await provider.tokenOf("ada"), await provider.tokenOf("root")];
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
  await provider.stop();
});

type Sent = { readonly token?: string; readonly body?: unknown; readonly headers?: Record<string, string> };

async function call(method: string, path: string, { token, body, headers = {} }: Sent = {}) {
  const response = await fetch(gateway.url + path, {
    method,
    redirect: "manual",
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const type = response.headers.get("content-type") ?? "";
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: type.includes("json") ? JSON.parse(text) : undefined,
  };
}

type Made = { token: string; id: string; sub: string; description: string | null; created_at: string };

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/) as string;

describe.each([
  ["/api/me/tokens", "ada@example.org", () => ada],
  ["/api/users/bob@example.org/tokens", "bob@example.org", () => root],
  ["/api/users/carol%40example.org/tokens", "carol@example.org", () => root],
])("%s", (path, sub, tokenOf) => {
  const as = (sent: Sent = {}) => ({ token: tokenOf(), ...sent });

  test("begins empty; POST 201, GET 200, DELETE 204, all in its shapes", async () => {
    expect((await call("GET", path, as())).body).toEqual([]);
    const made = await call("POST", path, as({ body: { description: " nightly  " } }));
    expect([made.status, made.headers.get("cache-control")]).toEqual([201, "no-store"]);
    const { token, id } = made.body as Made;
    expect(made.body).toMatchObject({ token, id, sub, description: "nightly", created_at: TIME });
    const listed = await call("GET", path, as());
    expect(listed.status).toBe(200);
    expect(listed.body).toMatchObject([{ id, description: "nightly", created_at: TIME }]);
    expect(listed.text).not.toContain(token);
    const ended = await call("DELETE", `${path}/${encodeURIComponent(id)}`, as());
    expect([ended.status, ended.text]).toEqual([204, ""]);
    expect((await call("GET", path, as())).body).toEqual([]);
  });

  test.each([{}, { description: null }, { description: "" }])(
    "takes %j, which describes nothing",
    async (body) => {
      const made = await call("POST", path, as({ body }));
      expect([made.status, made.body]).toMatchObject([201, { description: null }]);
      await call("DELETE", `${path}/${(made.body as Made).id}`, as());
    },
  );

  test.each<[string, Sent, number, string | undefined]>([
    [
      "a description of 257 characters",
      { body: { description: "x".repeat(257) } },
      400,
      "description exceeds 256 characters",
    ],
    ["a description that is no text", { body: { description: 7 } }, 400, undefined],
    ["no JSON", { body: "{" }, 400, undefined],
    [
      "no JSON by its type",
      { body: "description=x", headers: { "Content-Type": "text/plain" } },
      415,
      undefined,
    ],
    ["no token", { token: "", body: {} }, 401, undefined],
    ["somebody's invention", { token: "eyJhbGciOiJub25lIn0.e30.", body: {} }, 401, undefined],
  ])("refuses %s, with a message", async (_, sent, status, message = expect.any(String) as string) => {
    const answer = await call("POST", path, as(sent));
    expect([answer.status, answer.body]).toMatchObject([status, { message }]);
    if (status === 401) expect(answer.headers.get("www-authenticate")).toStartWith("Bearer");
  });

  test("knows no token of that id: 404", async () => {
    for (const id of ["0123456789ab", "x", "a".repeat(64)]) {
      const answer = await call("DELETE", `${path}/${id}`, as());
      expect([answer.status, answer.body]).toMatchObject([404, { message: "token not found" }]);
    }
  });
});

test("what is an administrator's is nobody else's", async () => {
  const made = (await call("POST", "/api/me/tokens", { token: ada, body: {} })).body as Made;
  for (const [method, path] of [
    ["GET", "/api/users/bob@example.org/tokens"],
    ["POST", "/api/users/ada@example.org/tokens"],
    ["DELETE", `/api/users/ada@example.org/tokens/${made.id}`],
  ] as const) {
    const answer = await call(method, path, { token: ada, ...(method === "POST" ? { body: {} } : {}) });
    expect([answer.status, answer.body]).toMatchObject([403, { message: "admin privileges required" }]);
  }
  const wrong = await call("DELETE", `/api/users/bob@example.org/tokens/${made.id}`, { token: root });
  expect([wrong.status, wrong.body]).toMatchObject([404, { message: "token not found" }]);
  expect((await call("DELETE", `/api/users/ada@example.org/tokens/${made.id}`, { token: root })).status).toBe(
    204,
  );
});

describe("/forward-auth", () => {
  const basic = (text: string) => ({ Authorization: `Basic ${btoa(text)}` });
  let made: Made;
  beforeAll(async () => {
    made = (await call("POST", "/api/me/tokens", { token: ada, body: {} })).body as Made;
  });

  test.each<[string, (token: string) => Record<string, string>]>([
    ["a bearer", (token) => ({ Authorization: `Bearer ${token}` })],
    ["a bearer in small letters", (token) => ({ Authorization: `bearer ${token}` })],
    ["a password", (token) => basic(`anybody:${token}`)],
    ["a user's name", (token) => basic(`${token}:`)],
    ["all that is there", (token) => basic(token)],
  ])("takes one as %s: 204, and says whose", async (_, headersOf) => {
    const { status, text, headers } = await call("GET", "/forward-auth", { headers: headersOf(made.token) });
    expect([status, text]).toEqual([204, ""]);
    expect([headers.get("x-authenticated-user"), headers.get("x-authenticated-token-id")]).toEqual([
      made.sub,
      made.id,
    ]);
  });

  test.each<[string, Record<string, string>, string]>([
    ["nothing", {}, "missing token"],
    ["an empty bearer", { Authorization: "Bearer " }, "missing token"],
    ["another scheme", { Authorization: "Digest x" }, "missing token"],
    ["one of somebody else's", { Authorization: "Bearer abcdefghijklmnopqrstuvwxyz012345" }, "invalid token"],
    ["a password that is none", basic("anybody:secret"), "invalid token"],
    ["one that looks like ours", { Authorization: "Bearer rg_0123456789ab_x" }, "invalid token"],
  ])("refuses %s: 401 %s", async (_, headers, message) => {
    const answer = await call("GET", "/forward-auth", { headers });
    expect([answer.status, answer.body]).toMatchObject([401, { message }]);
  });

  test("refuses the provider's own tokens, and one that was ended", async () => {
    const answer = await call("GET", "/forward-auth", { token: ada });
    expect([answer.status, answer.body]).toMatchObject([401, { message: "invalid token" }]);
    await call("DELETE", `/api/me/tokens/${made.id}`, { token: ada });
    const ended = await call("GET", "/forward-auth", { token: made.token });
    expect([ended.status, ended.body]).toMatchObject([401, { message: "invalid token" }]);
  });
});

describe("its other pages", () => {
  test("health, for whoever asks", async () => {
    for (const [path, status] of [
      ["/health/live", "ok"],
      ["/health/ready", "ready"],
    ] as const) {
      expect([path, (await call("GET", path)).body]).toEqual([path, { status }]);
    }
  });

  test("what its own page is told", async () => {
    const { status, body } = await call("GET", "/frontend/config");
    expect([status, body]).toEqual([
      200,
      {
        app_name: expect.any(String),
        api_base_url: gateway.url,
        oidc_authority: provider.issuer,
        oidc_client_id: null,
        oidc_redirect_uri: null,
        docs_html: null,
        api_docs_path: "/docs",
      },
    ]);
  });

  test("the documentation, for whoever has a token", async () => {
    const { status, headers } = await call("GET", "/docs", { token: ada });
    expect([status, headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  });

  test("CORS, for the page that it had on another origin", async () => {
    const asked = await call("OPTIONS", "/api/me/tokens", {
      headers: { Origin: PAGE, "Access-Control-Request-Method": "POST" },
    });
    const allowed = ["origin", "methods", "headers"].map((one) =>
      asked.headers.get(`access-control-allow-${one}`),
    );
    expect([asked.status, ...allowed]).toEqual([
      204,
      PAGE,
      expect.stringContaining("DELETE"),
      "Authorization, Content-Type",
    ]);
    const listed = await call("GET", "/api/me/tokens", { token: ada, headers: { Origin: PAGE } });
    expect([listed.status, listed.headers.get("access-control-allow-origin")]).toEqual([200, PAGE]);
  });
});

/** As somebody keeps it in a crontab: a token for a night, used at the edge and by the application itself, and ended. */
const SCRIPT = `
set -eu
api() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer $ACCESS_TOKEN" -H "Content-Type: application/json" "$@"; }
field() { sed -n "s/.*\\"$1\\":\\"\\([^\\"]*\\)\\".*/\\1/p"; }
curl --silent --fail "$RVFA/health/ready" >/dev/null
made=$(api -X POST -d '{"description":"for tonight"}' "$RVFA/api/me/tokens")
token=$(printf %s "$made" | field token)
id=$(printf %s "$made" | field id)
code() { curl --silent --output /dev/null --write-out '%{http_code} ' "$@"; }
code -H "Authorization: Bearer $token" "$RVFA/forward-auth"
code -u "me:$token" "$RVFA/forward-auth"
code -H "Authorization: Bearer $token" "$RVFA/reports"
api "$RVFA/api/me/tokens" | grep -c '"for tonight"' | tr '\\n' ' '
code -X DELETE -H "Authorization: Bearer $ACCESS_TOKEN" "$RVFA/api/me/tokens/$id"
code -H "Authorization: Bearer $token" "$RVFA/forward-auth"
`;

describe.skipIf(needs("curl") === undefined)("a script that was written for it", () => {
  test("works unchanged", async () => {
    const script = Bun.spawn(["sh", "-c", SCRIPT], {
      env: { PATH: process.env.PATH, RVFA: gateway.url, ACCESS_TOKEN: ada },
      stdout: "pipe",
      stderr: "pipe",
    });
    const said = await Promise.all([script.stdout.text(), script.stderr.text(), script.exited]);
    expect(said).toEqual(["204 204 200 1 204 401 ", "", 0]);
    expect(upstream.to("/reports").at(-1)?.one("x-authenticated-user")).toBe("ada@example.org");
  });
});
