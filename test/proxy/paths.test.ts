import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Pair, startPair } from "./support.ts";

/** Path and query reach the application in the one normal form that access was decided on (CONTRACT sections 1 and 7). */

let pair: Pair;

beforeAll(async () => {
  pair = await startPair();
});

afterAll(() => pair.stop());

/** The target the application received, or the status it was refused with. */
async function targetFor(target: string): Promise<string | number> {
  const before = pair.upstream.requests.length;
  const { status } = await pair.ask(`GET ${target}`);
  const received = pair.upstream.requests.slice(before);
  if (status !== 200) {
    expect(received).toEqual([]);
    return status;
  }
  expect(received).toHaveLength(1);
  return received[0]?.target ?? "";
}

describe("paths arrive as sent", () => {
  test.each([
    "/",
    "/a/b/c",
    "/a//b/",
    "/a%2fb%2F%5c",
    "/%00/%0a/%zz/%",
    "/%c3%a9%e2%82%ac/%E9",
    "/a;b=c;d/e,f",
    "/a:b@c/!$&'()*+,;=",
    "/~user/[x]/a|b",
    "/caf%e9",
    "/proxyfoo",
    "/proxy@host/x",
    "/%70roxy/a",
    "/PROXY/a",
    "/login/",
    "/LOGIN",
    "/%6cogin",
    `/${"x".repeat(8000)}`,
  ])("%s", async (target) => {
    expect(await targetFor(target)).toBe(target);
  });
});

describe("queries arrive as sent", () => {
  test.each([
    "/?",
    "/a?",
    "/?a=1&a=2&&b",
    "/?q=%00%0d%0a%zz%",
    "/?next=//evil/../x/./y",
    "/?a=b+c%20d;e",
    "/?{}|\\^`[]",
    "/?a?b?c",
    "/?_runegate=/_runegate/",
    `/?${"x".repeat(8000)}`,
  ])("%s", async (target) => {
    expect(await targetFor(target)).toBe(target);
  });
});

describe("what has several spellings arrives in one", () => {
  test.each([
    // `fetch` sends one slash at the start, however many there are.
    ["//a//b/", "/a//b/"],
    ["/a/../b", "/b"],
    ["/a/./b", "/a/b"],
    ["/a/%2e%2E/b", "/b"],
    ["/../../x", "/x"],
    ["/a\\b", "/a/b"],
    ["/caf\xc3\xa9", "/caf%C3%A9"],
    ["/{a}", "/%7Ba%7D"],
    ["/?q=caf\xc3\xa9", "/?q=caf%C3%A9"],
    ["/?\"<>'", "/?%22%3C%3E%27"],
    ["http://app.example.org/absolute?q", "/absolute?q"],
    ["/a#fragment", "/a"],
    ["/?a#fragment", "/?a"],
  ])("%s as %s", async (sent, received) => {
    expect(await targetFor(sent)).toBe(received);
  });
});

describe("/proxy reaches the application with the prefix removed", () => {
  test.each([
    ["/proxy", "/"],
    ["/proxy/", "/"],
    ["/proxy?q", "/?q"],
    ["/proxy/a?b", "/a?b"],
    ["/proxy/login", "/login"],
    ["/proxy/health?x", "/health?x"],
    ["/proxy//host/x", "/host/x"],
    ["/proxy/proxy/a", "/proxy/a"],
    ["/proxy/../a", "/a"],
    ["/proxy/./a", "/a"],
    ["/a/../proxy/b", "/b"],
  ])("%s as %s", async (sent, received) => {
    expect(await targetFor(sent)).toBe(received);
  });
});

describe("the reserved prefix never reaches the application", () => {
  test.each(["/_runegate", "/_runegate/"])("%s leads on to the landing path", async (target) => {
    expect(await targetFor(target)).toBe(302);
  });

  test.each([
    "/_runegate/nothing",
    "/_runegate/../_runegate/nothing",
    "/_RUNEGATE/x",
    "/_Runegate",
    "/%5frunegate/x",
    "/%5Frunegate",
    "/_%72unegate/x",
    "/%255frunegate/x",
    "/%25255frunegate/x",
    "//_runegate/x",
    "///_runegate",
    "/_runegate;a=b/x",
    "/;/_runegate/x",
    "/a/..;/_runegate/x",
    "/a/..%2f_runegate/x",
    "/a%2f..%2f_runegate/x",
    "/a/%2e%2e%2f_runegate/x",
    "/.%2f_runegate/x",
    "/%2f_runegate/x",
    "/%5c_runegate/x",
    "/\\_runegate/x",
    "/_runegate%2fx",
    "/_runegate%5cx",
    "/_runegate%00/x",
    "/_runegate%20/x",
    "/%c1%9frunegate/x",
    "/%u005frunegate/x",
    "/proxy/_runegate",
    "/proxy/_runegate/health",
    "/proxy/%5frunegate/x",
    "/proxy//_runegate/x",
    "/proxy/a/..%2f_runegate/x",
  ])("%s is a 404", async (target) => {
    expect(await targetFor(target)).toBe(404);
  });

  test.each(["/_runegatex", "/_runegate.css", "/x/_runegate", "/runegate/", "/proxy%2f_runegate/x"])(
    "%s is the application's",
    async (target) => {
      expect(await targetFor(target)).toBe(target);
    },
  );
});

describe("RUNEGATE_ROOT_PATHS=false", () => {
  test("gives the paths at the root to the application", async () => {
    const bare = await startPair({ env: { RUNEGATE_ROOT_PATHS: "false" } });
    for (const path of [
      "/login",
      "/auth?token=x",
      "/logout",
      "/health",
      "/rate_limit_info",
      "/debug/session",
    ]) {
      const response = await bare.ask(`GET ${path}`);
      expect(JSON.parse(response.body.toString())).toMatchObject({ target: path });
    }
    await bare.stop();
  });
});
