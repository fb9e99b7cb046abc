import { describe, expect, test } from "bun:test";
import { readDecision } from "../../src/hooks/decision.ts";

/** What a hook may answer, and everything else. */

const none = new Set<string>();
const yes = { isAllowed: true, groups: none, maxAge: undefined } as const;

describe("an answer that decides", () => {
  test.each<[string, object]>([
    ['{"decision":"allow"}', yes],
    [' {"decision":"allow","message":"ignored","more":[1]}\n', yes],
    ['{"decision":"allow","groups":[]}', yes],
    [
      '{"decision":"allow","groups":["staff","lab_2","staff"]}',
      { ...yes, groups: new Set(["staff", "lab_2"]) },
    ],
    ['{"decision":"allow","groups":["admins"]}', yes],
    ['{"decision":"allow","groups":["staff","admins"]}', { ...yes, groups: new Set(["staff"]) }],
    ['{"decision":"allow","max_age":1}', { ...yes, maxAge: 1000 }],
    ['{"decision":"allow","max_age":31536000}', { ...yes, maxAge: 31_536_000_000 }],
    ['{"decision":"deny"}', { isAllowed: false, message: undefined }],
    ['{"decision":"deny","message":"No."}', { isAllowed: false, message: "No." }],
    // A no is one, whatever stands beside it.
    ['{"decision":"deny","message":7,"groups":"x"}', { isAllowed: false, message: undefined }],
    ['{"decision":"deny","message":" \\u0000\\n "}', { isAllowed: false, message: undefined }],
    ['{"decision":"deny","message":"a\\r\\n\\u202eb\\u2028c"}', { isAllowed: false, message: "a b c" }],
    ['{"decision":"deny","message":"<b>no</b>"}', { isAllowed: false, message: "<b>no</b>" }],
    [
      JSON.stringify({ decision: "deny", message: "\u{1f512}".repeat(300) }),
      { isAllowed: false, message: "\u{1f512}".repeat(200) },
    ],
  ])("%s", (text, decision) => expect(readDecision(200, text)).toEqual(decision as never));
});

describe("no answer that decides (I2)", () => {
  test.each([
    '{"decision":"Allow"}',
    '{"decision":" allow"}',
    '{"decision":true}',
    '{"decision":["allow"]}',
    '{"Decision":"allow"}',
    '[{"decision":"allow"}]',
    '"allow"',
    "allow",
    "true",
    "null",
    "",
    "{}",
    "<html><body>allow</body></html>",
    '{"decision":"allow"',
    '{"decision":"allow"}{}',
    '{"decision":"allow","groups":"staff"}',
    '{"decision":"allow","groups":null}',
    '{"decision":"allow","groups":[7]}',
    '{"decision":"allow","groups":["Staff"]}',
    '{"decision":"allow","groups":["x,admins"]}',
    '{"decision":"allow","groups":["admins\\n"]}',
    '{"decision":"allow","groups":[""]}',
    JSON.stringify({ decision: "allow", groups: Array.from({ length: 51 }, (_, n) => `g${n}`) }),
    '{"decision":"allow","max_age":0}',
    '{"decision":"allow","max_age":-1}',
    '{"decision":"allow","max_age":1.5}',
    '{"decision":"allow","max_age":"8h"}',
    '{"decision":"allow","max_age":null}',
    '{"decision":"allow","max_age":31536001}',
  ])("%s", (text) => expect(readDecision(200, text)).toBeUndefined());

  test.each([201, 202, 204, 206, 301, 302, 307, 400, 401, 403, 404, 410, 429, 500, 503])("a %d", (status) =>
    expect(readDecision(status, '{"decision":"allow"}')).toBeUndefined(),
  );
});
