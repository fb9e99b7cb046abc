import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { listenAddress, networks, targetAddress } from "../../src/net/endpoint.ts";
import { ValueError } from "../../src/option/value-error.ts";
import { outcome } from "../support/outcome.ts";

describe("addresses to listen on", () => {
  test.each([
    ["127.0.0.1:7870", { kind: "tcp", hostname: "127.0.0.1", port: 7870 }],
    ["0.0.0.0:0", { kind: "tcp", hostname: "0.0.0.0", port: 0 }],
    ["[::1]:7870", { kind: "tcp", hostname: "::1", port: 7870 }],
    ["7870", { kind: "tcp", hostname: "127.0.0.1", port: 7870 }],
    [":7870", { kind: "tcp", hostname: "127.0.0.1", port: 7870 }],
    ["localhost:80", { kind: "tcp", hostname: "localhost", port: 80 }],
    ["unix:/run/a.sock", { kind: "unix", path: "/run/a.sock" }],
    ["unix:///run/a.sock", { kind: "unix", path: "/run/a.sock" }],
  ])("%s", (text, address) => {
    expect(listenAddress(text)).toEqual(address as ReturnType<typeof listenAddress>);
  });
  test.each([
    "",
    ":",
    "::7870",
    "65536",
    "7870/",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "127.1:80",
    "0x7f.0.0.1:80",
    "::1:7870",
    "[127.0.0.1]:80",
    "[::1%lo]:80",
    "[::1]",
    "http://127.0.0.1:80",
    "app.example.org:80",
    "unix:",
    "unix:run/a.sock",
    "unix://run/a.sock",
  ])("%j is refused", (text) => expect(outcome(listenAddress, text)).toHaveProperty("problem"));
});

describe("targets", () => {
  const tcp = (origin: string, hostname: string, port: number, tls = false) => ({
    kind: "tcp" as const,
    origin,
    hostname,
    port,
    tls,
  });
  test.each([
    ["http://127.0.0.1:7860", tcp("http://127.0.0.1:7860", "127.0.0.1", 7860)],
    ["http://127.0.0.1:7860/", tcp("http://127.0.0.1:7860", "127.0.0.1", 7860)],
    ["HTTP://App.Internal", tcp("http://app.internal", "app.internal", 80)],
    ["https://app.internal", tcp("https://app.internal", "app.internal", 443, true)],
    ["http://[fd00::1]:80", tcp("http://[fd00::1]", "fd00::1", 80)],
    ["3000", tcp("http://127.0.0.1:3000", "127.0.0.1", 3000)],
    [":3000", tcp("http://127.0.0.1:3000", "127.0.0.1", 3000)],
    ["localhost:3000", tcp("http://localhost:3000", "localhost", 3000)],
    ["[::1]:3000", tcp("http://[::1]:3000", "::1", 3000)],
    ["unix:/run/app.sock", { kind: "unix" as const, path: "/run/app.sock" }],
  ])("%s", (text, address) => expect(targetAddress(text)).toEqual(address));
  test.each([
    "",
    ":",
    "app.internal",
    "app.internal:443",
    "443",
    "99999",
    "0",
    "http:80",
    "user:hunter2@a:80",
    "::1:80",
    "ftp://a",
    "ws://a",
    "http:/a",
    "http:\\\\a",
    "http://",
    "http://a/b",
    "http://a?b",
    "http://a#b",
    "http://a//",
    "http://a\\b",
    "http://a b",
    "http://a\tb",
    "http://a:0",
    "http://a:99999",
    "http://user:hunter2@a",
    "http://a,http://b",
  ])("%j is refused", (text) => expect(outcome(targetAddress, text)).toHaveProperty("problem"));
  test("a password in a URL is not repeated", () => {
    for (const text of ["http://user:hunter2@a", "ftp://user:hunter2@a", "http://user:hunter2@a/b"]) {
      expect(JSON.stringify(outcome(targetAddress, text))).not.toContain("hunter2");
    }
  });
});

describe("networks", () => {
  const texts = (text: string) => networks(text).map((network) => network.text);
  test.each([
    ["", []],
    ["127.0.0.0/8,::1", ["127.0.0.0/8", "::1/128"]],
    ["10.0.0.0/8 192.0.2.7", ["10.0.0.0/8", "192.0.2.7/32"]],
    ["0.0.0.0/0,::/0", ["0.0.0.0/0", "::/0"]],
    ["FD00:0::/8", ["fd00::/8"]],
    ["172.16.0.0/12", ["172.16.0.0/12"]],
    // Clients are compared in IPv4 form.
    ["::ffff:10.0.0.0/104", ["10.0.0.0/8"]],
    ["::ffff:192.0.2.7", ["192.0.2.7/32"]],
  ])("%j", (text, expected) => expect(texts(text)).toEqual(expected));
  test("bytes and prefix", () => {
    expect(networks("10.1.0.0/16")).toEqual([{ text: "10.1.0.0/16", bytes: [10, 1, 0, 0], prefix: 16 }]);
  });
  test.each([
    ",",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10.0.0.0/255.0.0.0",
    "10/8",
    "010.0.0.0/8",
    "0x0a.0.0.0/8",
    "::1%lo",
    "localhost",
    "[::1]",
    "::ffff:10.0.0.0/95",
  ])("%j is refused", (text) => expect(outcome(networks, text)).toHaveProperty("problem"));
  test("bits beyond the prefix are refused, with the network that was probably meant", () => {
    expect(() => networks("10.1.2.3/8")).toThrow("Write 10.0.0.0/8 for the whole network");
    expect(() => networks("10.0.0.129/25")).toThrow("Write 10.0.0.128/25");
  });
  test("every bad item is named", () => {
    expect(() => networks("x,10.0.0.0/8,y")).toThrow('is not a network: "x"; is not a network: "y"');
  });
  test("what is accepted, or suggested instead, is in normal form", () => {
    const cidr = fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat({ max: 130 }));
    fc.assert(
      fc.property(cidr, ([address, prefix]) => {
        let normal: string;
        try {
          normal = texts(`${address}/${prefix}`).join();
        } catch (error) {
          if (!(error instanceof ValueError)) throw error;
          const suggestion = /^Write (\S+) for the whole network/.exec(error.remedy)?.[1];
          if (suggestion === undefined) return;
          normal = suggestion;
        }
        expect(texts(normal)).toEqual([normal]);
      }),
    );
  });
});
