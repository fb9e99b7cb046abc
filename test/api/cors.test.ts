import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startProvider, type TestProvider } from "../bearer/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

/** Pages of other sites at the management API. */

setDefaultTimeout(30_000);

const OURS = "https://dashboard.example";

let provider: TestProvider;
let gateway: TestGateway;
beforeAll(async () => {
  provider = await startProvider();
  gateway = await startGateway({
    env: { ...provider.env, RUNEGATE_API_ORIGINS: `${OURS}, https://b.example` },
  });
});
afterAll(async () => {
  await gateway.stop();
  await provider.stop();
});

async function ask(method: string, headers: Record<string, string>, path = "/_runegate/api/sessions") {
  const response = await fetch(gateway.url + path, { method, headers, redirect: "manual" });
  const { status } = response;
  const cors = Object.fromEntries(
    [...response.headers].filter(([name]) => name.startsWith("access-control-") || name === "vary"),
  );
  return { status, cors };
}

const PREFLIGHT = {
  "Access-Control-Request-Method": "DELETE",
  "Access-Control-Request-Headers": "authorization",
};

describe("a page of a site that is named", () => {
  test("may ask whether it may, without a bearer, and is told without a word of cookies", async () => {
    for (const Origin of [OURS, "https://b.example"]) {
      expect(await ask("OPTIONS", { Origin, ...PREFLIGHT })).toEqual({
        status: 204,
        cors: {
          "access-control-allow-origin": Origin,
          "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
          "access-control-allow-headers": "Authorization, Content-Type",
          "access-control-expose-headers": "Retry-After, WWW-Authenticate",
          "access-control-max-age": "600",
          vary: "Origin",
        },
      });
    }
  });

  test("gets answers and failures with its bearer", async () => {
    const Authorization = `Bearer ${await provider.tokenOf("ada")}`;
    const cors = {
      "access-control-allow-origin": OURS,
      "access-control-expose-headers": "Retry-After, WWW-Authenticate",
      vary: "Origin",
    };
    expect(await ask("GET", { Origin: OURS, Authorization })).toEqual({ status: 200, cors });
    expect(await ask("DELETE", { Origin: OURS, Authorization })).toEqual({ status: 200, cors });
    expect(await ask("GET", { Origin: OURS, Authorization: "Bearer x" })).toEqual({ status: 401, cors });
    expect(await ask("GET", { Origin: OURS })).toEqual({ status: 401, cors });
  });

  test("gets nothing with cookies that a browser would show it, and changes nothing by them", async () => {
    const Cookie = await gateway.signIn();
    // A browser gives an answer to what was asked with cookies only where credentials are allowed.
    const shown = await ask("GET", { Origin: OURS, Cookie });
    expect(shown.cors).not.toHaveProperty("access-control-allow-credentials");
    for (const site of ["same-site", "cross-site"]) {
      const changed = await ask("DELETE", { Origin: OURS, Cookie, "Sec-Fetch-Site": site });
      expect(changed.status).toBe(403);
    }
    expect((await ask("GET", { Cookie })).status).toBe(200);
  });

  test("finds no other way in: not at other paths of ours, nor at the application's", async () => {
    for (const path of ["/_runegate/session", "/_runegate/login", "/_runegate/apix", "/"]) {
      expect((await ask("OPTIONS", { Origin: OURS, ...PREFLIGHT }, path)).cors).not.toHaveProperty(
        "access-control-allow-origin",
      );
    }
  });
});

describe("a page of a site that is not", () => {
  test.each([
    "https://evil.example",
    "http://dashboard.example",
    "https://dashboard.example:8443",
    "https://dashboard.example.evil.example",
    "https://x.dashboard.example",
    "https://dashboard.example/",
    "HTTPS://DASHBOARD.EXAMPLE",
    "null",
    "*",
    "",
    `${OURS}, https://b.example`,
  ])("such as %j gets no leave", async (Origin) => {
    const Authorization = `Bearer ${await provider.tokenOf("ada")}`;
    expect(await ask("OPTIONS", { Origin, ...PREFLIGHT })).toMatchObject({
      status: 405,
      cors: { vary: "Origin" },
    });
    for (const headers of [PREFLIGHT, { Authorization }]) {
      const { cors } = await ask("GET", { Origin, ...headers });
      expect(cors).toEqual({ vary: "Origin" });
    }
  });
});

test("an answer says that it is for one origin, whether or not one asked", async () => {
  expect((await ask("GET", {})).cors).toEqual({ vary: "Origin" });
  expect((await ask("OPTIONS", { Origin: OURS })).status).toBe(405);
});

test("where no site is named, there is no such leave", async () => {
  const other = await startGateway();
  try {
    const url = `${other.url}/_runegate/api/sessions`;
    const asked = await fetch(url, { method: "OPTIONS", headers: { Origin: OURS, ...PREFLIGHT } });
    expect([asked.status, asked.headers.get("vary")]).toEqual([405, null]);
  } finally {
    await other.stop();
  }
});
