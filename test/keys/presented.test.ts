import { describe, expect, test } from "bun:test";
import { isOwnCredential, presentedKey } from "../../src/keys/presented.ts";

/** Where a key may stand. What begins with `rg_` counts as one, good or not. */

const KEY = "rg_abc";
const basic = (pair: string) => `Basic ${btoa(pair)}`;

describe("a key is shown", () => {
  test.each<[string, Record<string, string>, string]>([
    ["as Bearer", { authorization: `Bearer ${KEY}` }, KEY],
    ["in any case of the scheme", { authorization: `bEaReR  ${KEY}` }, KEY],
    ["behind a tab", { authorization: `Bearer\t${KEY}` }, KEY],
    ["in its own header", { "x-runegate-key": KEY }, KEY],
    ["in its own header, whatever is in it", { "x-runegate-key": "x" }, "x"],
    ["as password", { authorization: basic(`ada:${KEY}`) }, KEY],
    ["as user name", { authorization: basic(`${KEY}:`) }, KEY],
    ["as password, with the line feed that a shell adds", { authorization: basic(`ada:${KEY}\n`) }, KEY],
    ["as both: the password counts", { authorization: basic(`rg_user:${KEY}`) }, KEY],
    ["as the whole", { authorization: basic(KEY) }, KEY],
    ["beside another's Authorization", { authorization: "Bearer eyJ", "x-runegate-key": KEY }, KEY],
  ])("%s", (_, headers, key) => expect(presentedKey(headers)).toEqual({ key }));
});

describe("more than one", () => {
  test.each<[string, Record<string, string>]>([
    ["in both headers", { authorization: `Bearer ${KEY}`, "x-runegate-key": KEY }],
    ["twice in one", { authorization: `Bearer ${KEY}, Bearer ${KEY}` }],
    ["beside another credential", { authorization: `Bearer eyJ, ${basic(`a:${KEY}`)}` }],
    ["twice in its own", { "x-runegate-key": `${KEY}, ${KEY}` }],
  ])("%s", (_, headers) => expect(presentedKey(headers)).toBe("several"));
});

const WHOLE = `rg_${"a".repeat(12)}_${"B".repeat(38)}`;

test.each([
  `Bearer "${WHOLE}"`,
  `Bearer:${WHOLE}`,
  `Bearer x${WHOLE}`,
  `Token ${WHOLE}`,
  WHOLE,
  `Digest username="${WHOLE}"`,
  basic(`a:b:${WHOLE}`),
])("a whole key in a way that none is shown in is refused, not handed on: %s", (authorization) => {
  expect(presentedKey({ authorization })).toEqual({ key: "" });
  expect(isOwnCredential(authorization)).toBe(true);
});

describe("is the application's", () => {
  test.each([
    "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
    "Basic YWRhOnNlY3JldA==",
    'Digest username="rg_abc", realm="x"',
    "rg_abc",
    "Token rg_abc",
    "Bearer",
    "Basic",
    "Basic !!!",
  ])("%s", (authorization) => {
    expect(presentedKey({ authorization })).toBeUndefined();
    expect(isOwnCredential(authorization)).toBe(false);
  });
});
