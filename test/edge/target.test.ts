import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isBelow, type Place, parseTarget, placeOf, withoutPrefix } from "../../src/edge/target.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { dial, exchange, type RawResponse, readResponse, requestHead } from "../support/raw.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

describe("whose path it is", () => {
  test.each<[what: string, path: string, place: Place]>([
    ["the prefix", "/_runegate", "own"],
    ["the prefix with a slash", "/_runegate/", "own"],
    ["below the prefix", "/_runegate/login", "own"],
    ["two slashes below it", "/_runegate//login", "own"],
    ["an encoded letter below it", "/_runegate/%6cogin", "own"],
    ["the root", "/", "application"],
    ["an ordinary path", "/a/b", "application"],
    ["a path that begins like the prefix", "/_runegatex", "application"],
    ["the prefix further down", "/a/_runegate", "application"],
    ["two slashes before another path", "//a", "application"],
    ["path parameters", "/a;b=c/d", "application"],
    ["an encoded slash", "/a%2fb", "application"],
    ["capitals", "/_RUNEGATE", "disguised"],
    ["one capital", "/_Runegate/login", "disguised"],
    ["an encoded underscore", "/%5frunegate/login", "disguised"],
    ["the same in capitals", "/%5FRUNEGATE", "disguised"],
    ["an encoded letter", "/_runeg%61te", "disguised"],
    ["every letter encoded", "/%5f%72%75%6e%65%67%61%74%65/x", "disguised"],
    ["encoded twice", "/%255frunegate", "disguised"],
    ["encoded four times", "/%2525255frunegate", "disguised"],
    ["an encoded slash after it", "/_runegate%2flogin", "disguised"],
    ["an encoded slash before it", "/%2f_runegate", "disguised"],
    ["an encoded backslash after it", "/_runegate%5clogin", "disguised"],
    ["two slashes before it", "//_runegate/login", "disguised"],
    ["many slashes before it", "////_runegate", "disguised"],
    ["a path parameter on it", "/_runegate;a=b/login", "disguised"],
    ["an empty path parameter", "/_runegate;/login", "disguised"],
    ["an encoded semicolon", "/_runegate%3bx/login", "disguised"],
    ["encoded dot segments before it", "/a/..%2f_runegate", "disguised"],
    ["dot segments with a path parameter", "/a/..;/_runegate", "disguised"],
    ["one dot with a path parameter", "/.;/_runegate", "disguised"],
    ["doubly encoded dot segments", "/a/%252e%252e/_runegate", "disguised"],
    ["overlong UTF-8 for the slash", "/a/..%c0%af_runegate", "disguised"],
    ["overlong UTF-8 for the underscore", "/%c1%9frunegate", "disguised"],
    ["overlong UTF-8 of three bytes", "/a/..%e0%80%af_runegate", "disguised"],
    ["IIS's %u escapes", "/%u005frunegate", "disguised"],
    ["an encoded NUL after it", "/_runegate%00/login", "disguised"],
    ["an encoded tab inside", "/_rune%09gate", "disguised"],
    ["an encoded blank after it", "/_runegate%20/login", "disguised"],
  ])("%s", (_, path, place) => {
    expect(placeOf(path)).toBe(place);
  });

  test("any spelling that any number of decodings turns into the prefix is not the application's", () => {
    const encode = (text: string, how: readonly number[]) =>
      [...text]
        .map((char, index) => {
          const hex = char.charCodeAt(0).toString(16).padStart(2, "0");
          return [char, `%${hex}`, `%25${hex}`, char.toUpperCase(), `%${hex.toUpperCase()}`, `%2525${hex}`][
            how[index % how.length] ?? 0
          ];
        })
        .join("");
    fc.assert(
      fc.property(
        fc.constantFrom("", "/", "/;", "/a/..;x", "/.;", "/a/%252e%252e"),
        fc.array(fc.nat(5), { minLength: 1, maxLength: 12 }),
        fc.constantFrom("", "/", "/login", "%2f", ";x", "%00", "%20", "//"),
        (before, how, after) => {
          expect(placeOf(`${before}/${encode("_runegate", how)}${after}`)).not.toBe("application");
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

describe("a prefix ends at a segment", () => {
  test.each([
    ["/proxy", true, "/"],
    ["/proxy/", true, "/"],
    ["/proxy/a", true, "/a"],
    ["/proxy//host", true, "//host"],
    ["/proxyfoo", false, ""],
    ["/proxy@host", false, ""],
    ["/proxy:80", false, ""],
    ["/proxy.evil", false, ""],
    ["/proxy;x", false, ""],
    ["/proxy%2fa", false, ""],
    ["/PROXY", false, ""],
    ["/", false, ""],
  ])("%s", (path, below, rest) => {
    expect(isBelow(path, "/proxy")).toBe(below);
    if (below) expect(withoutPrefix(path, "/proxy")).toBe(rest);
  });
});

describe("the target of a URL", () => {
  test.each([
    ["path alone", "http://a/b", { path: "/b", search: "" }],
    ["path and query", "http://a/b?c=d", { path: "/b", search: "?c=d" }],
    ["an empty query", "http://a/b?", { path: "/b", search: "?" }],
    ["a fragment, cut off", "http://a/b#c", { path: "/b", search: "" }],
    ["a question mark in a fragment", "http://a/b#c?d", { path: "/b", search: "" }],
    ["a fragment after a query", "http://a/b?c#d", { path: "/b", search: "?c" }],
    ["an IPv6 host", "http://[::1]:80/b", { path: "/b", search: "" }],
    ["no host", "/b", undefined],
    ["an authority", "a:443", undefined],
    ["no path", "http://a", undefined],
  ])("%s", (_, url, target) => {
    expect(parseTarget(url)).toEqual(target);
  });
});

describe("over raw sockets", () => {
  let upstream: Upstream;
  let gateway: TestGateway;
  let cookie: string;

  beforeAll(async () => {
    upstream = await startUpstream();
    gateway = await startGateway({ target: upstream.url });
    cookie = `Cookie: ${await gateway.signIn()}`;
  });
  afterAll(async () => {
    await gateway.stop();
    upstream.stop();
  });

  const received = (response: RawResponse): string | undefined =>
    response.status === 200 ? (JSON.parse(response.body.toString()) as { target: string }).target : undefined;

  describe("the application receives", () => {
    test.each([
      ["a path and query as they are", "/a/b?c=d&e", "/a/b?c=d&e"],
      ["a path below /proxy without it", "/proxy/a?b", "/a?b"],
      ["/proxy alone as the root", "/proxy?a", "/?a"],
      ["/proxy/ as the root", "/proxy/", "/"],
      ["/proxyfoo as it is", "/proxyfoo", "/proxyfoo"],
      ["/proxy@host as it is", "/proxy@evil.example/", "/proxy@evil.example/"],
      ["/proxy:port as it is", "/proxy:80/", "/proxy:80/"],
      [
        "two slashes after /proxy as one (`fetch` folds them), on the same target",
        "/proxy//evil.example/x",
        "/evil.example/x",
      ],
      [
        "two slashes at the start as one (`fetch` folds them), on the same target",
        "//evil.example/x",
        "/evil.example/x",
      ],
      ["an at sign first, on the same target", "/@evil.example/", "/@evil.example/"],
      ["only the first /proxy removed", "/proxy/proxy/a", "/proxy/a"],
      ["dot segments resolved", "/a/../b/./c", "/b/c"],
      ["encoded dot segments resolved", "/a/%2e%2e/b", "/b"],
      ["an encoded slash as it is", "/a%2Fb", "/a%2Fb"],
      ["a fragment cut off", "/a#b?c", "/a"],
      ["backslashes as slashes", "/a\\b", "/a/b"],
      ["raw UTF-8 encoded", "/caf\xc3\xa9?\xc3\xa9", "/caf%C3%A9?%C3%A9"],
      ["an absolute-form target as its path", "http://evil.example/a?b", "/a?b"],
      ["an absolute-form target without a path as the root", "http://evil.example", "/"],
      ["a path that begins like the reserved prefix", "/_runegatekeeper", "/_runegatekeeper"],
    ])("%s", async (_, sent, expected) => {
      expect(received(await exchange(gateway.port, `GET ${sent}`, [cookie]))).toBe(expected);
    });
  });

  describe("the application never sees", () => {
    const before = () => upstream.requests.length;
    test.each([
      ["the prefix", "/_runegate/nothing", 404],
      ["the prefix in an absolute-form target", "http://evil.example/_runegate/nothing", 404],
      ["the prefix after dot segments", "/a/../_runegate/nothing", 404],
      ["the prefix after encoded dot segments", "/a/%2e%2e/_runegate/nothing", 404],
      ["the prefix after backslashes", "/\\_runegate\\nothing", 404],
      ["the prefix in capitals", "/_RUNEGATE/login", 404],
      ["the prefix encoded", "/%5frunegate/login", 404],
      ["the prefix behind /proxy", "/proxy/_runegate/login", 404],
      ["the prefix behind /proxy, encoded", "/proxy/%5frunegate/login", 404],
      ["the prefix behind /proxy and two slashes", "/proxy//_runegate/login", 404],
      ["the prefix behind /proxy and dot segments", "/proxy/a/..;/_runegate", 404],
      ["the prefix behind an encoded slash", "/x/..%2f_runegate", 404],
      ["an unknown static file", "/_runegate/static/..%2f..%2fpackage.json", 404],
    ])("%s", async (_, sent, status) => {
      const seen = before();
      expect((await exchange(gateway.port, `GET ${sent}`, [cookie])).status).toBe(status);
      expect(upstream.requests.length).toBe(seen);
    });
  });

  describe("400 for a Host that is", () => {
    test.each<[what: string, fields: readonly string[]]>([
      ["empty", ["Host:"]],
      ["sent twice", ["Host: a", "Host: a"]],
      ["sent twice, differently", ["Host: a", "Host: b"]],
      ["a list", ["Host: a,b"]],
      ["with a path", ["Host: a/b"]],
      ["with userinfo", ["Host: evil@a"]],
      ["with a blank", ["Host: a b"]],
      ["with a query", ["Host: a?b"]],
      ["with a fragment", ["Host: a#b"]],
      ["with a backslash", ["Host: a\\b"]],
      ["percent-encoded", ["Host: a%2fb"]],
      ["with a quote", ['Host: a"b']],
      ["with an angle bracket", ["Host: <b>"]],
      ["half a bracket", ["Host: [::1"]],
      ["a bracket with nothing an address", ["Host: [:::]"]],
      ["a bracket with IPv4", ["Host: [1.2.3.4]"]],
      ["an IPv6 zone", ["Host: [fe80::1%25eth0]"]],
      ["a port that is none", ["Host: a:x"]],
      ["a port too high", ["Host: a:65536"]],
      ["an IPv4 address that is none", ["Host: 1.2.3.400"]],
      ["a name that ends in a number", ["Host: a.1"]],
      ["a broken punycode label", ["Host: xn--zzzzzzz99999"]],
      ["too long", [`Host: ${"a".repeat(254)}`]],
      ["not ASCII", ["Host: \xe9"]],
    ])("%s", async (_, fields) => {
      const seen = upstream.requests.length;
      for (const path of ["/", "/_runegate/health", "/a/../_runegate/health", "/x/%2e%2e/_runegate/login"]) {
        expect((await exchange(gateway.port, `GET ${path}`, [...fields, cookie])).status).toBe(400);
      }
      expect(upstream.requests.length).toBe(seen);
    });

    test("missing", async () => {
      for (const version of ["1.1", "1.0"]) {
        const wire = await dial(gateway.port);
        await wire.write(`GET /_runegate/health HTTP/${version}\r\n\r\n`);
        expect((await readResponse(wire)).status).toBe(400);
        wire.destroy();
      }
    });
  });

  test.each([
    ["a name", "Host: app.example.org"],
    ["a name with a port", "Host: app.example.org:8443"],
    ["capitals", "Host: APP.Example.org"],
    ["an underscore, as Docker names have", "Host: my_app"],
    ["a dot at its end", "Host: app.example.org."],
    ["an IPv4 address", "Host: 192.0.2.7:80"],
    ["an IPv6 address", "Host: [2001:db8::1]:80"],
    ["punycode", "Host: xn--bcher-kva.example"],
  ])("a Host that is %s is served", async (_, field) => {
    expect((await exchange(gateway.port, "GET /_runegate/health", [field])).status).toBe(200);
  });

  test("a target that is no path is refused by the server itself", async () => {
    for (const target of ["*", "a", "?a/b", "https:/_runegate/x"]) {
      const wire = await dial(gateway.port);
      await wire.write(requestHead(`GET ${target}`, [cookie]));
      expect((await readResponse(wire)).status).toBe(400);
      wire.destroy();
    }
  });
});
