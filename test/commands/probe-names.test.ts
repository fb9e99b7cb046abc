import { afterAll, expect, test } from "bun:test";
import { serveHttp } from "../../src/certificates/http.ts";
import { probeNames } from "../../src/commands/probe-names.ts";
import type { Configuration } from "../../src/config/configuration.ts";
import { freePort } from "../support/process.ts";

/** `check --online` where certificates are ordered: what an authority would find at the names. */

const APP = "app.example.org";
const LISTEN = { kind: "tcp", hostname: "::", port: 443 };
const configuration = (tls: string, more: Partial<Configuration["options"]> = {}) =>
  ({
    options: { tls, baseUrl: `https://${APP}`, listen: LISTEN, acmeWildcards: [], ...more },
    routesFile: undefined,
  }) as unknown as Configuration;

const ours = serveHttp(
  { kind: "tcp", hostname: "127.0.0.1", port: 0 },
  {
    routes: () => {
      const home = { origin: `https://${APP}`, routes: [] };
      return { home, siteOf: (host) => (host === APP ? home : undefined) };
    },
    challengeOf: undefined,
  },
);
const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
afterAll(() => {
  void ours.stop(true);
  void other.stop(true);
});

const at = (port: number | undefined, ...addresses: string[]) => ({
  addressesOf: async () => addresses,
  port: port ?? 0,
});

test("ours answers", async () => {
  const result = await probeNames(configuration("acme"), at(ours.port, "127.0.0.1"));
  expect(result).toEqual({
    ok: true,
    lines: [`${APP} leads to 127.0.0.1: this answers on port ${ours.port} there.`],
  });
});

test("something else answers, or nothing at one of two addresses, or the name leads nowhere", async () => {
  const elsewhere = await probeNames(configuration("acme"), at(other.port, "127.0.0.1"));
  expect(elsewhere?.ok).toBe(false);
  expect(elsewhere?.lines[0]).toContain("something else answers");
  const half = await probeNames(configuration("acme"), at(ours.port, "127.0.0.1", "::1"));
  expect(half?.ok).toBe(false);
  expect(half?.lines).toHaveLength(2);
  expect(half?.lines[1]).toContain(`${APP} leads to ::1: nothing answers on port ${ours.port}`);
  const closed = await probeNames(configuration("acme"), at(freePort(), "127.0.0.1"));
  expect(closed?.lines[0]).toContain("nothing answers");
  const nowhere = await probeNames(configuration("acme"), {
    addressesOf: () => Promise.reject(new Error("getaddrinfo ENOTFOUND")),
    port: 80,
  });
  expect(nowhere).toEqual({
    ok: false,
    lines: [`${APP} leads nowhere (getaddrinfo ENOTFOUND): add an A or AAAA record.`],
  });
});

test("where nothing is ordered, nothing is asked", async () => {
  expect(await probeNames(configuration("files"), at(freePort(), "127.0.0.1"))).toBeUndefined();
});

test("names that are proved in DNS are not asked about: those of a wildcard, and all where plain http is off", async () => {
  const acmeDnsHook = "/hook";
  const nowhere = at(freePort(), "127.0.0.1");
  const wildcards = { acmeDnsHook, acmeWildcards: ["*.example.org"] };
  expect(await probeNames(configuration("acme", wildcards), nowhere)).toEqual({ ok: true, lines: [] });
  expect(
    await probeNames(configuration("acme", { acmeDnsHook, httpListen: "off" }), nowhere),
  ).toBeUndefined();
  expect((await probeNames(configuration("acme", { acmeDnsHook }), nowhere))?.ok).toBe(false);
});
