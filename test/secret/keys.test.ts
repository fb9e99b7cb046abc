import { expect, test } from "bun:test";
import { keysOf } from "../support/keys.ts";

const hex = (key: Uint8Array | undefined) => key && Buffer.from(key).toString("hex");

/** What links, cookies, queued mail and sessions out there were made with: other bytes would void all of them. */
const KNOWN = [
  [
    "login link",
    "jwt",
    "2b9b2fb77bb6d70449c6252736c7191d5d080052204d9cb1e6bc9a648b99a286",
    "e04d349655d7b0f6e7291fc73d3467d7b7641649647ebafa2d93f99e9698c203",
  ],
  [
    "login request",
    "jwt",
    "6643f1c7a0bf546220b68f9d4d0f334d8cb371254c3f266201ba8b69f2afde5a",
    "41233330d6ebc362ce7024e39324b1a6aa04fa023e9a693c06bd4c350adaf8c9",
  ],
  [
    "login code",
    "jwt",
    "1caa07db927c34b070ea93065ff280a21b0bebd347ce95e9b0dd8a818aad8f4a",
    "625a759ef97e57bb2481eac6174182c9b13d4ecd4c99ab267e5168965c700e42",
  ],
  [
    "queued mail",
    "jwt",
    "f454743c37e654111387dad683e86da608453cb9c8134266d20f86e84bcfd821",
    "4fbed67ee6311893d78891c78c1da8f7a703dc69327f600551c582de3e0ad545",
  ],
  ["session id", "session", "bb565790aef052542f5814e76f0423a2294663d538285101e77923714d1e6e3c", undefined],
  [
    "session record",
    "session",
    "fdf3616c92eb6e8e882de102eed3f2083d72adaa7c2fe3da9868a880bc4fbf9e",
    undefined,
  ],
] as const;

test.each(KNOWN)("the key of a %s stays what it is", (purpose, from, current, previous) => {
  const pair = keysOf(1, 2, 3).for(purpose, from);
  expect([hex(pair.current), hex(pair.previous)]).toEqual([current, previous]);
});

test("every purpose has a key of its own", () => {
  const keys = keysOf(1, 2, 3, 4);
  const purposes = [...KNOWN.map(([purpose]) => purpose), "one to come", "runegate-handoff+jwt"];
  const pairs = purposes.flatMap((purpose) => [keys.for(purpose, "jwt"), keys.for(purpose, "session")]);
  const texts = pairs.flatMap(({ current, previous }) => [hex(current), hex(previous)]);
  expect(new Set(texts).size).toBe(4 * purposes.length);
  expect(texts.every((text) => text?.length === 64)).toBe(true);
});

test("a key is derived once", () => {
  const keys = keysOf(1);
  expect(keys.for("login link", "jwt")).toBe(keys.for("login link", "jwt"));
});
