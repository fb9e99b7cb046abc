import { afterEach, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOrderRecords } from "../../src/certificates/acme-records.ts";
import { openAcme } from "../../src/certificates/acme-source.ts";
import type { TlsOptions } from "../../src/certificates/options.ts";
import type { Pair } from "../../src/certificates/pair.ts";
import { DAY, HOUR } from "../../src/option/values.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { testClock } from "../support/clock.ts";
import { SILENT } from "../support/silent.ts";
import { openssl } from "./by-openssl.ts";

/** Orders at an authority that asks for no proof, and gives or says whatever a test has it give and say. */

const NAME = "app.example.org";

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

function run(command: readonly string[], stdin = ""): string {
  const { stdout, stderr, exitCode } = Bun.spawnSync([...command], { stdin: Buffer.from(stdin) });
  if (exitCode !== 0) throw new Error(stderr.toString());
  return stdout.toString();
}

/** Signs a request, whatever names it is for. @param request in DER, base64url. */
function issue(request: string, names: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "runegate-lying-"));
  opened.push(() => rmSync(folder, { recursive: true }));
  const [key, root, wanted] = [join(folder, "key.pem"), join(folder, "root.pem"), join(folder, "names")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  run(["openssl", "req", "-x509", ...curve, "-keyout", key, "-out", root, "-subj", "/CN=Liar"]);
  writeFileSync(wanted, `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}\n`);
  const der = Buffer.from(request, "base64url").toString("base64").replace(/.{64}/g, "$&\n");
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${der}\n-----END CERTIFICATE REQUEST-----\n`;
  return run(
    [...["openssl", "x509", "-req", "-CA", root, "-CAkey", key, "-extfile", wanted], ...["-days", "90"]],
    pem,
  );
}

type Lies = {
  readonly names?: readonly string[];
  /** Days that the certificate of 90 days is old when it is given. */
  readonly age?: number;
  /** Of an authority that gives none. */
  readonly refusal?: Record<string, string>;
  /** What it answers, one after the other, to whoever asks whether the order is done. */
  readonly delays?: string[];
  use?(pairs: readonly Pair[]): Promise<void>;
};

async function open(
  { names = [NAME], age = 1, delays = [], refusal, use = async () => {} }: Lies,
  hosts = [NAME],
) {
  const clock = testClock(Date.now() + age * DAY);
  const written: string[] = [];
  const pauses: number[] = [];
  let orders = 0;
  let certificate = "";
  const authority = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, origin } = new URL(request.url);
      const at = (path: string) => `${origin}/${path}`;
      const headers = { "Replay-Nonce": "n", Location: at("placed") };
      const order = (status: string) => ({
        ...{ status, authorizations: [], finalize: at("finalize"), certificate: at("certificate") },
      });
      switch (pathname) {
        case "/dir":
          return Response.json({
            ...{ newNonce: at("nonce"), newAccount: at("account"), newOrder: at("order") },
          });
        case "/order":
          orders++;
          if (refusal !== undefined)
            return Response.json(
              { type: "x:rateLimited" },
              { status: 429, headers: { ...headers, ...refusal } },
            );
          return Response.json(order("ready"), { headers });
        case "/finalize": {
          const { payload } = (await request.json()) as { payload: string };
          const { csr } = JSON.parse(Buffer.from(payload, "base64url").toString()) as { csr: string };
          certificate = issue(csr, names);
          return Response.json(order("valid"), { headers });
        }
        case "/placed": {
          const delay = delays.shift();
          if (delay === undefined) return Response.json(order("valid"), { headers });
          return Response.json(order("processing"), { headers: { ...headers, "Retry-After": delay } });
        }
        case "/certificate":
          return new Response(certificate, { headers });
        default:
          return Response.json({}, { headers });
      }
    },
  });
  let looks = 0;
  const account = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const source = await openAcme({
    options: {
      ...{ acmeDirectory: `${authority.url.origin}/dir`, acmeWildcards: [], acmeDnsWait: 0 },
    } as unknown as TlsOptions,
    names: hosts,
    shelf: {
      account: async () => account.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      async read() {
        looks++;
        return undefined;
      },
      async write(name) {
        written.push(name);
      },
    },
    records: createOrderRecords(createMemoryStore({ clock }), clock),
    ...{ dnsHook: undefined, answersHttp: true, clock },
    pause: async (milliseconds) => {
      pauses.push(milliseconds);
    },
    random: { bytes: (length) => new Uint8Array(length).fill(128) },
  });
  opened.push(() => {
    source.stop();
    void authority.stop(true);
  });
  source.start(use, SILENT);
  return {
    ...{ clock, source, written, pauses, orders: () => orders },
    /** Has it look so often that what followed from the first two looks is over. */
    async settle() {
      const enough = looks + 5 * hosts.length;
      while (looks < enough) {
        await source.renew(hosts);
        await Bun.sleep(1);
      }
    },
  };
}

describe.skipIf(openssl === undefined)("a certificate that", () => {
  test.each<[string, Lies, taken: boolean]>([
    ["is for the name is taken", {}, true],
    ["is for further names is taken", { names: ["other.example.org", NAME] }, true],
    ["is for another name is not", { names: ["other.example.org"] }, false],
    ["is for a wildcard that was not asked for is not", { names: ["*.example.org"] }, false],
    // It is the clock of this machine that is wrong, and an order every minute would end in a limit.
    ["is over already is taken", { age: 91 }, true],
  ])("%s", async (_, lies, taken) => {
    const { source, settle, orders, written } = await open(lies);
    await settle();
    expect(orders()).toBe(1);
    expect(source.expiries()).toEqual([[NAME, taken ? expect.any(Number) : undefined]]);
    expect(written).toEqual(taken ? [NAME] : []);
  });

  test("the listener does not take stands in no other's way", async () => {
    const other = "b.example.org";
    let uses = 0;
    const use = async () => {
      if (uses++ === 0) throw new Error("the address is in use");
    };
    const { settle, written } = await open({ names: [NAME, other], use }, [NAME, other]);
    await settle();
    expect([written, uses]).toEqual([[NAME, other], 2]);
  });
});

test.skipIf(openssl === undefined)(
  "an authority that wants to be asked at once is asked once a second",
  async () => {
    const delays = ["0", "Thu, 01 Jan 1970 00:00:00 GMT", "soon", "5", "999999999"];
    const { settle, pauses, written } = await open({ delays });
    await settle();
    expect([pauses, written]).toEqual([[1_000, 1_000, 1_000, 5_000, 10_000], [NAME]]);
  },
);

test.each([
  ["seconds", "999999999"],
  ["a date", "Fri, 31 Dec 2100 23:59:59 GMT"],
])(
  "an authority that is not to be asked for decades, in %s, is asked again after a day",
  async (_, after) => {
    const { clock, settle, orders } = await open({ refusal: { "Retry-After": after } });
    await settle();
    expect(orders()).toBe(1);
    clock.advance(DAY - HOUR);
    await settle();
    expect(orders()).toBe(1);
    clock.advance(2 * HOUR);
    await settle();
    expect(orders()).toBe(2);
  },
);
