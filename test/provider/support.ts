import { expect } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseClients } from "../../src/config/clients.ts";
import { loadOptions } from "../../src/config/load.ts";
import { parseRoutes } from "../../src/config/routes.ts";
import { createJar, type Jar, PHONE, TV } from "../approval/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { testMachine } from "../support/surroundings.ts";

/** An application that signs people in with Runegate, and a browser between the two. */

export const ADA = "ada@example.org";
export const CALLBACK = "https://app.example.org/callback";
export const AFTER = "https://app.example.org/bye";
export const SECRET = "a secret+of: the application's/50%";

const folder = mkdtempSync(join(tmpdir(), "runegate-clients-"));
export function secretFile(secret = SECRET, mode = 0o600): string {
  const path = join(folder, `${Bun.hash(secret)}-${mode.toString(8)}`);
  writeFileSync(path, `${secret}\n`, { mode });
  return path;
}

/** A block of `clients.toml`. */
export function clientBlock(id = "app", more = "", secret: string | false = SECRET): string {
  return `[[clients]]
id = "${id}"
${secret === false ? "" : `secret_file = "${secretFile(secret)}"`}
redirect_uris = ["${CALLBACK}", "https://app.example.org/other?x=1"]
post_logout_redirect_uris = ["${AFTER}"]
${/^allow/m.test(more) ? "" : 'allow = ["anyone"]'}
${more}
`;
}

export type House = {
  readonly gateway: TestGateway;
  readonly clock: TestClock;
  readonly browser: Jar;
  readonly issuer: string;
};

export async function startProvider(
  settings: TestGatewaySettings & { readonly clientsToml?: string } = {},
): Promise<House> {
  const clock = testClock(Date.parse("2026-03-01T12:00:00Z"));
  const { clientsToml = clientBlock(), ...others } = settings;
  using machine = testMachine();
  const options = loadOptions({ env: { RUNEGATE_ALLOW_ANY_EMAIL: "true" } }, machine).options;
  const routes =
    others.routes === undefined ? undefined : parseRoutes(others.routes, "routes.toml", options).file;
  const { clients } = parseClients(clientsToml, "clients.toml", routes);
  const gateway = await startGateway({
    clock,
    clients,
    ...others,
    env: { RUNEGATE_LOG_FORMAT: "json", ...others.env },
  });
  const browser = createJar(gateway, { ip: "192.0.2.7", userAgent: TV });
  return { gateway, clock, browser, issuer: gateway.url };
}

/** A browser in which somebody is signed in. */
export async function browserOf({ gateway }: Pick<House, "gateway">, email = ADA): Promise<Jar> {
  return createJar(gateway, { ip: "198.51.100.20", userAgent: PHONE, session: await gateway.signIn(email) });
}

export const VERIFIER = "a-verifier-of-at-least-forty-three-characters-of-these";
export const challengeOf = (verifier: string) =>
  new Bun.CryptoHasher("sha256").update(verifier).digest("base64url");

export type Sent = Readonly<Record<string, string | undefined>>;

export function authorizePath(sent: Sent = {}): string {
  const all = {
    ...{
      client_id: "app",
      redirect_uri: CALLBACK,
      response_type: "code",
      scope: "openid email profile groups",
    },
    ...{ state: "the state", nonce: "the nonce", code_challenge: challengeOf(VERIFIER) },
    ...{ code_challenge_method: "S256", ...sent },
  };
  const given = Object.entries(all).filter((one): one is [string, string] => one[1] !== undefined);
  return `/_runegate/oidc/authorize?${new URLSearchParams(given)}`;
}

/** The parameters that an answer takes back to the application. */
export function answerIn(response: Response, to = CALLBACK): URLSearchParams {
  const location = response.headers.get("location") ?? "";
  expect([response.status, location.split("?")[0]]).toEqual([302, to]);
  return new URL(location).searchParams;
}

/** Of a page's text, as a browser reads it. */
export const unescaped = (html: string) =>
  html.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));

export async function codeFor(browser: Jar, sent: Sent = {}): Promise<string> {
  const answer = answerIn(await browser.get(authorizePath(sent)));
  expect(Object.fromEntries(answer)).toMatchObject({ code: expect.any(String) });
  return answer.get("code") ?? "";
}

/** As clients send their id and secret (RFC 6749 §2.3.1). */
export function basic(id = "app", secret = SECRET): Record<string, string> {
  const encode = (text: string) => encodeURIComponent(text).replaceAll("%20", "+");
  return { Authorization: `Basic ${btoa(`${encode(id)}:${encode(secret)}`)}` };
}

export type Answer = {
  readonly status: number;
  readonly body: Record<string, string>;
  readonly headers: Headers;
};

export async function post(
  { issuer }: Pick<House, "issuer">,
  name: string,
  sent: Sent,
  headers: Record<string, string> = basic(),
): Promise<Answer> {
  const given = Object.entries(sent).filter((one): one is [string, string] => one[1] !== undefined);
  const response = await fetch(`${issuer}/_runegate/oidc/${name}`, {
    method: "POST",
    headers: { "X-Forwarded-For": "203.0.113.9", ...headers },
    body: new URLSearchParams(given),
  });
  const text = await response.text();
  return { status: response.status, body: JSON.parse(text), headers: response.headers };
}

export const redeem = (house: House, code: string, sent: Sent = {}, headers?: Record<string, string>) =>
  post(
    house,
    "token",
    { grant_type: "authorization_code", code, redirect_uri: CALLBACK, code_verifier: VERIFIER, ...sent },
    headers,
  );

export const refresh = (
  house: House,
  token: string | undefined,
  sent: Sent = {},
  headers?: Record<string, string>,
) => post(house, "token", { grant_type: "refresh_token", refresh_token: token, ...sent }, headers);

/** From the sign-in to tokens. */
export async function tokensFor(
  house: House,
  browser: Jar,
  sent: Sent = {},
): Promise<Record<string, string>> {
  const { status, body } = await redeem(house, await codeFor(browser, sent), {
    redirect_uri: sent.redirect_uri ?? CALLBACK,
  });
  expect([status, body.error]).toEqual([200, undefined]);
  return body;
}

export async function userinfo({ issuer }: House, token: string | undefined): Promise<Answer> {
  const response = await fetch(`${issuer}/_runegate/oidc/userinfo`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  return { status: response.status, body: JSON.parse(await response.text()), headers: response.headers };
}

export async function isActive(house: House, token: string | undefined): Promise<unknown> {
  return (await post(house, "introspect", { token })).body.active;
}
