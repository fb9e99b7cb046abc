import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWTHeaderParameters, SignJWT } from "jose";
import { NAVIGATION } from "../login/support.ts";
import { cookieHeader, type TestGateway } from "../support/gateway.ts";

/** A provider that does what no real one can be brought to do. The real ones are in `real.system.test.ts`. */

type Claims = Readonly<Record<string, unknown>>;

export const CLIENT_ID = "runegate";
export const CLIENT_SECRET = "not so secret: it's 100 % a test's";

export type StandIn = {
  readonly issuer: string;
  /** What tests change: what it says of itself, of whoever signs in, and in place of its answers. */
  metadata: Claims;
  /** Of the next ID tokens, besides what belongs to the flow; `undefined` leaves one out. */
  claims: Claims;
  userInfo: Claims;
  /** In place of the ID token of the next answers. */
  token: (claims: Claims) => Promise<string>;
  /** By path, in place of what it would answer. */
  readonly answers: Map<string, () => Response>;
  /** Paths in order. */
  readonly asked: string[];
  /** What a browser comes back with that was sent there, after its user has signed in. */
  authorize(location: string, more?: Readonly<Record<string, string | undefined>>): string;
  sign(claims: Claims, header?: Claims): Promise<string>;
  logoutToken(claims?: Claims, header?: Claims): Promise<string>;
  /** Its block of a `routes.toml`. */
  block(name: string, more?: string): string;
  stop(): void;
};

const newKey = () => generateKeyPair("RS256", { extractable: true });
/** Two, made once: of those that run at a time, each has its own. */
const keys = await Promise.all([newKey(), newKey()]);
let started = 0;

export async function startStandIn(): Promise<StandIn> {
  const { privateKey, publicKey } = keys[started++ % keys.length] ?? (await newKey());
  const jwk = { ...(await exportJWK(publicKey)), kid: "one", use: "sig", alg: "RS256" };
  const folder = mkdtempSync(join(tmpdir(), "runegate-oidc-"));
  const secret = join(folder, "secret");
  writeFileSync(secret, `${CLIENT_SECRET}\n`, { mode: 0o600 });
  /** Sent once, for what was asked with. */
  const codes = new Map<string, URLSearchParams>();

  async function tokenAnswer(request: Request): Promise<Response> {
    const fields = new URLSearchParams(await request.text());
    const asked = codes.get(fields.get("code") ?? "");
    codes.delete(fields.get("code") ?? "");
    const challenge = new Bun.CryptoHasher("sha256")
      .update(fields.get("code_verifier") ?? "")
      .digest("base64url");
    const isGood =
      asked !== undefined &&
      asked.get("code_challenge_method") === "S256" &&
      asked.get("code_challenge") === challenge &&
      asked.get("redirect_uri") === fields.get("redirect_uri") &&
      fields.get("client_id") === CLIENT_ID &&
      fields.get("client_secret") === CLIENT_SECRET;
    if (!isGood) return Response.json({ error: "invalid_grant" }, { status: 400 });
    const id_token = await self.token({ nonce: asked.get("nonce"), ...self.claims });
    return Response.json({ access_token: "access", token_type: "Bearer", id_token });
  }

  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname } = new URL(request.url);
      self.asked.push(pathname);
      const instead = self.answers.get(pathname);
      if (instead !== undefined) return instead();
      if (pathname === "/.well-known/openid-configuration") return Response.json(self.metadata);
      if (pathname === "/keys") return Response.json({ keys: [jwk] });
      if (pathname === "/token") return tokenAnswer(request);
      if (pathname === "/userinfo") return Response.json({ sub: "user-1", ...self.userInfo });
      return new Response("", { status: 404 });
    },
  });
  const issuer = `http://127.0.0.1:${server.port}`;

  const sign = async (claims: Claims, header: Claims = {}) =>
    new SignJWT(JSON.parse(JSON.stringify(claims)))
      .setProtectedHeader(
        JSON.parse(JSON.stringify({ alg: "RS256", kid: "one", ...header })) as JWTHeaderParameters,
      )
      .sign(privateKey);
  const seconds = () => Math.floor(Date.now() / 1000);

  const self: StandIn = {
    issuer,
    metadata: {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/keys`,
      userinfo_endpoint: `${issuer}/userinfo`,
      response_types_supported: ["code"],
      token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
      id_token_signing_alg_values_supported: ["RS256", "HS256", "none"],
      authorization_response_iss_parameter_supported: true,
    },
    claims: { email: "ada@example.org", email_verified: true },
    userInfo: {},
    token: (claims) =>
      sign({ iss: issuer, aud: CLIENT_ID, sub: "user-1", iat: seconds(), exp: seconds() + 60, ...claims }),
    answers: new Map(),
    asked: [],
    authorize(location, more = {}) {
      const { searchParams } = new URL(location);
      const code = crypto.randomUUID();
      codes.set(code, searchParams);
      const back = new URL(searchParams.get("redirect_uri") ?? "");
      const answer = { code, state: searchParams.get("state") ?? "", iss: issuer, ...more };
      for (const [name, value] of Object.entries(answer))
        if (value !== undefined) back.searchParams.set(name, value);
      return back.href;
    },
    sign,
    logoutToken: (claims = {}, header = {}) =>
      sign(
        {
          iss: issuer,
          aud: CLIENT_ID,
          iat: seconds(),
          exp: seconds() + 60,
          jti: crypto.randomUUID(),
          events: { "http://schemas.openid.net/event/backchannel-logout": {} },
          sub: "user-1",
          ...claims,
        },
        { typ: "logout+jwt", ...header },
      ),
    block: (name, more = "") =>
      `[[providers]]\nname = "${name}"\nissuer = "${issuer}"\nclient_id = "${CLIENT_ID}"\nclient_secret_file = "${secret}"\n${more}\n`,
    stop() {
      void server.stop(true);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return self;
}

/** Sent to the provider: where to, and the cookie that was set. */
export async function setOut(
  gateway: Pick<TestGateway, "url">,
  name: string,
  next = "",
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly response: Response; readonly location: string; readonly cookie: string }> {
  const query = next === "" ? "" : `?next=${encodeURIComponent(next)}`;
  const response = await fetch(`${gateway.url}/_runegate/oidc/${name}${query}`, {
    redirect: "manual",
    headers: { ...NAVIGATION, ...headers },
  });
  return { response, location: response.headers.get("location") ?? "", cookie: cookieHeader(response) };
}

export function comeBack(
  gateway: Pick<TestGateway, "url">,
  callback: string,
  cookie: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(callback.replace(/^https?:\/\/[^/]+/, gateway.url), {
    redirect: "manual",
    headers: { ...NAVIGATION, "Sec-Fetch-Site": "cross-site", Cookie: cookie, ...headers },
  });
}

export function sendLogout(
  gateway: Pick<TestGateway, "url">,
  name: string,
  token: string,
): Promise<Response> {
  return fetch(`${gateway.url}/_runegate/oidc/${name}/backchannel-logout`, {
    method: "POST",
    body: new URLSearchParams({ logout_token: token }),
  });
}
