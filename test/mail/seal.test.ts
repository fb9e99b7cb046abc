import { describe, expect, test } from "bun:test";
import { systemRandom } from "../../src/clock.ts";
import { createSeal } from "../../src/mail/seal.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { NOW } from "./support.ts";

const secret = (letter: string) => new TextEncoder().encode(letter.repeat(64));
const keysOf = (jwtSecret: Uint8Array, jwtSecretPrevious?: Uint8Array) =>
  createKeys({ jwtSecret, jwtSecretPrevious, sessionKey: secret("s"), sessionKeyPrevious: undefined });
const sealUnder = (...secrets: Parameters<typeof keysOf>) =>
  createSeal(keysOf(...secrets), systemRandom, () => false);

const OLD = secret("o");
const NEW = secret("n");
const ENTRY = {
  id: "0123",
  to: "ann@example.org",
  messageId: "<0123@gate.example>",
  queuedAt: NOW,
  expiresAt: NOW + 900_000,
};
const CONTENT = { subject: "Sign in", text: "Grüße, ABCD-2345", html: "<p>ABCD-2345</p>" };

test("a sealed mail opens to what it says, and shows nothing of it", async () => {
  const seal = sealUnder(NEW);
  for (const content of [CONTENT, { ...CONTENT, html: undefined }]) {
    const sealed = seal.seal(ENTRY, content);
    expect(await seal.open({ ...ENTRY, content: sealed })).toEqual(content);
    expect(sealed).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(Buffer.from(sealed, "base64url").toString("latin1")).not.toMatch(/ABCD|2345|Sign|subject/);
  }
});

test("the same mail is sealed otherwise each time", () => {
  const seal = sealUnder(NEW);
  expect(seal.seal(ENTRY, CONTENT)).not.toBe(seal.seal(ENTRY, CONTENT));
});

describe("after a change of the secret", () => {
  const content = sealUnder(OLD).seal(ENTRY, CONTENT);
  test.each<[string, ReturnType<typeof createSeal>, typeof CONTENT | undefined]>([
    ["the previous one opens what it sealed", sealUnder(NEW, OLD), CONTENT],
    ["without it nothing opens", sealUnder(NEW), undefined],
    ["another previous one is no help", sealUnder(NEW, secret("x")), undefined],
  ])("%s", async (_, seal, expected) => {
    expect(await seal.open({ ...ENTRY, content })).toEqual(expected);
  });

  test("the new one seals", async () => {
    const sealed = sealUnder(NEW, OLD).seal(ENTRY, CONTENT);
    expect(await sealUnder(NEW).open({ ...ENTRY, content: sealed })).toEqual(CONTENT);
    expect(await sealUnder(OLD).open({ ...ENTRY, content: sealed })).toBeUndefined();
  });
});

describe("whoever writes to the store gets no sealed mail opened", () => {
  const seal = sealUnder(NEW);
  const content = seal.seal(ENTRY, CONTENT);
  const flipped = Buffer.from(content, "base64url");
  flipped.writeUInt8(flipped.readUInt8(20) ^ 1, 20);
  test.each<[string, Partial<typeof ENTRY & { content: string }>]>([
    ["for another address", { to: "eve@example.net" }],
    ["in another entry", { id: "4567" }],
    ["for longer", { expiresAt: ENTRY.expiresAt + 1 }],
    ["as if queued later", { queuedAt: NOW + 1 }],
    ["with another Message-ID", { messageId: "<x@y>" }],
    ["with a bit changed", { content: flipped.toString("base64url") }],
    ["with the tag cut off", { content: content.slice(0, -22) }],
    ["with the tag cut short", { content: content.slice(0, -8) }],
    ["with nothing left", { content: "" }],
    ["with something else instead", { content: "🤷 not sealed" }],
  ])("%s", async (_, changes) => {
    expect(await seal.open({ ...ENTRY, content, ...changes })).toBeUndefined();
  });
});

describe("a mail that an older Runegate queued in clear", () => {
  const seal = createSeal(keysOf(NEW), systemRandom, async () => true);
  test.each<[string, string, typeof CONTENT | { html: undefined } | undefined]>([
    ["is sent", JSON.stringify(CONTENT), CONTENT],
    [
      "has no HTML where the database has NULL",
      JSON.stringify({ ...CONTENT, html: null }),
      { ...CONTENT, html: undefined },
    ],
    ["is none without a text", '{"subject":"Sign in"}', undefined],
    ["is none where that is no text", '{"subject":"Sign in","text":{}}', undefined],
    ["is none if it cannot be parsed", '{"subject":', undefined],
  ])("%s", async (_, content, expected) => {
    expect(await seal.open({ ...ENTRY, content })).toEqual(expected as never);
  });

  test("is none once nothing is taken over any more: somebody else wrote it", async () => {
    expect(await sealUnder(NEW).open({ ...ENTRY, content: JSON.stringify(CONTENT) })).toBeUndefined();
  });
});
