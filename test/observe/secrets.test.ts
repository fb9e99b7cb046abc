import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { SESSIONS } from "../../src/session/record.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { askFor, NAVIGATION, openLink, postLogin, redeem, sessionOf } from "../login/support.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";
import { deadPort } from "../support/upstream.ts";

/** The whole login at trace level, and then a search of every line for everything that opens a door (CONTRACT section 10). */

const JWT_SECRET = "jwt-secret-jwt-secret-jwt-secret-jwt-secret-jwt-secret-jwt-secret";
const SESSION_KEY = "session-key-session-key-session-key-session-key-session-key-sess";
const APPLICATION_SECRET = "application-secret-in-a-query";

let sample: Sample;
beforeAll(() => {
  sample = startSample({ hostname: "127.0.0.1", port: 0 });
});
afterAll(() => sample.stop());

/** Goes through everything that can happen to somebody, and gives every secret that was in play. */
async function liveThroughItAll(gateway: TestGateway): Promise<string[]> {
  const secrets = [JWT_SECRET, SESSION_KEY, APPLICATION_SECRET];
  const keep = (...values: Array<string | undefined>) => {
    for (const value of values) if (value !== undefined && value.length >= 8) secrets.push(value);
  };
  const keepAsked = ({ token, code, cookie }: Awaited<ReturnType<typeof askFor>>) =>
    keep(token, ...token.split("."), code, code.replace("-", ""), cookie.slice("runegate_login=".length));
  const keepSession = (cookie: string | undefined) => keep(cookie?.slice("runegate_id=".length));

  // By the link: looked at, signed in, used again, tampered with.
  const byLink = await askFor(gateway, "ada@example.org", { next: `/whoami?token=${APPLICATION_SECRET}` });
  keepAsked(byLink);
  await openLink(gateway, byLink.token, NAVIGATION);
  await openLink(gateway, byLink.token, {}, "HEAD");
  const opened = await openLink(gateway, byLink.token, { Cookie: byLink.cookie, ...NAVIGATION });
  const session = sessionOf(opened) ?? "";
  keepSession(session);
  await openLink(gateway, byLink.token, { Cookie: byLink.cookie });
  await openLink(gateway, `${byLink.token}x`, { Cookie: byLink.cookie });
  await fetch(`${gateway.url}/_runegate/auth?x=y&token=${byLink.token}#${byLink.token}`);
  await fetch(`${gateway.url}/auth/?token=${byLink.token}`);
  await fetch(`${gateway.url}/_runegate/auth`, { method: "DELETE" });

  // By the code: wrong ones, the right one, with a session that ends by it.
  const byCode = await askFor(gateway, "bob@example.org");
  keepAsked(byCode);
  for (const code of ["2222 2222", "nonsense", byLink.code])
    await redeem(gateway, { code }, { Cookie: byCode.cookie });
  const typed = await redeem(gateway, { code: byCode.code }, { Cookie: `${byCode.cookie}; ${session}` });
  const second = sessionOf(typed) ?? "";
  keepSession(second);

  // By the button; then bodies that make errors, with secrets in them.
  const byButton = await askFor(gateway, "eve@example.org");
  keepAsked(byButton);
  const pressed = await redeem(gateway, { token: byButton.token }, NAVIGATION);
  keepSession(sessionOf(pressed));
  for (const body of [
    `{"token":"${byButton.token}"`,
    `{"${byButton.token}":1}`,
    `token=${byButton.token}&token=${byButton.token}`,
    `["${byButton.token}"]`,
  ]) {
    for (const type of ["application/json", "application/x-www-form-urlencoded", "text/plain"]) {
      await fetch(`${gateway.url}/_runegate/auth`, {
        method: "POST",
        headers: { "Content-Type": type },
        body,
      });
    }
  }
  await postLogin(gateway, { email: byButton.code });
  await postLogin(gateway, { email: "ada@example.org", next: `/auth?token=${byLink.token}` });
  await fetch(`${gateway.url}/_runegate/login?next=${encodeURIComponent(`/auth?token=${byLink.token}`)}`);

  // The application, with and without a session, with tossed cookies, from another site, and over a WebSocket.
  const query = `?access_token=${APPLICATION_SECRET}`;
  await (
    await fetch(`${gateway.url}/whoami${query}`, {
      headers: { Cookie: second, Authorization: `Bearer ${APPLICATION_SECRET}` },
    })
  ).text();
  await fetch(`${gateway.url}/whoami${query}`);
  await fetch(`${gateway.url}/whoami${query}`, { headers: NAVIGATION, redirect: "manual" });
  await fetch(`${gateway.url}/whoami${query}`, { headers: { Cookie: `${second}; ${session}` } });
  await fetch(`${gateway.url}/broken${query}`, { headers: { Cookie: second } })
    .then((response) => response.text())
    .catch(() => undefined);
  await fetch(`${gateway.url}/_runegate/logout${query}`, {
    method: "POST",
    headers: { Cookie: second, Origin: "https://evil.example" },
  });
  await socket(`${gateway.url.replace("http", "ws")}/ws/echo${query}`, second, gateway.url);
  await socket(`${gateway.url.replace("http", "ws")}/nothing${query}`, second, gateway.url);
  await socket(`${gateway.url.replace("http", "ws")}/ws/echo${query}`, second, "https://evil.example");

  // A store that fails with what it was given, and the end.
  const sessions = gateway.stores.records(SESSIONS) as { get: unknown };
  const { get } = sessions;
  sessions.get = () => {
    throw new StoreUnavailable("connection reset");
  };
  await fetch(`${gateway.url}/whoami${query}`, { headers: { Cookie: second } });
  sessions.get = () => {
    throw new TypeError("a bug");
  };
  await fetch(`${gateway.url}/whoami${query}`, { headers: { Cookie: second } });
  await fetch(`${gateway.url}/_runegate/auth?token=${byLink.token}`, {
    headers: { Cookie: `${second}; ${byLink.cookie}` },
  });
  sessions.get = get;
  const out = await fetch(`${gateway.url}/_runegate/logout`, {
    method: "POST",
    headers: { Cookie: second, ...NAVIGATION },
  });
  expect(out.status).toBe(200);
  expect(cookieHeader(out)).toBe("runegate_id=; runegate_login=; runegate_kept=; runegate_last=");
  return secrets;
}

async function socket(url: string, cookie: string, origin: string): Promise<void> {
  const one = new WebSocket(url, { headers: { Cookie: cookie, Origin: origin } } as Bun.WebSocketOptions);
  await new Promise<void>((resolve) => {
    one.onmessage = () => one.close();
    one.onopen = () => one.send(APPLICATION_SECRET);
    one.onerror = () => resolve();
    one.onclose = () => resolve();
  });
}

test("an application that cannot be reached puts no query into the log", async () => {
  const gateway = await startGateway({ target: `http://127.0.0.1:${await deadPort()}` });
  const cookie = await gateway.signIn();
  const query = `?access_token=${APPLICATION_SECRET}`;
  expect((await fetch(`${gateway.url}/a${query}`, { headers: { Cookie: cookie } })).status).toBe(502);
  await socket(`${gateway.url.replace("http", "ws")}/b${query}`, cookie, gateway.url);
  await gateway.stop();
  const log = gateway.lines.join("\n");
  expect(log).toContain("the application did not answer");
  expect(log).toContain("the application did not take the WebSocket");
  expect(log).not.toContain(APPLICATION_SECRET);
  expect(log).not.toContain("?");
});

describe.each(["console", "json"])("in the %s log of a whole login, at trace level,", (format) => {
  let gateway: TestGateway;
  let secrets: readonly string[];
  beforeAll(async () => {
    gateway = await startGateway({
      target: sample.url,
      env: {
        RUNEGATE_LOG_FORMAT: format,
        RUNEGATE_LOG: "trace",
        RUNEGATE_JWT_SECRET: JWT_SECRET,
        RUNEGATE_SESSION_KEY: SESSION_KEY,
      },
    });
    secrets = await liveThroughItAll(gateway);
  });
  afterAll(() => gateway.stop());

  test("something was said of every step", () => {
    const log = gateway.lines.join("\n");
    expect(secrets.length).toBeGreaterThan(25);
    expect(gateway.lines.length).toBeGreaterThan(60);
    for (const step of [
      "login_requested",
      "redeemed",
      "wrong_code",
      "token_wrong_signature",
      "spent",
      "logged_out",
      "cross_site",
      "/ws/echo",
      "the store cannot be reached",
      "a request failed",
      "two cookies of one name",
      "mail sent",
    ]) {
      expect(log).toContain(step);
    }
  });

  test("there is no token, code, cookie or secret", () => {
    const log = gateway.lines.join("\n");
    for (const secret of secrets) {
      // Named in the failure by its beginning only: this text ends up in a log too.
      const where = log.indexOf(secret);
      expect({
        secret: secret.slice(0, 6),
        line: where === -1 ? "" : log.slice(Math.max(0, where - 150), where),
      }).toEqual({ secret: secret.slice(0, 6), line: "" });
    }
  });

  test("there is no query, and no sign of one", () => {
    const log = gateway.lines.join("\n");
    for (const sign of ["token=", "code=", "runegate_id=", "runegate_login=", "Bearer", "?"]) {
      expect(gateway.lines.filter((line) => line.includes(sign))).toEqual([]);
    }
    expect(log).not.toMatch(/\beyJ[\w-]{10,}/);
  });
});

describe("a token in a path", () => {
  test.each(["/auth%3Ftoken=", "/auth;token=", "/_runegate/auth%3ftoken=", "/_runegate/auth/", "/x/"])(
    "%s… does not reach the log",
    async (path) => {
      const gateway = await startGateway();
      const link = gateway.gateway.login.mintLink("ada@example.org" as never, "/");
      const token = new URL(link).searchParams.get("token") ?? "";
      await fetch(gateway.url + path + token, { redirect: "manual" });
      expect(gateway.lines.some((line) => line.includes("***"))).toBe(true);
      for (const part of token.split(".")) expect(gateway.lines.join("\n")).not.toContain(part);
      await gateway.stop();
    },
  );
});
