import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { exchange } from "../support/raw.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** A gateway with two applications that are told by token, and one that is not. */

export const HOME = "https://app.example.org";
export const GRAFANA = "https://grafana.example.org";

export type House = {
  readonly gateway: TestGateway;
  readonly upstream: Upstream;
  /** The header with the token that an application received of a request, all of them. */
  tokensTo(site: string, path: string, fields?: readonly string[]): Promise<string[]>;
  /** The one token of an ordinary request. */
  tokenTo(site: string, path: string, cookie: string): Promise<string>;
  jwks(host?: string, path?: string): Promise<JSONWebKeySet>;
  stop(): Promise<void>;
};

export async function startHouse(
  settings: Omit<TestGatewaySettings, "routes" | "target"> & { readonly groups?: string } = {},
): Promise<House> {
  const upstream = await startUpstream();
  const { groups = '[groups]\nstaff = ["ada@example.org"]', env, ...rest } = settings;
  const gateway = await startGateway({
    ...rest,
    env: { RUNEGATE_BASE_URL: HOME, ...env },
    routes: `
      ${groups}

      [[routes]]
      name = "grafana"
      host = "grafana.example.org"
      target = "${upstream.url}"
      identity = "both"
      identity_names = { user = "X-Login-Name" }
      public_paths = ["/open"]

      [[routes]]
      name = "lab"
      path = "/lab"
      target = "${upstream.url}"
      identity = "jwt"

      [[routes]]
      name = "named"
      path = "/named"
      target = "${upstream.url}"
      identity = "jwt"
      audience = "the-named-one"

      [[routes]]
      name = "plain"
      path = "/plain"
      target = "${upstream.url}"
    `,
  });

  const house: House = {
    gateway,
    upstream,
    async tokensTo(site, path, fields = []) {
      const { status } = await exchange(gateway.port, `GET ${path}`, [
        `Host: ${new URL(site).host}`,
        ...fields,
      ]);
      if (status !== 200) throw new Error(`${site}${path}: ${status}`);
      const received = upstream.to(path).at(-1)?.fields ?? [];
      return received.flatMap(([name, value]) => (/^x.runegate.jwt$/i.test(name) ? [value] : []));
    },
    async tokenTo(site, path, cookie) {
      const [token, ...more] = await house.tokensTo(site, path, [`Cookie: ${cookie}`]);
      if (token === undefined || more.length > 0) throw new Error(`${more.length} tokens, or none`);
      return token;
    },
    async jwks(host = "app.example.org", path = "/_runegate/jwks.json") {
      const response = await fetch(gateway.url + path, { headers: { Host: host } });
      if (!response.ok) throw new Error(`${path} of ${host}: ${response.status}`);
      return (await response.json()) as JSONWebKeySet;
    },
    async stop() {
      await gateway.stop();
      upstream.stop();
    },
  };
  return house;
}

/** As an application does it that has read the guide. */
export async function verify(
  token: string,
  jwks: JSONWebKeySet,
  audience: string,
  now: number,
  algorithms = ["ES256"],
): Promise<JWTPayload> {
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    algorithms,
    audience,
    issuer: HOME,
    clockTolerance: 30,
    requiredClaims: ["sub", "exp"],
    currentDate: new Date(now),
  });
  return payload;
}
