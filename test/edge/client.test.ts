import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Client, createClientReader } from "../../src/edge/client.ts";
import { networks } from "../../src/net/endpoint.ts";
import { type LimitKeys, limitKeysOf, parseIp } from "../../src/net/ip.ts";

const trusted = networks("127.0.0.0/8,::1,10.0.0.0/8,2001:db8:ed9e::/48");
const read = createClientReader(trusted, "tcp");
const readOnUnix = createClientReader(trusted, "unix");
const EDGE = "127.0.0.1";
const STRANGER = "203.0.113.9";

function clientOf(peer: string | undefined, fields: Readonly<Record<string, string>> = {}) {
  // A peer without an address is a unix socket's.
  return (peer === undefined ? readOnUnix : read)(
    new Headers({ Host: "app.example.org", ...fields }).toJSON(),
    peer,
  );
}

/** All but the doubt that a header may raise. */
function believed(client: Client | undefined): Partial<Client> | undefined {
  return client && { ...client, ipIsCertain: undefined as never };
}

describe("the client is", () => {
  test.each<[what: string, peer: string | undefined, forwardedFor: string | undefined, ip: string]>([
    ["the peer, without the header", EDGE, undefined, "127.0.0.1"],
    ["the peer, with an empty one", EDGE, "", "127.0.0.1"],
    ["an untrusted peer, whatever it says", STRANGER, "198.51.100.1", STRANGER],
    ["an untrusted peer that claims to be the edge", STRANGER, "127.0.0.1", STRANGER],
    ["the address a trusted edge names", EDGE, "198.51.100.1", "198.51.100.1"],
    ["the rightmost of several", EDGE, "1.1.1.1, 198.51.100.1", "198.51.100.1"],
    ["the rightmost that is not trusted", EDGE, "1.1.1.1, 198.51.100.1, 10.0.0.2, 10.0.0.3", "198.51.100.1"],
    ["the leftmost trusted one, when all are", EDGE, "10.0.0.9, 10.0.0.2", "10.0.0.9"],
    ["an IPv4 address with a port", EDGE, "198.51.100.1:54321", "198.51.100.1"],
    ["an IPv6 address", EDGE, "2001:db8::5", "2001:db8::5"],
    [
      "an IPv6 address in full, in short form",
      EDGE,
      "2001:0DB8:0000:0000:0000:0000:0000:0005",
      "2001:db8::5",
    ],
    ["an IPv6 address in brackets", EDGE, "[2001:db8::5]", "2001:db8::5"],
    ["an IPv6 address in brackets with a port", EDGE, "[2001:db8::5]:443", "2001:db8::5"],
    ["a v4-mapped IPv6 address, as IPv4", EDGE, "::ffff:198.51.100.1", "198.51.100.1"],
    ["the same in hexadecimal", EDGE, "::ffff:c633:6401", "198.51.100.1"],
    ["a v4-mapped peer, as IPv4", "::ffff:203.0.113.9", undefined, STRANGER],
    ["told by a v4-mapped edge", "::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"],
    ["told by an IPv6 edge", "::1", "198.51.100.1", "198.51.100.1"],
    ["told by an edge in a trusted IPv6 network", "2001:db8:ed9e::7", "198.51.100.1", "198.51.100.1"],
    ["an untrusted IPv6 peer beside that network", "2001:db8:ed9f::7", "198.51.100.1", "2001:db8:ed9f::7"],
    ["told on a unix socket", undefined, "198.51.100.1", "198.51.100.1"],
    ["unknown on a unix socket that says nothing", undefined, undefined, "unix"],
    ["with blanks and tabs around", EDGE, " 1.1.1.1 ,\t198.51.100.1 ", "198.51.100.1"],
    ["the peer, if the last hop is garbage", EDGE, "198.51.100.1, garbage", "127.0.0.1"],
    ["the peer, if the last hop is empty", EDGE, "198.51.100.1,", "127.0.0.1"],
    ["the last good hop before an empty one", EDGE, "1.1.1.1,, 10.0.0.2", "10.0.0.2"],
    ["the last good hop before garbage", EDGE, "1.1.1.1, x, 10.0.0.2", "10.0.0.2"],
    ["the peer, for `unknown` (RFC 7239 §6.2)", EDGE, "unknown", "127.0.0.1"],
    ["the peer, for an obfuscated name", EDGE, "_hidden", "127.0.0.1"],
    ["the peer, for a zone id", EDGE, "fe80::1%eth0", "127.0.0.1"],
    ["the peer, for a bracketed zone id", EDGE, "[fe80::1%25eth0]:1", "127.0.0.1"],
    ["the peer, for octal digits", EDGE, "0177.0.0.1", "127.0.0.1"],
    ["the peer, for a shortened address", EDGE, "127.1", "127.0.0.1"],
    ["the peer, for a number", EDGE, "2130706433", "127.0.0.1"],
    ["the peer, for hexadecimal", EDGE, "0x7f.0.0.1", "127.0.0.1"],
    ["the peer, for 256", EDGE, "256.1.1.1", "127.0.0.1"],
    ["the peer, for a network", EDGE, "198.51.100.0/24", "127.0.0.1"],
    ["the peer, for a quoted address", EDGE, '"198.51.100.1"', "127.0.0.1"],
    ["the peer, for RFC 7239's syntax", EDGE, "for=198.51.100.1", "127.0.0.1"],
    ["the peer, for a half bracket", EDGE, "[2001:db8::5", "127.0.0.1"],
    ["the peer, for IPv4 in brackets with junk", EDGE, "[198.51.100.1]x", "127.0.0.1"],
    ["the peer, for a port without an address", EDGE, ":80", "127.0.0.1"],
    ["the peer, for a line feed's remains", EDGE, "198.51.100.1 1.1.1.1", "127.0.0.1"],
  ])("%s", (_, peer, forwardedFor, ip) => {
    expect(clientOf(peer, forwardedFor === undefined ? {} : { "X-Forwarded-For": forwardedFor })?.ip).toBe(
      ip,
    );
  });

  test("found in duplicates of the header as in one list", () => {
    const headers = new Headers({ Host: "a" });
    headers.append("X-Forwarded-For", "1.1.1.1");
    headers.append("X-Forwarded-For", "198.51.100.1, 10.0.0.2");
    expect(read(headers.toJSON(), EDGE)?.ip).toBe("198.51.100.1");
  });
});

describe("headers nobody is believed about", () => {
  const spellings = [
    "Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Forwarded",
    "X-Original-For",
    "X_Forwarded_For",
    "X-Forwarded_For",
    "X-Originating-IP",
    "X-Cluster-Client-IP",
    "Client-IP",
    "Via",
  ];
  test.each(spellings)("%s", (name) => {
    for (const peer of [EDGE, STRANGER, undefined]) {
      for (const value of ["for=198.51.100.1;proto=https;host=evil.example", "198.51.100.1"]) {
        expect(believed(clientOf(peer, { [name]: value }))).toEqual(believed(clientOf(peer)));
      }
    }
  });
});

describe("an untrusted peer moves nothing", () => {
  const alone = believed(clientOf(STRANGER));

  test.each([
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
  ])("%s", (name) => {
    for (const value of ["198.51.100.1", "https", "evil.example", "127.0.0.1", "", ",", "https, https"]) {
      expect(believed(clientOf(STRANGER, { [name]: value }))).toEqual(alone);
    }
  });

  test("with any value in any of them", () => {
    const value = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), fc.string({ unit: "grapheme-ascii" }));
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        const fields = { "X-Forwarded-For": a, "X-Forwarded-Proto": b, "X-Forwarded-Host": c };
        expect(believed(clientOf(STRANGER, fields))).toEqual(alone);
      }),
    );
  });
});

describe("the address is certain", () => {
  test.each<[what: string, peer: string | undefined, fields: Record<string, string>, certain: boolean]>([
    ["without any header", EDGE, {}, true],
    ["of a stranger", STRANGER, {}, true],
    ["on a unix socket", undefined, {}, true],
    ["as a trusted edge names it", EDGE, { "X-Forwarded-For": "198.51.100.1, 10.0.0.2" }, true],
    ["where something unread lies behind it", EDGE, { "X-Forwarded-For": "x, 198.51.100.1" }, true],
    ["not of a stranger who passes something on", STRANGER, { "X-Forwarded-For": "198.51.100.1" }, false],
    ["not with an unreadable hop", EDGE, { "X-Forwarded-For": "198.51.100.1, x" }, false],
    ["not with an unreadable hop before a trusted one", EDGE, { "X-Forwarded-For": "x, 10.0.0.2" }, false],
    ["not with an empty one", EDGE, { "X-Forwarded-For": "" }, false],
    ["not with Forwarded", EDGE, { Forwarded: "for=198.51.100.1" }, false],
    ["not with Via", EDGE, { Via: "1.1 edge", "X-Forwarded-For": "198.51.100.1" }, false],
    ["not with X-Real-IP", EDGE, { "X-Real-IP": "198.51.100.1" }, false],
    ["not with X-Real-IP of a stranger", STRANGER, { "X-Real-IP": "198.51.100.1" }, false],
  ])("%s", (_, peer, fields, certain) => {
    expect(clientOf(peer, fields)?.ipIsCertain).toBe(certain);
  });
});

describe("how the browser came, as a trusted edge says", () => {
  test.each<[what: string, fields: Record<string, string>, proto: string, host: string]>([
    ["nothing", {}, "http", "app.example.org"],
    ["https", { "X-Forwarded-Proto": "https" }, "https", "app.example.org"],
    ["HTTPS", { "X-Forwarded-Proto": "HTTPS" }, "https", "app.example.org"],
    ["wss, of a WebSocket", { "X-Forwarded-Proto": "wss" }, "https", "app.example.org"],
    ["WSS", { "X-Forwarded-Proto": "WSS" }, "https", "app.example.org"],
    ["ws", { "X-Forwarded-Proto": "ws" }, "http", "app.example.org"],
    ["the nearest of a list", { "X-Forwarded-Proto": "https, http" }, "http", "app.example.org"],
    ["a scheme that is neither", { "X-Forwarded-Proto": "javascript" }, "http", "app.example.org"],
    ["another host", { "X-Forwarded-Host": "www.example.org" }, "http", "www.example.org"],
    [
      "the nearest host of a list",
      { "X-Forwarded-Host": "evil.example, www.example.org:8443" },
      "http",
      "www.example.org:8443",
    ],
    ["a host with userinfo", { "X-Forwarded-Host": "evil@example.org" }, "http", "app.example.org"],
    ["a host with a path", { "X-Forwarded-Host": "evil.example/a" }, "http", "app.example.org"],
    ["a host with a quote", { "X-Forwarded-Host": 'evil"example' }, "http", "app.example.org"],
    ["an empty host", { "X-Forwarded-Host": "" }, "http", "app.example.org"],
    ["a host that no URL may have", { "X-Forwarded-Host": "1.2.3.400" }, "http", "app.example.org"],
  ])("%s", (_, fields, proto, host) => {
    expect(clientOf(EDGE, fields)).toMatchObject({ proto, host });
  });
});

describe("what the application is told of the way", () => {
  test.each([
    ["the peer alone", EDGE, undefined, "127.0.0.1"],
    ["what the edge said, and the edge", EDGE, "198.51.100.1", "198.51.100.1, 127.0.0.1"],
    ["nothing of what a stranger said", STRANGER, "198.51.100.1", STRANGER],
  ])("%s", (_, peer, forwardedFor, told) => {
    expect(
      clientOf(peer, forwardedFor === undefined ? {} : { "X-Forwarded-For": forwardedFor })?.forwardedFor,
    ).toBe(told);
  });
});

test("addresses beyond those that are remembered are read alike, and again when they come back", () => {
  const ips = Array.from({ length: 1500 }, (_, i) => `198.51.${i >> 8}.${i & 255}`);
  for (const ip of [...ips, ...ips]) {
    expect(clientOf(EDGE, { "X-Forwarded-For": `1.1.1.1, ${ip}, 10.0.0.2` })?.ip).toBe(ip);
    expect(clientOf(ip, { "X-Forwarded-For": "1.1.1.1" })?.ip).toBe(ip);
    expect(clientOf(EDGE, { Host: `${ip}:81`, "X-Forwarded-Host": `${ip}:82` })?.host).toBe(`${ip}:82`);
  }
});

describe("limits are counted on", () => {
  test.each<[what: string, ip: string, keys: LimitKeys]>([
    ["an IPv4 address", "198.51.100.1", ["198.51.100.1"]],
    ["the same, v4-mapped", "::ffff:198.51.100.1", ["198.51.100.1"]],
    [
      "an IPv6 address's /64, /56 and /48",
      "2001:db8:1:234:3:4:5:6",
      ["2001:db8:1:234::/64", "2001:db8:1:200::/56", "2001:db8:1::/48"],
    ],
    [
      "the same for another of the /64",
      "2001:db8:1:234:ffff::1",
      ["2001:db8:1:234::/64", "2001:db8:1:200::/56", "2001:db8:1::/48"],
    ],
    [
      "the same wider ones for another /64 of the /56",
      "2001:db8:1:2ff::1",
      ["2001:db8:1:2ff::/64", "2001:db8:1:200::/56", "2001:db8:1::/48"],
    ],
    [
      "the same widest one for another /56 of the /48",
      "2001:db8:1:300::1",
      ["2001:db8:1:300::/64", "2001:db8:1:300::/56", "2001:db8:1::/48"],
    ],
    ["the loopback", "::1", ["::/64", "::/56", "::/48"]],
    ["whoever has no address", "unix", ["unix"]],
  ])("%s", (_, ip, keys) => {
    expect(limitKeysOf(parseIp(ip)?.text ?? ip)).toEqual(keys);
  });
});

test("a peer on TCP that is gone before it was asked for its address is nobody", () => {
  // It would otherwise be taken for a caller on a unix socket, and be believed.
  expect(
    read(new Headers({ Host: "a", "X-Forwarded-For": "198.51.100.1" }).toJSON(), undefined),
  ).toBeUndefined();
});

test("an empty list trusts nobody, not even loopback", () => {
  const trustless = createClientReader([], "tcp");
  const headers = new Headers({ Host: "a", "X-Forwarded-For": "198.51.100.1" });
  expect(trustless(headers.toJSON(), EDGE)).toMatchObject({ ip: EDGE, peerTrusted: false, proto: "http" });
});

test("any headers from any peer give a client in normal form, or none", () => {
  const piece = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom(
      ",",
      " ",
      ":",
      "[",
      "]",
      "%",
      "::",
      "::ffff:",
      "0",
      "unknown",
      "127.0.0.1",
      "10.0.0.1",
      ":80",
      "\t",
      "for=",
      '"',
    ),
    fc.string({ unit: "grapheme-ascii", maxLength: 5 }),
  );
  const value = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""));
  const peer = fc.oneof(
    fc.constantFrom(undefined, EDGE, "::1", STRANGER, "::ffff:10.1.1.1"),
    fc.ipV4(),
    fc.ipV6(),
  );
  fc.assert(
    fc.property(peer, value, value, value, (from, forwardedFor, proto, host) => {
      const client = clientOf(from, {
        "X-Forwarded-For": forwardedFor,
        "X-Forwarded-Proto": proto,
        "X-Forwarded-Host": host,
      });
      if (client === undefined) throw new Error("no client");
      if (client.ip !== "unix") expect(parseIp(client.ip)?.text).toBe(client.ip);
      expect(["http", "https"]).toContain(client.proto);
      expect(URL.canParse(`http://${client.host}/`)).toBe(true);
      expect(client.host).toMatch(/^[\w.:[\]-]+$/);
    }),
    { numRuns: 5_000 },
  );
});
