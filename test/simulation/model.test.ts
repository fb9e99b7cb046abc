import { describe, expect, test } from "bun:test";
import {
  type Answer,
  type Hit,
  judgeAllowed,
  judgeLimited,
  judgeRedemption,
  judgeStream,
  judgeUse,
  newSession,
  RULES,
  type Session,
  type Span,
  type Ticket,
} from "./model.ts";
import { createTroubles, HEALED_AFTER_MS } from "./troubles.ts";

/** That the model finds what is wrong, and nothing where all is well. */

const at = (from: number, to = from + 10): Span => ({ from, to });
const session = (facts: Partial<Session> = {}): Session => ({
  ...newSession("ada@example.org", at(0)),
  ...facts,
});
const calm = createTroubles(() => 0);

/** Gateway 1 is cut off from 10,000 to 20,000. */
function cutOff() {
  let now = 10_000;
  const troubles = createTroubles(() => now);
  const cut = troubles.begin("cut silent", 1);
  now = 20_000;
  cut.until = now;
  return troubles;
}

describe("a session", () => {
  const ENDED = { mayEndFrom: 1_000, endedBy: 1_100 };
  test.each<[string, Session, Span, Answer, string | undefined]>([
    ["live, let in", session(), at(1_000), "in", undefined],
    ["live, refused", session(), at(1_000), "out", "refused though it had not ended"],
    ["live, 503", session(), at(1_000), "away", '"away" though nothing was wrong'],
    ["ended just now, let in", session(ENDED), at(6_000), "in", undefined],
    ["ended, let in", session(ENDED), at(6_200), "in", "let in 5100 ms after it had ended"],
    ["ended, refused", session(ENDED), at(1_200), "out", undefined],
    ["perhaps ended, let in", session({ mayEndFrom: 1_000 }), at(50_000), "in", undefined],
    ["perhaps ended, refused", session({ mayEndFrom: 1_000 }), at(2_000), "out", undefined],
    [
      "refused before it was ended",
      session({ mayEndFrom: 9_000 }),
      at(2_000),
      "out",
      "refused though it had not ended",
    ],
    ["too old, let in", session({ used: at(80_000) }), at(91_000), "in", "let in after its time"],
    ["too old, refused", session({ used: at(80_000) }), at(91_000), "out", undefined],
    ["rested, let in", session(), at(66_000), "in", "let in after too long a rest"],
    ["rested, refused", session(), at(61_000), "out", undefined],
    ["used, refused", session({ used: at(40_000) }), at(65_000), "out", "refused though it had not ended"],
  ])("%s", (_, state, span, answer, problem) => {
    expect(judgeUse(state, span, 1, answer, calm)).toBe(problem);
  });

  test.each<[string, number, Span, Answer, string | undefined]>([
    ["while its gateway is cut off, for a moment", 1, at(14_000), "in", undefined],
    ["while its gateway is cut off", 1, at(16_000), "in", "let in 6000 ms after the store was away"],
    ["at another gateway", 2, at(16_000), "in", undefined],
    ["no answer there", 1, at(16_000), "none", undefined],
    ["no answer at another", 2, at(16_000), "none", '"none" though nothing was wrong'],
    ["signed out by a cut", 1, at(16_000), "out", "refused though it had not ended"],
    ["503 just after it", 1, at(20_000 + HEALED_AFTER_MS), "away", undefined],
    ["503 long after it", 1, at(20_001 + HEALED_AFTER_MS), "away", '"away" though nothing was wrong'],
  ])("%s", (_, gateway, span, answer, problem) => {
    expect(judgeUse(session(), span, gateway, answer, cutOff())).toBe(problem);
  });
});

describe("a link", () => {
  const ticket = (facts: Partial<Ticket> = {}): Ticket => ({
    ...{ email: "ada@example.org", asked: at(0), spent: "no", shutOutBy: Number.POSITIVE_INFINITY },
    ...facts,
  });
  test.each<[string, Ticket, readonly Answer[], number, string | undefined]>([
    ["good, once", ticket(), ["in"], 1_000, undefined],
    ["good, twice at once", ticket(), ["in", "out"], 1_000, undefined],
    ["good, and both let in", ticket(), ["in", "in"], 1_000, "2 at once were let in by one link"],
    ["good, and both refused", ticket(), ["out", "out"], 1_000, "a good link was refused"],
    ["used, let in", ticket({ spent: "yes" }), ["in"], 1_000, "let in by a link that was used"],
    ["used, refused", ticket({ spent: "yes" }), ["out"], 1_000, undefined],
    ["perhaps used", ticket({ spent: "perhaps" }), ["out"], 1_000, undefined],
    ["too old, let in", ticket(), ["in"], RULES.linkLife + 11, "let in by a link after its time"],
    ["too old, refused", ticket(), ["out"], RULES.linkLife, undefined],
    ["shut out, let in", ticket({ shutOutBy: 1_000 }), ["in"], 6_001, "let in though shut out"],
    ["shut out, refused", ticket({ shutOutBy: 1_000 }), ["out"], 1_001, undefined],
    ["no answer in the calm", ticket(), ["none"], 1_000, '"none" though nothing was wrong'],
  ])("%s", (_, one, answers, from, problem) => {
    const tries = answers.map((answer) => ({ span: at(from), gateway: 1, answer }));
    expect(judgeRedemption(one, tries, calm)).toBe(problem);
  });
});

describe("a limit of two in 60 s", () => {
  const hits = (...from: number[]): Hit[] => from.map((one) => ({ span: at(one), counted: "yes" }));
  test.each<[string, Hit[], number, string | undefined, string | undefined]>([
    ["with none before", [], 0, undefined, "limited, with 0 of 2 in 60 s before"],
    ["with one before", hits(0), 100, undefined, "limited, with 1 of 2 in 60 s before"],
    ["with two before", hits(0, 50), 100, "allowed, with 2 of 2 in 60 s before", undefined],
    [
      "with one of two that is long past",
      hits(0, 50),
      60_600,
      undefined,
      "limited, with 0 of 2 in 60 s before",
    ],
    ["on the edge, where nobody can tell", hits(0, 50), 60_030, undefined, undefined],
    [
      "with one that was perhaps counted",
      [...hits(0), { span: at(50), counted: "perhaps" }],
      100,
      undefined,
      undefined,
    ],
  ])("%s", (_, before, from, ifAllowed, ifLimited) => {
    expect(judgeAllowed(before, at(from), 2, 60_000, calm)).toBe(ifAllowed);
    expect(judgeLimited(before, at(from), 2, 60_000)).toBe(ifLimited);
  });

  test("the last moments of what is counted go with a store that is killed", () => {
    let now = 500;
    const troubles = createTroubles(() => now);
    const killed = troubles.begin("store killed", undefined);
    now = 2_000;
    killed.until = now;
    expect(judgeAllowed(hits(0, 50), at(3_000), 2, 60_000, troubles)).toBeUndefined();
    expect(judgeAllowed(hits(2_100, 2_200), at(3_000), 2, 60_000, troubles)).toBeString();
  });
});

test("a stream closes within five seconds of its session's end", () => {
  expect(judgeStream(1_000, 5_900, 9_000)).toBeUndefined();
  expect(judgeStream(1_000, 6_600, 9_000)).toBe("a stream was open 5600 ms after its session had ended");
  expect(judgeStream(1_000, undefined, 9_000)).toBe("a stream was open 8000 ms after its session had ended");
});
