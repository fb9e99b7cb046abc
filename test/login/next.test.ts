import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isBelow } from "../../src/edge/target.ts";
import { safeNext } from "../../src/login/next.ts";

const LANDING = "/landing";
const OWN = new Set([
  "/login",
  "/login.html",
  "/auth",
  "/logout",
  "/health",
  "/rate_limit_info",
  "/debug/session",
]);
const BASE = "https://gate.example.org";

const next = (input: string | undefined | null) => safeNext(input, LANDING, ({ path }) => OWN.has(path));

/** Attacks in families: every spelling is one case. */
const attacks: Readonly<Record<string, readonly string[]>> = {
  "nothing at all": ["", " ", "#", "?", "?a=b", "#/a", "."],
  "no leading slash": [
    "a",
    "a/b",
    "evil.example",
    "evil.example/a",
    "www.evil.example",
    "./a",
    "../a",
    "..//evil.example",
    "~",
    "@evil.example",
    ".evil.example",
    ":80",
    ":evil.example",
  ],
  "another host": [
    "http://evil.example",
    "https://evil.example/",
    "HTTPS://EVIL.EXAMPLE",
    "http:evil.example",
    "http:/evil.example",
    "https:///evil.example",
    "http:////evil.example",
    "http:\\\\evil.example",
    "https:evil.example/a",
    "ftp://evil.example",
    "ws://evil.example",
    "wss://evil.example",
  ],
  "another scheme": [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "javascript://%0aalert(1)",
    "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,x",
    "data:text/html;base64,PHg+",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://evil.example/x",
    "about:blank",
    "mailto:eve@evil.example",
    "tel:1",
    "intent://evil.example",
    "view-source:https://evil.example",
  ],
  "this host, said as a URL": [
    BASE,
    `${BASE}/a`,
    "https://gate.example.org.evil.example/",
    "https://gate.example.org@evil.example/",
  ],
  "two slashes": [
    "//evil.example",
    "//evil.example/a",
    "///evil.example",
    "////evil.example",
    "/////evil.example/",
    "//evil.example:443/",
    "//evil%2eexample",
    "//[::1]/",
    "//127.1",
    "//0x7f000001",
    "//",
    "///",
    "//?a",
    "//#a",
    "//\\evil.example",
    "//google.com/%2f..",
    "//evil.example/..",
    "//evil.example/%2e%2e",
    "//;@evil.example",
    "//evil。example",
  ],
  backslashes: [
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/\\\\evil.example",
    "\\evil.example",
    "/a\\b",
    "/a/..\\evil.example",
    "/a?b\\c",
    "/a#b\\c",
    "/%5c\\evil.example",
    "/.\\evil.example",
    "/..\\evil.example",
  ],
  "encoded slashes and backslashes": [
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%2f%2fevil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "/%5c%5cevil.example",
    "/%2f%5cevil.example",
    "/%5c%2fevil.example",
    "%2f%2fevil.example",
    "%2fevil.example",
    "%5cevil.example",
    "/%2f/evil.example",
    "/%2f",
    "/%5c",
  ],
  "encoded twice and more": [
    "/%252fevil.example",
    "/%252F%252Fevil.example",
    "/%255cevil.example",
    "/%25252fevil.example",
    "/%2525252fevil.example",
    "/%25%32%66evil.example",
    "/%2%66evil.example".replace("%2%66", "%25%32%66"),
    "/%25%35%63evil.example",
    "/%u2215%252fevil.example".replace("%u2215", "%25252525"),
  ],
  "encoded slashes beside bytes that are no UTF-8": [
    "/%2fevil.example/%ff",
    "/%2fevil.example/%",
    "/%2fevil.example/%zz",
    "/%5cevil.example/%c0%af",
    "/%252fevil.example/%ff",
  ],
  "dot segments that end in two slashes": [
    "/.//evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/a/../..//evil.example",
    "/./..//evil.example",
    "/%2e//evil.example",
    "/%2e%2e//evil.example",
    "/.%2e//evil.example",
    "/%2E.//evil.example",
    "/a/%2e%2e//evil.example",
    "/a/b/../..//evil.example",
    "/./" + "/evil.example",
    "/..//..//evil.example",
    "/.//",
  ],
  "tabs and line ends inside, which URL parsers drop": [
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    "\n//evil.example",
    "/\t\\evil.example",
    "/a\tb",
    "/a\nb",
    "/a\r\nSet-Cookie: x=y",
    "/a\r\n\r\n<script>",
    "ht\ttp://evil.example",
    "/a?b\nc",
    "/a#b\rc",
  ],
  "other control characters": [
    "/\0/evil.example",
    "/a\0",
    "/\x01",
    "/\x0b/evil.example",
    "/\x0c/evil.example",
    "/\x1b[2J",
    "/a\x7f",
    "/\x80",
    "/\x85/evil.example",
    "/a?\0",
    "/a#\0",
  ],
  "control characters, encoded before a second slash": [
    "/%09/evil.example",
    "/%0a/evil.example",
    "/%0d/evil.example",
    "/%0d%0a/evil.example",
    "/%00/evil.example",
    "/%20/evil.example",
    "/%09%2fevil.example",
    "/%2509/evil.example",
    "/%c2%a0/evil.example",
    "/%c2%85/evil.example",
    "/%e3%80%80/evil.example",
  ],
  "blanks before a second slash": [
    "/ /evil.example",
    "/\u00a0/evil.example",
    "/\u3000/evil.example",
    "/\u2003/evil.example",
    " //evil.example",
    "\u00a0//evil.example",
    "/\u2028/evil.example",
    "/\u2029/evil.example",
  ],
  "slashes of other scripts": [
    "/／evil.example",
    "／／evil.example",
    "/%ef%bc%8fevil.example",
    "/＼evil.example",
    "/%ef%bc%bcevil.example",
    "/\ufe68evil.example",
    "\u2215\u2215evil.example",
    "\u2044\u2044evil.example",
  ],
  "an encoded URL": [
    "/http://evil.example",
    "/https:%2f%2fevil.example",
    "/http%3a%2f%2fevil.example",
    "/javascript:/x",
    "/data:/x",
    "/%68ttp://evil.example",
    "%68ttp://evil.example",
    "/%2568ttp:%2f%2fevil.example",
  ],
  userinfo: [
    "//gate.example.org@evil.example",
    "//user:pass@evil.example/",
    "//evil.example%40gate.example.org",
    "//gate.example.org%40evil.example",
    "https://gate.example.org%2f@evil.example",
  ],
  "Runegate's own paths": [
    "/_runegate",
    "/_runegate/",
    "/_runegate/login",
    "/_runegate/logout",
    "/_runegate/auth?token=x",
    "/_runegate?x",
    "/login",
    "/login?next=/a",
    "/login.html",
    "/auth?token=x",
    "/logout",
    "/logout#a",
    "/health",
    "/debug/session",
  ],
  "own paths by detours": [
    "/a/../_runegate/login",
    "/./_runegate/logout",
    "/a/%2e%2e/login",
    "/../logout",
    "/_runegate/x/../../logout",
    "/proxy/../_runegate/logout",
  ],
  "own paths in disguise": [
    "/_RUNEGATE/login",
    "/%5frunegate/login",
    "/%5Frunegate",
    "/_runegat%65/x",
    "/%255frunegate/x",
    "/_runegate;a=b/x",
    "/_runegate%2flogin",
    "/x/..%2f_runegate/login",
    "/x;/..;/_runegate",
  ],
  "too long": [
    `/${"a".repeat(2048)}`,
    `/?${"a".repeat(4096)}`,
    `/${"漢".repeat(300)}`,
    `/?q=${"é".repeat(1000)}`,
    "/".padEnd(1 << 20, "a"),
  ],
  "not a URL": ["/\ud800/../..//x\\"],
};

const honest: ReadonlyArray<readonly [what: string, input: string, result: string]> = [
  ["the root", "/", "/"],
  ["a path", "/reports/2026", "/reports/2026"],
  ["a slash at the end", "/reports/", "/reports/"],
  ["a query", "/search?q=a&b=c", "/search?q=a&b=c"],
  ["an empty query, which says nothing", "/a?", "/a"],
  ["a fragment", "/a#part-2", "/a#part-2"],
  ["query and fragment", "/a?b=c#d", "/a?b=c#d"],
  ["a URL inside the query", "/go?to=https://other.example/", "/go?to=https://other.example/"],
  ["two slashes inside the query", "/go?to=//other.example", "/go?to=//other.example"],
  ["two slashes inside the fragment", "/#//other.example", "/#//other.example"],
  ["an encoded slash inside", "/files/a%2Fb", "/files/a%2Fb"],
  ["an encoded backslash inside", "/files/a%5Cb", "/files/a%5Cb"],
  ["two slashes inside", "/a//b", "/a//b"],
  ["an encoded percent sign", "/100%25", "/100%25"],
  ["a percent sign alone", "/100%", "/100%"],
  ["bytes that are no UTF-8", "/a%ff", "/a%ff"],
  ["letters of other scripts", "/日本語?q=é#ü", "/%E6%97%A5%E6%9C%AC%E8%AA%9E?q=%C3%A9#%C3%BC"],
  ["an emoji", "/🚪", "/%F0%9F%9A%AA"],
  ["a blank", "/a b", "/a%20b"],
  ["quotes and angle brackets", '/a"<b>', "/a%22%3Cb%3E"],
  ["dot segments, resolved", "/a/./b/../c", "/a/c"],
  ["dot segments above the root", "/../../a", "/a"],
  ["encoded dot segments, resolved", "/a/%2e%2e/b", "/b"],
  ["a colon inside a segment", "/a:b/c", "/a:b/c"],
  ["a path parameter", "/a;v=1/b", "/a;v=1/b"],
  ["an at sign", "/@ada", "/@ada"],
  ["three dots", "/...", "/..."],
  ["the application behind its prefix", "/proxy/a?b", "/proxy/a?b"],
  ["a path that begins like the reserved prefix", "/_runegatekeeper", "/_runegatekeeper"],
  ["a path that begins like an own one", "/loginhelp", "/loginhelp"],
  ["an own path in capitals, which is the application's", "/LOGIN", "/LOGIN"],
  ["something below an own path", "/login/now", "/login/now"],
  ["2048 characters", `/${"a".repeat(2047)}`, `/${"a".repeat(2047)}`],
];

describe("a next that leads elsewhere becomes the landing path", () => {
  for (const [family, inputs] of Object.entries(attacks)) {
    test.each(inputs.map((input) => [input.slice(0, 60), input]))(`${family}: %j`, (_, input) => {
      expect(next(input)).toBe(LANDING);
    });
  }

  test("none at all", () => {
    expect(next(undefined)).toBe(LANDING);
    expect(next(null)).toBe(LANDING);
  });
});

describe("a next on this host survives", () => {
  test.each(honest)("%s", (_, input, result) => {
    expect(next(input)).toBe(result);
    expect(next(result)).toBe(result);
  });
});

describe("of our own pages", () => {
  test.each([
    ["/_runegate/account", "/_runegate/account"],
    ["/_runegate/x/../account?a=b#sessions", "/_runegate/account?a=b#sessions"],
    ["/_runegate/account/", LANDING],
    ["/_runegate/account/sessions/end-others", LANDING],
    ["/_runegate/Account", LANDING],
    ["/_runegate%2faccount", LANDING],
    ["/_runegate/logout", LANDING],
    ["/_runegate/login", LANDING],
  ])("a next of %s becomes %s", (input, result) => {
    expect(next(input)).toBe(result);
  });
});

/** What holds for whatever comes out, judged by the parser that browsers use. */
function expectOnThisHost(result: string): void {
  if (result === LANDING) return;
  const url = new URL(result, BASE);
  expect(url.origin).toBe(BASE);
  expect(url.username + url.password).toBe("");
  expect(result).toBe(url.pathname + url.search + url.hash);
  expect(result).toMatch(/^\/(?![/\\])[\x21-\x7e]*$/);
  expect(isBelow(url.pathname, "/_runegate")).toBe(false);
  expect(OWN.has(url.pathname)).toBe(false);
  expect(result.length).toBeLessThanOrEqual(2048);
  // Nothing that a careless hop behind this one could decode into another host, either.
  for (let text = url.pathname, round = 0; round < 3; round++) {
    expect(text).not.toMatch(/^\/[\s\0]*[/\\]/);
    text = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
}

describe("any text as next", () => {
  const part = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom(
        "/",
        "/",
        "\\",
        "%2f",
        "%5c",
        "%252f",
        "%255C",
        ".",
        "..",
        "%2e",
        "%252e",
        ";",
        ":",
        "@",
        "?",
        "#",
        "%",
        "%0a",
        "%00",
        "%ff",
        "\t",
        "\n",
        "\r",
        "\0",
        " ",
        "\u00a0",
        "／",
        "＼",
        "。",
        "evil.example",
        "http:",
        "javascript:",
        "https://",
        "_runegate",
        "login",
        "proxy",
        "a",
      ),
    },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 3 }) },
  );
  const text = fc.array(part, { maxLength: 10 }).map((parts) => parts.join(""));

  test("stays on this host", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          text.map((one) => `/${one}`),
        ),
        (input) => expectOnThisHost(next(input)),
      ),
      { numRuns: 15_000 },
    );
  });

  test("of an honest path and query stays what it is", () => {
    const segment = fc.string({ unit: fc.constantFrom(..."abcXYZ019-_~"), minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(
        fc.array(segment, { minLength: 1, maxLength: 5 }),
        fc.webQueryParameters(),
        (path, query) => {
          const input = `/app/${path.join("/")}${query === "" ? "" : `?${query}`}`;
          expect(next(input)).toBe(input.replaceAll("'", input.includes("?") ? "%27" : "'"));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("the attacks and the honest ones do not leave either", () => {
    for (const input of [...Object.values(attacks).flat(), ...honest.map(([, one]) => one)])
      expectOnThisHost(next(input));
  });
});

test("a page for administrators, with what is searched for there, is one of ours to come back to", () => {
  for (const path of ["/_runegate/admin", "/_runegate/admin/sessions?email=ada%40example.org"])
    expect(next(path)).toBe(path);
  for (const path of [
    "/_runegate/admin/",
    "/_runegate/admin/a/b",
    "/_runegate/admin/..",
    "/_runegate/adminx",
  ])
    expect(next(path)).toBe(LANDING);
});
