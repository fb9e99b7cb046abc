import { afterEach, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { createOrderRecords } from "../../src/certificates/acme-records.ts";
import { openAcme } from "../../src/certificates/acme-source.ts";
import type { TlsOptions } from "../../src/certificates/options.ts";
import type { Pair } from "../../src/certificates/pair.ts";
import type { CertificateSource } from "../../src/certificates/source.ts";
import { DAY, HOUR } from "../../src/option/values.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { SILENT } from "../support/silent.ts";
import { certificateBy, openssl } from "./by-openssl.ts";

/** When certificates are ordered, by an authority that suggests when and gives none, and a clock that only the test moves. */

const NAME = "app.example.org";
const cert = openssl === undefined ? "" : certificateBy("7", "00:11:22:33");
const ID = "ABEiMw.Bw";
const accountKey = generateKeyPairSync("ec", { namedCurve: "P-256" })
  .privateKey.export({ type: "pkcs8", format: "pem" })
  .toString();

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** What it answers to whoever asks when to renew; undefined for one without that service. */
type Suggest = ((clock: TestClock) => Response) | undefined;

const between = (start: number, end: number) => (clock: TestClock) =>
  Response.json(
    {
      suggestedWindow: {
        start: new Date(clock.now() + start * DAY).toISOString(),
        end: new Date(clock.now() + end * DAY).toISOString(),
      },
    },
    { headers: { "Retry-After": "7200" } },
  );

/** @param age of the certificate there is, of 90 days. */
async function open(age: number, suggest: Suggest) {
  const clock = testClock();
  const asked: string[] = [];
  let orders = 0;
  const authority = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname, origin } = new URL(request.url);
      const at = (path: string) => `${origin}/${path}`;
      if (pathname === "/dir") {
        const services = { newNonce: at("nonce"), newAccount: at("account"), newOrder: at("order") };
        return Response.json({ ...services, ...(suggest && { renewalInfo: at("renewal") }) });
      }
      if (pathname.startsWith("/renewal/")) {
        asked.push(pathname.slice("/renewal/".length));
        return suggest?.(clock) ?? new Response(null, { status: 404 });
      }
      if (pathname === "/account") orders++;
      return new Response(null, { status: 500, headers: { "Replay-Nonce": "n" } });
    },
  });
  let pair: Pair = { names: [NAME], cert, key: "", from: clock.now() - age * DAY, until: 0 };
  pair = { ...pair, until: pair.from + 90 * DAY };
  let looks = 0;
  const source = await openAcme({
    options: {
      ...{ acmeDirectory: `${authority.url.origin}/dir`, acmeWildcards: [], acmeDnsWait: 0 },
    } as unknown as TlsOptions,
    names: [NAME],
    shelf: {
      account: async () => accountKey,
      async read() {
        looks++;
        return pair;
      },
      write: async () => {},
    },
    records: createOrderRecords(createMemoryStore({ clock }), clock),
    ...{ dnsHook: undefined, answersHttp: true, clock, pause: async () => {} },
    random: { bytes: (length) => new Uint8Array(length).fill(128) },
  });
  opened.push(() => {
    source.stop();
    void authority.stop(true);
  });
  source.start(async () => {}, SILENT);
  return {
    ...{ clock, asked, orders: () => orders },
    replace(next: Partial<Pair>) {
      pair = { ...pair, ...next };
    },
    /** Has it look so often that what followed from the first two looks is over: before it orders, it looks once more. */
    settle: () => settle(source, () => looks),
  };
}

async function settle(source: CertificateSource, looks: () => number): Promise<void> {
  const enough = looks() + 5;
  while (looks() < enough) {
    await source.renew([NAME]);
    await Bun.sleep(1);
  }
}

const failing = () => new Response("no", { status: 500 });

describe.skipIf(openssl === undefined)("a certificate of 90 days", () => {
  test.each<[string, age: number, Suggest, orders: number]>([
    ["one that is new, and a window that is over", 3, between(-2, -1), 1],
    ["one that is new, and a window whose middle is over", 3, between(-2, 1), 1],
    ["one that is new, and a window whose middle is to come", 3, between(-1, 2), 0],
    ["one that would be due, and a window to come", 70, between(5, 6), 0],
    ["one that would be due, and a window beyond its end", 70, between(5, 30), 1],
    ["no such service", 55, undefined, 0],
    ["no such service, and a third of its life left", 61, undefined, 1],
    ["a service that fails", 55, failing, 0],
    ["a service that fails, and a third of its life left", 61, failing, 1],
    ["a service that talks nonsense", 55, () => new Response("<html>"), 0],
    ["a service that talks nonsense, and a third of its life left", 61, () => new Response("<html>"), 1],
    ["a service that leads elsewhere", 55, () => Response.redirect("http://127.0.0.1:1/"), 0],
  ])("%s", async (_, age, suggest, orders) => {
    const { settle, ...seen } = await open(age, suggest);
    await settle();
    expect(seen.orders()).toBe(orders);
    expect(seen.asked).toEqual(suggest === undefined ? [] : [ID]);
  });

  test("the authority is asked again when it says, and a window that it takes forward counts", async () => {
    let suggest = between(40, 41);
    const { clock, asked, orders, settle } = await open(3, (now) => suggest(now));
    await settle();
    expect([asked.length, orders()]).toEqual([1, 0]);
    suggest = between(-2, -1);
    clock.advance(1 * HOUR);
    await settle();
    expect([asked.length, orders()]).toEqual([1, 0]);
    clock.advance(2 * HOUR);
    await settle();
    expect([asked.length, orders()]).toEqual([2, 1]);
  });

  test("what was suggested holds while the authority is away", async () => {
    let suggest: (clock: TestClock) => Response = between(5, 6);
    const { clock, orders, settle } = await open(62, (now) => suggest(now));
    await settle();
    suggest = failing;
    clock.advance(5 * DAY);
    await settle();
    expect(orders()).toBe(0);
    clock.advance(DAY);
    await settle();
    expect(orders()).toBe(1);
  });

  test("one that another machine has just had is not renewed within a day, whatever the authority says", async () => {
    let suggest = between(40, 41);
    const { clock, orders, replace, settle } = await open(3, (now) => suggest(now));
    await settle();
    suggest = between(-2, -1);
    replace({ from: clock.now(), cert: `${cert}\n` });
    await settle();
    expect(orders()).toBe(0);
    clock.advance(DAY + HOUR);
    await settle();
    expect(orders()).toBe(1);
  });
});
