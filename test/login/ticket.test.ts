import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { parseAddress } from "../../src/identity/address.ts";
import { LOGIN_LINK, LOGIN_REQUEST, type LoginRequest, type LoginTicket } from "../../src/login/ticket.ts";
import { address, createTickets, TicketError, type TicketKind } from "../../src/secret/ticket.ts";
import { testClock } from "../support/clock.ts";
import { keysOf } from "../support/keys.ts";

const AUDIENCE = "https://gate.example.org";
const keyOf = (purpose: string, by = keys, from: "jwt" | "session" = "jwt") => by.for(purpose, from).current;

const clock = testClock();
const keys = keysOf(1);
const tickets = createTickets(keys, { audience: AUDIENCE, clock });
const ISSUED = Math.floor(clock.now() / 1000) * 1000;
const EXPIRES = ISSUED + 900_000;

const TICKET: LoginTicket = {
  jti: "0123456789abcdefABCDEF",
  email: parseAddress("ada@example.org"),
  next: "/a?b=c",
  issuedAt: ISSUED,
  expiresAt: EXPIRES,
  from: "198.51.100.1, Firefox on Linux",
  binding: "hash-of-the-cookie",
};
const REQUEST: LoginRequest = {
  jti: TICKET.jti,
  email: TICKET.email,
  next: "/a?b=c",
  issuedAt: ISSUED,
  expiresAt: EXPIRES,
  secret: "secret",
  codeHash: "hash",
  sentAgain: 0,
};

const link = tickets.sign(LOGIN_LINK, TICKET);
const request = tickets.sign(LOGIN_REQUEST, REQUEST);

async function verdict(token: string, by = tickets): Promise<string> {
  try {
    await by.verify(LOGIN_LINK, token);
    return "good";
  } catch (error) {
    if (!(error instanceof TicketError)) throw error;
    return error.problem;
  }
}

const base64 = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A token made by hand, with a right or wrong signature. */
function forge(
  header: object,
  claims: object | string,
  key: Uint8Array | string = keyOf("login link"),
  hash = "sha256",
): string {
  const head = `${base64(header)}.${base64(claims)}`;
  return `${head}.${createHmac(hash, key).update(head).digest("base64url")}`;
}

const HEADER = { alg: "HS256", typ: "runegate-login+jwt" };
const CLAIMS = {
  iss: "runegate",
  aud: AUDIENCE,
  sub: "ada@example.org",
  jti: "j",
  iat: ISSUED / 1000,
  exp: EXPIRES / 1000,
  next: "/",
  from: "here",
  bind: "x",
};
const without = (name: keyof typeof CLAIMS) =>
  Object.fromEntries(Object.entries(CLAIMS).filter(([key]) => key !== name));

test("what is signed is what is verified", async () => {
  expect(await tickets.verify(LOGIN_LINK, link)).toEqual(TICKET);
  expect(await tickets.verify(LOGIN_REQUEST, request)).toEqual(REQUEST);
  const unbound = { ...TICKET, binding: undefined };
  expect(await tickets.verify(LOGIN_LINK, tickets.sign(LOGIN_LINK, unbound))).toEqual(unbound);
});

describe("stays what it is, for the links and cookies that are out there:", () => {
  const grant = {
    jti: TICKET.jti,
    email: TICKET.email,
    next: "/a?b=c",
    issuedAt: 1_700_000_000_000,
    expiresAt: 1_700_000_900_000,
  };
  test.each([
    [
      "a login link",
      tickets.sign(LOGIN_LINK, { ...grant, from: TICKET.from, binding: TICKET.binding }),
      "eyJhbGciOiJIUzI1NiIsInR5cCI6InJ1bmVnYXRlLWxvZ2luK2p3dCJ9.eyJuZXh0IjoiL2E_Yj1jIiwiZnJvbSI6IjE5OC41MS4xMDAuMSwgRmlyZWZveCBvbiBMaW51eCIsImJpbmQiOiJoYXNoLW9mLXRoZS1jb29raWUiLCJpc3MiOiJydW5lZ2F0ZSIsInN1YiI6ImFkYUBleGFtcGxlLm9yZyIsImF1ZCI6Imh0dHBzOi8vZ2F0ZS5leGFtcGxlLm9yZyIsImV4cCI6MTcwMDAwMDkwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiIwMTIzNDU2Nzg5YWJjZGVmQUJDREVGIn0.V3D1uIlIHpYKXUOdQ0uENE4Y_o25JZc2lgpGYNmURZA",
    ],
    [
      "an operator's link",
      tickets.sign(LOGIN_LINK, { ...grant, from: "the operator of this server", binding: undefined }),
      "eyJhbGciOiJIUzI1NiIsInR5cCI6InJ1bmVnYXRlLWxvZ2luK2p3dCJ9.eyJuZXh0IjoiL2E_Yj1jIiwiZnJvbSI6InRoZSBvcGVyYXRvciBvZiB0aGlzIHNlcnZlciIsImlzcyI6InJ1bmVnYXRlIiwic3ViIjoiYWRhQGV4YW1wbGUub3JnIiwiYXVkIjoiaHR0cHM6Ly9nYXRlLmV4YW1wbGUub3JnIiwiZXhwIjoxNzAwMDAwOTAwLCJpYXQiOjE3MDAwMDAwMDAsImp0aSI6IjAxMjM0NTY3ODlhYmNkZWZBQkNERUYifQ.IgpblWTLNDrSImEy1pH8HJFmjMT4LegWxRcC8oWemUg",
    ],
    [
      "a login cookie",
      tickets.sign(LOGIN_REQUEST, {
        ...grant,
        next: "/a?b=c",
        secret: "secret",
        codeHash: "hash",
        sentAgain: 0,
      }),
      "eyJhbGciOiJIUzI1NiIsInR5cCI6InJ1bmVnYXRlLWxvZ2luLXJlcXVlc3Qrand0In0.eyJuZXh0IjoiL2E_Yj1jIiwic2VjcmV0Ijoic2VjcmV0IiwiY29kZSI6Imhhc2giLCJpc3MiOiJydW5lZ2F0ZSIsInN1YiI6ImFkYUBleGFtcGxlLm9yZyIsImF1ZCI6Imh0dHBzOi8vZ2F0ZS5leGFtcGxlLm9yZyIsImV4cCI6MTcwMDAwMDkwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiIwMTIzNDU2Nzg5YWJjZGVmQUJDREVGIn0.LDTyORv81IGVufpUQ3BXl71r7Q99W-ZlsUeev8cchJo",
    ],
  ])("%s", (_, token, known) => expect(token).toBe(known));
});

describe("a kind that only its room knows", () => {
  const HANDOFF: TicketKind<{ readonly email: LoginTicket["email"] }> = {
    typ: "runegate-handoff+jwt",
    write: ({ email }) => ({ sub: email }),
    read: ({ sub }) => ({ email: address(sub) }),
  };
  const grant = { jti: "j", issuedAt: ISSUED, expiresAt: EXPIRES };
  const handoff = tickets.sign(HANDOFF, { ...grant, email: TICKET.email });

  test("is signed and verified, under a key that goes by its typ", async () => {
    expect(await tickets.verify(HANDOFF, handoff)).toEqual({ ...grant, email: TICKET.email });
    const [header = "", claims = "", signature] = handoff.split(".");
    const mac = createHmac("sha256", keyOf(HANDOFF.typ)).update(`${header}.${claims}`);
    expect(signature).toBe(mac.digest("base64url"));
  });

  test("is refused as any other, and so is any other as it", async () => {
    expect(await verdict(handoff)).toBe("wrong_signature");
    await expect(tickets.verify(HANDOFF, link)).rejects.toMatchObject({ problem: "wrong_signature" });
    await expect(tickets.verify(HANDOFF, forge(HEADER, CLAIMS, keyOf(HANDOFF.typ)))).rejects.toMatchObject({
      problem: "wrong_type",
    });
  });
});

test("the forger of this file would be believed with the right key and claims", async () => {
  expect(await verdict(forge(HEADER, CLAIMS))).toBe("good");
});

describe("as a login link is refused", () => {
  const [head = "", body = "", signature = ""] = link.split(".");
  test.each<[what: string, token: string, problem: string]>([
    ["nothing", "", "malformed"],
    ["a word", "x", "malformed"],
    ["two dots", "..", "malformed"],
    ["two parts", `${head}.${body}`, "malformed"],
    ["four parts", `${link}.x`, "malformed"],
    ["an encrypted token's five parts", "a.b.c.d.e", "malformed"],
    ["blanks around", ` ${link} `, "wrong_signature"],
    ["over 8 KiB", "a".repeat(8193), "malformed"],
    ["another header", `${base64({ ...HEADER, kid: "x" })}.${body}.${signature}`, "wrong_signature"],
    ["another body", `${head}.${base64(CLAIMS)}.${signature}`, "wrong_signature"],
    ["no signature", `${head}.${body}.`, "wrong_signature"],
    ["a signature cut short", link.slice(0, -1), "wrong_signature"],
    ["another ticket's signature", `${head}.${body}.${request.split(".")[2]}`, "wrong_signature"],
    ["alg none", `${base64({ alg: "none", typ: HEADER.typ })}.${base64(CLAIMS)}.`, "wrong_algorithm"],
    ["alg None", `${base64({ alg: "None", typ: HEADER.typ })}.${base64(CLAIMS)}.`, "wrong_algorithm"],
    ["alg none with a signature", forge({ ...HEADER, alg: "none" }, CLAIMS), "wrong_algorithm"],
    ["no alg", forge({ typ: HEADER.typ }, CLAIMS), "malformed"],
    ["alg HS512", forge({ ...HEADER, alg: "HS512" }, CLAIMS, undefined, "sha512"), "wrong_algorithm"],
    ["alg HS384", forge({ ...HEADER, alg: "HS384" }, CLAIMS, undefined, "sha384"), "wrong_algorithm"],
    [
      "alg RS256, with the secret as the public key",
      forge({ ...HEADER, alg: "RS256" }, CLAIMS),
      "wrong_algorithm",
    ],
    ["alg hs256", forge({ ...HEADER, alg: "hs256" }, CLAIMS), "wrong_algorithm"],
    ["a critical extension", forge({ ...HEADER, crit: ["x"], x: 1 }, CLAIMS), "wrong_algorithm"],
    ["unencoded payload (RFC 7797)", forge({ ...HEADER, crit: ["b64"], b64: false }, CLAIMS), "malformed"],
    [
      "a key of its own in the header",
      forge({ ...HEADER, jwk: { kty: "oct", k: base64("k") } }, CLAIMS, "k"),
      "wrong_signature",
    ],
    ["a key by name", forge({ ...HEADER, kid: "../../dev/null" }, CLAIMS, ""), "wrong_signature"],
    ["the key of another instance", forge(HEADER, CLAIMS, keyOf("login link", keysOf(2))), "wrong_signature"],
    ["the secret itself as key", forge(HEADER, CLAIMS, new Uint8Array(64).fill(1)), "wrong_signature"],
    ["the key of login requests", forge(HEADER, CLAIMS, keyOf("login request")), "wrong_signature"],
    ["the key of login codes", forge(HEADER, CLAIMS, keyOf("login code")), "wrong_signature"],
    [
      "the key of session ids",
      forge(HEADER, CLAIMS, keyOf("session id", keys, "session")),
      "wrong_signature",
    ],
    ["a login cookie", request, "wrong_signature"],
    [
      "a login cookie's typ under the link's key",
      forge({ ...HEADER, typ: "runegate-login-request+jwt" }, CLAIMS),
      "wrong_type",
    ],
    ["typ JWT", forge({ ...HEADER, typ: "JWT" }, CLAIMS), "wrong_type"],
    ["no typ", forge({ alg: "HS256" }, CLAIMS), "wrong_type"],
    ["a typ to come: a hand-off", forge({ ...HEADER, typ: "runegate-handoff+jwt" }, CLAIMS), "wrong_type"],
    ["a typ to come: an identity", forge({ ...HEADER, typ: "runegate-identity+jwt" }, CLAIMS), "wrong_type"],
    ["another issuer", forge(HEADER, { ...CLAIMS, iss: "evil" }), "wrong_issuer"],
    ["no issuer", forge(HEADER, without("iss")), "wrong_issuer"],
    ["another audience", forge(HEADER, { ...CLAIMS, aud: "https://other.example.org" }), "wrong_audience"],
    ["the audience with a slash", forge(HEADER, { ...CLAIMS, aud: `${AUDIENCE}/` }), "wrong_audience"],
    [
      "the audience on http",
      forge(HEADER, { ...CLAIMS, aud: AUDIENCE.replace("https", "http") }),
      "wrong_audience",
    ],
    ["no audience", forge(HEADER, without("aud")), "wrong_audience"],
    ["no address", forge(HEADER, without("sub")), "claims"],
    ["an address that is not canonical", forge(HEADER, { ...CLAIMS, sub: "Ada@Example.org" }), "claims"],
    ["an address that is none", forge(HEADER, { ...CLAIMS, sub: "ada" }), "claims"],
    ["an address that is a list", forge(HEADER, { ...CLAIMS, sub: ["ada@example.org"] }), "claims"],
    ["no id", forge(HEADER, without("jti")), "claims"],
    ["an id that is a number", forge(HEADER, { ...CLAIMS, jti: 1 }), "claims"],
    ["no time of issue", forge(HEADER, without("iat")), "claims"],
    ["a time of issue that is a fraction", forge(HEADER, { ...CLAIMS, iat: 1.5 }), "claims"],
    ["no expiry", forge(HEADER, without("exp")), "claims"],
    ["an expiry that is text", forge(HEADER, { ...CLAIMS, exp: "9999999999" }), "claims"],
    ["an expiry beyond all numbers", forge(HEADER, base64('{"exp":1e999}')), "malformed"],
    ["expired", forge(HEADER, { ...CLAIMS, exp: ISSUED / 1000 - 1 }), "expired"],
    ["not yet valid", forge(HEADER, { ...CLAIMS, nbf: EXPIRES / 1000 }), "claims"],
    ["a next that is no text", forge(HEADER, { ...CLAIMS, next: 1 }), "claims"],
    ["a next that is an object", forge(HEADER, { ...CLAIMS, next: {} }), "claims"],
    ["no origin", forge(HEADER, without("from")), "claims"],
    ["a binding that is a number", forge(HEADER, { ...CLAIMS, bind: 1 }), "claims"],
    ["a binding that is null", forge(HEADER, { ...CLAIMS, bind: null }), "claims"],
    ["claims that are a list", forge(HEADER, []), "malformed"],
    ["claims that are no JSON", forge(HEADER, "x"), "malformed"],
  ])("%s", async (_, token, problem) => {
    expect(await verdict(token)).toBe(problem);
  });
});

test("as a login cookie, a login link is refused", async () => {
  await expect(tickets.verify(LOGIN_REQUEST, link)).rejects.toMatchObject({ problem: "wrong_signature" });
  await expect(
    tickets.verify(LOGIN_REQUEST, forge(HEADER, CLAIMS, keyOf("login request"))),
  ).rejects.toMatchObject({
    problem: "wrong_type",
  });
});

test("any one character changed anywhere is noticed", async () => {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
  await fc.assert(
    fc.asyncProperty(fc.nat(link.length - 2), fc.nat(letters.length - 1), async (at, letter) => {
      const changed = link.slice(0, at) + letters[letter] + link.slice(at + 1);
      // The last character's low bits are not part of the signature, so it is left alone.
      expect((await verdict(changed)) === "good").toBe(changed === link);
    }),
    { numRuns: 500 },
  );
});

describe("expires to the second", () => {
  test.each([
    ["at the first", -(15 * 60_000), "good"],
    ["a second before", -1000, "good"],
    ["a millisecond before", -1, "good"],
    ["at the second", 0, "expired"],
    ["a millisecond after", 1, "expired"],
    ["a year after", 365 * 86_400_000, "expired"],
  ])("%s", async (_, offset, expected) => {
    const later = createTickets(keys, { audience: AUDIENCE, clock: testClock(EXPIRES + offset) });
    expect(await verdict(link, later)).toBe(expected);
  });
});

describe("RUNEGATE_JWT_SECRET_PREVIOUS", () => {
  const make = (current: number, previous?: number) =>
    createTickets(keysOf(current, previous), { audience: AUDIENCE, clock });

  test("what it signed is accepted", async () => {
    expect(await verdict(link, make(2, 1))).toBe("good");
    expect((await make(2, 1).verify(LOGIN_REQUEST, request)).email).toBe(TICKET.email);
  });

  test("it signs nothing", async () => {
    expect(await verdict(make(2, 1).sign(LOGIN_LINK, TICKET))).toBe("wrong_signature");
    expect(await verdict(make(2, 1).sign(LOGIN_LINK, TICKET), make(2))).toBe("good");
  });

  test("once it is gone, so is what it signed", async () => {
    expect(await verdict(link, make(2))).toBe("wrong_signature");
    expect(await verdict(link, make(3, 2))).toBe("wrong_signature");
  });

  test("it does not forgive anything else", async () => {
    const rotated = make(2, 1);
    expect(await verdict(forge({ ...HEADER, typ: "JWT" }, CLAIMS), rotated)).toBe("wrong_type");
    expect(await verdict(forge(HEADER, { ...CLAIMS, exp: 1 }), rotated)).toBe("expired");
    expect(await verdict(request, rotated)).toBe("wrong_signature");
  });
});
