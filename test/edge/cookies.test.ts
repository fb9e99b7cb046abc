import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createCookieReader, setCookieLine, setCookieName } from "../../src/edge/cookies.ts";
import { createLoginCookie } from "../../src/login/cookie.ts";

const loginCookie = createLoginCookie(false);
const readCookies = createCookieReader([
  { name: "runegate_id", accepts: (value) => value !== "none of ours" },
  loginCookie,
]);

/** As the rooms of these two cookies read them. */
function read(header: string | null) {
  const cookies = readCookies(header);
  const { ambiguous, rest } = cookies;
  return { sessions: cookies.valuesOf("runegate_id"), login: loginCookie.read({ cookies }), ambiguous, rest };
}
type Read = Partial<ReturnType<typeof read>>;

const none = { sessions: [], login: undefined, ambiguous: false, rest: undefined };

describe("of a Cookie header is read", () => {
  test.each<[what: string, header: string | null, read: Read]>([
    ["no header", null, {}],
    ["an empty header", "", {}],
    ["blanks", "  ", {}],
    ["semicolons only", ";;;", { rest: ";;;" }],
    ["the session cookie alone", "runegate_id=v", { sessions: ["v"] }],
    ["the login cookie alone", "runegate_login=v", { login: "v" }],
    ["both", "runegate_id=a; runegate_login=b", { sessions: ["a"], login: "b" }],
    ["ours first", "runegate_id=v; a=b", { sessions: ["v"], rest: "a=b" }],
    ["ours last", "a=b; runegate_id=v", { sessions: ["v"], rest: "a=b" }],
    ["ours in the middle", "a=b; runegate_id=v; c=d", { sessions: ["v"], rest: "a=b; c=d" }],
    ["without blanks", "a=b;runegate_id=v;c=d", { sessions: ["v"], rest: "a=b;c=d" }],
    [
      "odd blanks of the others, kept",
      "a = b ;  c=d;runegate_id=v;\te=f ",
      { sessions: ["v"], rest: "a = b ;  c=d;\te=f " },
    ],
    ["blanks around our name and value", " runegate_id = v ; a=b", { sessions: ["v"], rest: "a=b" }],
    ["an equals sign in the value", "runegate_id=a=b", { sessions: ["a=b"] }],
    ["an empty value", "runegate_id=", { sessions: [""] }],
    ["our name without a value, which is nobody's", "runegate_id; a=b", { rest: "a=b" }],
    ["a quoted value, as it is", 'runegate_id="v"', { sessions: ['"v"'] }],
    ["a name in capitals, which is another", "RUNEGATE_ID=v", { rest: "RUNEGATE_ID=v" }],
    ["a name that begins like ours", "runegate_id2=v", { rest: "runegate_id2=v" }],
    ["a name that ends like ours", "xrunegate_id=v", { rest: "xrunegate_id=v" }],
    ["a prefixed name, which is another", "__Host-runegate_id=v", { rest: "__Host-runegate_id=v" }],
    ["our name inside another's value", "a=runegate_id=v", { rest: "a=runegate_id=v" }],
    ["our name in a nameless cookie", "=runegate_id=v", { rest: "=runegate_id=v" }],
    ["a comma, which separates nothing", "a=b, runegate_id=v", { rest: "a=b, runegate_id=v" }],
    ["a cookie without a name", "token; runegate_id=v", { sessions: ["v"], rest: "token" }],
    ["JSON in another's value", 'a={"b":"c"}; runegate_id=v', { sessions: ["v"], rest: 'a={"b":"c"}' }],
    ["broken percent signs", "a=%; b=%zz; runegate_id=v", { sessions: ["v"], rest: "a=%; b=%zz" }],
    ["bytes above ASCII", "a=\xe9\xff; runegate_id=v", { sessions: ["v"], rest: "a=\xe9\xff" }],
    [
      "the others' order and duplicates, kept",
      "b=2; a=1; b=2; runegate_id=v; b=3",
      { sessions: ["v"], rest: "b=2; a=1; b=2; b=3" },
    ],
    ["an empty pair, kept", "a=b;; c=d", { rest: "a=b;; c=d" }],
  ])("%s", (_, header, expected) => {
    expect(read(header)).toEqual({ ...none, ...expected });
  });
});

describe("tossed cookies", () => {
  test.each<[what: string, header: string, read: Read]>([
    ["two of one value are one", "runegate_id=a; runegate_id=a", { sessions: ["a"] }],
    [
      "two values: both are looked up",
      "runegate_id=a; runegate_id=b",
      { sessions: ["a", "b"], ambiguous: true },
    ],
    ["the other order", "runegate_id=b; runegate_id=a", { sessions: ["b", "a"], ambiguous: true }],
    [
      "three, the first again last",
      "runegate_id=a; runegate_id=b; runegate_id=a",
      { sessions: ["a", "b"], ambiguous: true },
    ],
    ["what is none of ours is not looked at", "runegate_id=none of ours; runegate_id=a", { sessions: ["a"] }],
    ["an empty one beside", "runegate_id=a; runegate_id=", { sessions: ["a", ""], ambiguous: true }],
    [
      "the login cookie: neither, and the session stands",
      "runegate_login=a; runegate_id=s; runegate_login=b",
      { sessions: ["s"], ambiguous: true },
    ],
    ["other people's cookies may repeat", "a=1; a=2; runegate_id=s", { sessions: ["s"], rest: "a=1; a=2" }],
  ])("%s", (_, header, expected) => {
    expect(read(header)).toEqual({ ...none, ...expected });
  });

  test("of a thousand the last eight are looked at, and none reaches the application", () => {
    const header = Array.from({ length: 1000 }, (_, index) => `runegate_id=${index}`).join("; ");
    expect(read(`${header}; theme=dark`)).toEqual({
      ...none,
      sessions: ["992", "993", "994", "995", "996", "997", "998", "999"],
      ambiguous: true,
      rest: "theme=dark",
    });
  });

  test("what is none of ours, or comes again, is none of the eight", () => {
    const chaff = Array.from({ length: 100 }, () => "runegate_id=none of ours; runegate_id=b").join("; ");
    expect(read(`runegate_id=a; ${chaff}`).sessions).toEqual(["a", "b"]);
  });
});

test("whatever else is in the header reaches the application byte for byte", () => {
  const pair = fc
    .tuple(
      fc.string({ unit: fc.constantFrom(...'abc_-. ="%{}\xe9'), maxLength: 8 }),
      fc.string({ unit: "grapheme-ascii", maxLength: 8 }),
    )
    .map(([name, value]) => `${name}=${value}`.replaceAll(";", ","))
    .filter((text) => !/^\s*runegate_(?:id|login)\s*=/.test(text) && text === text.trimStart());
  const header = fc.array(fc.oneof(pair, fc.constantFrom("runegate_id=v", "runegate_login=w")), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(header, (pairs) => {
      const others = pairs.filter((one) => one !== "runegate_id=v" && one !== "runegate_login=w");
      const { rest, sessions, login } = read(pairs.join("; "));
      expect(rest).toBe(others.length === 0 ? undefined : others.join("; "));
      expect(sessions).toEqual(pairs.includes("runegate_id=v") ? ["v"] : []);
      expect(login).toBe(pairs.includes("runegate_login=w") ? "w" : undefined);
    }),
    { numRuns: 2_000 },
  );
});

test("any text is read without an error", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), (header) => {
      expect(read(header).ambiguous).toBe(false);
    }),
    { numRuns: 5_000 },
  );
});

describe("the name that a Set-Cookie line sets", () => {
  test.each([
    ["a=b", "a"],
    [" a = b; Path=/", "a"],
    ["a=b=c", "a"],
    ["a", ""],
    ["=a", ""],
    ["; a=b", ""],
    ["runegate_id=x; Domain=example.org", "runegate_id"],
    ["\trunegate_id\t=x", "runegate_id"],
  ])("%j", (line, name) => {
    expect(setCookieName(line)).toBe(name);
  });
});

describe("a Set-Cookie line of ours", () => {
  test.each([
    [
      "plain",
      { maxAgeSeconds: 60, secure: false, domain: undefined },
      "n=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60",
    ],
    [
      "secure",
      { maxAgeSeconds: 60, secure: true, domain: undefined },
      "n=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure",
    ],
    [
      "for a domain",
      { maxAgeSeconds: 0, secure: true, domain: "example.org" },
      "n=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure; Domain=example.org",
    ],
  ])("%s", (_, attributes, line) => {
    expect(setCookieLine("n", "v", attributes)).toBe(line);
  });
});
