import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { type CredentialJson, createAuthenticator, type SoftAuthenticator } from "./authenticator.ts";
import { offerRegistration, offerSignIn, register, type Site, send } from "./support.ts";

/** Answers of authenticators that were right, and then were damaged. A failure prints its seed. */

setDefaultTimeout(120_000);

const CASES = 1500;
const ORIGIN = "https://app.test";
const ALGORITHMS = ["ES256", "EdDSA", "RS256"] as const;

let gateway: TestGateway;
let site: Site;
const keys = new Map<string, SoftAuthenticator>();
let session: string;

beforeAll(async () => {
  gateway = await startGateway({ env: { RUNEGATE_BASE_URL: ORIGIN, RUNEGATE_PASSKEYS: "true" } });
  site = { url: gateway.url, origin: ORIGIN };
  for (const algorithm of ALGORITHMS) {
    const key = createAuthenticator(algorithm);
    session = await gateway.signIn(`${algorithm.toLowerCase()}@example.org`);
    expect((await register(site, session, key)).status).toBe(201);
    keys.set(algorithm, key);
  }
});
afterAll(() => gateway.stop());

type Damage = { readonly what: string; of(whole: Buffer): Buffer };

/** Places are said as a share of the whole, so that they fit each field. */
const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 }).map((some) => Buffer.from(some));
const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.tuple(place, fc.integer({ min: 0, max: 7 })).map(([at, bit]) => ({
    what: `bit ${bit} at ${at}`,
    of(whole: Buffer) {
      const changed = Buffer.from(whole);
      const index = Math.floor(at * whole.length);
      changed[index] = (changed[index] ?? 0) ^ (1 << bit);
      return changed;
    },
  })),
  place.map((at) => ({
    what: `cut at ${at}`,
    of: (whole: Buffer) => whole.subarray(0, Math.floor(at * whole.length)),
  })),
  fc.tuple(place, bytes).map(([at, more]) => ({
    what: `${more.toString("hex")} put in at ${at}`,
    of(whole: Buffer) {
      const index = Math.floor(at * whole.length);
      return Buffer.concat([whole.subarray(0, index), more, whole.subarray(index)]);
    },
  })),
  bytes.map((more) => ({
    what: `${more.toString("hex")} put behind`,
    of: (whole: Buffer) => Buffer.concat([whole, more]),
  })),
);

/** What JSON can say in place of a text. */
const other: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(null, true, 0, "", "=", "á", "A", [], {}, { length: 1 }, "__proto__", "A".repeat(5000)),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.jsonValue({ maxDepth: 3 }),
);

const hasSession = (response: Response) =>
  response.headers.getSetCookie().some((line) => line.startsWith("runegate_id"));

/** In our shape, and nobody is signed in. */
async function expectRefused(response: Response): Promise<void> {
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.status).toBeLessThan(500);
  expect(hasSession(response)).toBe(false);
  expect(await response.json()).toEqual({
    error: expect.stringMatching(/^[a-z_]+$/),
    message: expect.any(String),
    request_id: expect.any(String),
  });
}

function withField(credential: CredentialJson, field: string, value: unknown): unknown {
  if (field in credential.response)
    return { ...credential, response: { ...credential.response, [field]: value } };
  return { ...credential, [field]: value };
}

function damaged(credential: CredentialJson, field: string, { of }: Damage): unknown {
  const text = String(credential.response[field] ?? (credential as Record<string, unknown>)[field]);
  return withField(credential, field, of(Buffer.from(text, "base64url")).toString("base64url"));
}

const SIGNED = ["id", "clientDataJSON", "authenticatorData", "signature", "userHandle"] as const;

test.each(ALGORITHMS)(
  "no damaged assertion by an %s key signs anybody in, and none breaks anything",
  async (algorithm) => {
    const key = keys.get(algorithm);
    if (key === undefined) throw new Error("there is no key");
    const { publicKey, ticket, cookie } = await offerSignIn(site);
    const credential = key.get(publicKey, ORIGIN);
    const answer = (sent: unknown) => send(site, "/sign-in", { ticket, credential: sent }, cookie);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...SIGNED), damage, async (field, how) => {
        await expectRefused(await answer(damaged(credential, field, how)));
      }),
      { numRuns: CASES / 3 },
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...SIGNED, "response"), other, async (field, value) => {
        await expectRefused(await answer(withField(credential, field, value)));
      }),
      { numRuns: CASES / 3 },
    );
    // It was the damage: the same answer is good yet.
    expect((await answer(credential)).status).toBe(200);
  },
);

test("a damaged attestation adds what it says, or nothing, and breaks nothing", async () => {
  const { publicKey, ticket, cookie } = await offerRegistration(site, session);
  const answer = (sent: unknown) => send(site, "", { ticket, credential: sent }, cookie);
  let attempts = 0;
  // Nothing signs an attestation of no kind: what is damaged where nobody looks is as good as before.
  async function expectNoHarm(response: Response): Promise<void> {
    attempts++;
    if (response.status !== 201 && response.status !== 409) return expectRefused(response);
    expect(hasSession(response)).toBe(false);
    const { id } = (await response.json()) as { id?: unknown };
    expect(id).toBeUndefined();
  }
  const fields = ["id", "clientDataJSON", "attestationObject"] as const;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...fields), damage, async (field, how) => {
      await expectNoHarm(
        await answer(damaged(createAuthenticator("EdDSA").create(publicKey, ORIGIN), field, how)),
      );
      expect((await fetch(`${gateway.url}/_runegate/session`, { headers: { Cookie: session } })).status).toBe(
        200,
      );
    }),
    { numRuns: CASES },
  );
  const made = createAuthenticator().create(publicKey, ORIGIN);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...fields, "response"), other, async (field, value) => {
      await expectRefused(await answer(withField(made, field, value)));
    }),
    { numRuns: CASES / 3 },
  );
  expect(attempts).toBe(CASES);
});

test("no body at all, of whatever form, breaks anything", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("", "/sign-in"),
      fc.oneof(fc.json(), fc.string()),
      async (path, body) => {
        await expectRefused(await send(site, path, body, session));
      },
    ),
    { numRuns: CASES / 3 },
  );
});

test("nothing of all this was an error of ours", () => {
  expect(gateway.lines.filter((line) => line.includes("a request failed"))).toEqual([]);
});
