import { join } from "node:path";
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTHeaderParameters, SignJWT } from "jose";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";
import { CLIENT_SECRET, type ProviderSetup } from "./provider-process.ts";

/** A real provider, whose keys a test has too: it signs what a provider never would. */

export const AUDIENCE = "https://runegate.example";

export const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;

export type TestProvider = {
  readonly issuer: string;
  /** The environment of a gateway that believes it. */
  readonly env: Readonly<Record<string, string>>;
  /** A token as the provider gives one to its client of that name. */
  tokenOf(client: string, algorithm?: string): Promise<string>;
  /** A token with its key, whatever it says; `undefined` leaves a claim or a field out. */
  forge(
    claims?: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, unknown>>,
  ): Promise<string>;
  /** Public. */
  readonly rsaKey: JWK;
  stop(): Promise<void>;
  start(): Promise<void>;
};

const ADA = { email: "ada@example.org", email_verified: true };
export const CLIENTS: ProviderSetup["clients"] = {
  ada: ADA,
  root: { email: "root@example.org", email_verified: true, groups: ["staff", "admin"] },
  eve: { email: "eve@evil.example", email_verified: true },
  keycloak: { ...ADA, realm_access: { roles: ["admin"] } },
  robot: { groups: "staff admin" },
};

export async function startProvider(): Promise<TestProvider> {
  const keys = await Promise.all(
    (["RS256", "ES256", "EdDSA"] as const).map(async (algorithm) => {
      const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
      const jwk: JWK = await exportJWK(privateKey);
      return { ...jwk, kid: algorithm.toLowerCase(), use: "sig" };
    }),
  );
  const [rsa] = keys;
  if (rsa === undefined) throw new Error("no key was made");
  const port = freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const setup: ProviderSetup = { port, keys, clients: CLIENTS, audience: AUDIENCE };
  let running: RunningProcess | undefined;

  async function start(): Promise<void> {
    running = startProcess([process.execPath, join(import.meta.dir, "provider-process.ts")], {
      PROVIDER: JSON.stringify(setup),
    });
    await running.waitFor(/provider ready/, 20_000);
  }
  await start();

  return {
    issuer,
    env: { RUNEGATE_OIDC_ISSUER: issuer, RUNEGATE_OIDC_AUDIENCES: `https://other.example,${AUDIENCE}` },
    rsaKey: { kty: "RSA", n: rsa.n ?? "", e: rsa.e ?? "" },
    start,
    async stop() {
      running?.signal("SIGKILL");
      await running?.exited;
    },
    async tokenOf(client, algorithm = "RS256") {
      const response = await fetch(`${issuer}/token`, {
        method: "POST",
        headers: { Authorization: `Basic ${btoa(`${client}:${CLIENT_SECRET}`)}` },
        body: new URLSearchParams({
          grant_type: "client_credentials",
          resource: `https://algorithm.example/${algorithm}`,
        }),
      });
      const { access_token: token } = (await response.json()) as { access_token?: string };
      if (token === undefined) throw new Error(`the provider gives no token: ${response.status}`);
      return token;
    },
    async forge(claims = {}, header = {}) {
      const now = Math.floor(Date.now() / 1000);
      const whole = { iss: issuer, aud: AUDIENCE, sub: "ada", iat: now, exp: now + 60, ...ADA, ...claims };
      const head = { alg: "RS256", kid: "rs256", ...header };
      return new SignJWT(JSON.parse(JSON.stringify(whole)))
        .setProtectedHeader(JSON.parse(JSON.stringify(head)) as JWTHeaderParameters)
        .sign(await importJWK(rsa, head.alg), { crit: { x: true } });
    },
  };
}
