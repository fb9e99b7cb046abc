import { describe, expect, test } from "bun:test";
import { createFallback } from "../../src/mail/fallback.ts";
import { type BackendMailer, type Mail, MailError, permanent, temporary } from "../../src/mail/mailer.ts";
import { testClock } from "../support/clock.ts";
import { mailOf, NOW, recordingLog } from "./support.ts";

/** Back-ends that do what they are told at the moment, and an order in which they were asked. */
function setUp(count = 2) {
  const clock = testClock(NOW);
  const log = recordingLog();
  const asked: string[] = [];
  const does: ((mail: Mail) => void)[] = Array.from({ length: count }, () => () => {});
  const backends = does.map(
    (_, index): BackendMailer => ({
      name: `b${index}`,
      address: "",
      async send(mail) {
        asked.push(`b${index}`);
        does[index]?.(mail);
        return { by: `b${index}`, words: "250 ok" };
      },
      async verify() {},
    }),
  );
  const mailer = createFallback(backends, clock, log);
  /** Who has taken a mail, or why nobody has. */
  async function send(): Promise<string> {
    asked.length = 0;
    try {
      return (await mailer.send(mailOf())).by;
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
  }
  return { clock, log, asked, does, send };
}

const later = (reason: string) => () => {
  throw temporary(reason, "wait");
};

describe("several back-ends", () => {
  test("the first one takes all mail while it takes any", async () => {
    const { send, asked } = setUp();
    expect(await send()).toBe("b0");
    expect(asked).toEqual(["b0"]);
  });

  test("the next is tried when one has taken none for 10 s, not a moment before", async () => {
    const { send, asked, does, clock, log } = setUp();
    does[0] = later("busy");
    expect(await send()).toBe("busy");
    clock.advance(9_999);
    expect(await send()).toBe("busy");
    expect(asked).toEqual(["b0"]);
    clock.advance(1);
    expect(await send()).toBe("b1");
    // It was asked a moment ago.
    expect(asked).toEqual(["b1"]);
    // Said once, and that it is back too.
    expect(await send()).toBe("b1");
    expect(log.lines.map(({ level, message, fields }) => [level, message, fields.backend])).toEqual([
      ["error", "a mail back-end takes no mail, another is tried", "b0"],
    ]);
  });

  test("a conversation that took 10 s to fail is not waited for again", async () => {
    const { send, does, clock } = setUp();
    does[0] = () => {
      clock.advance(10_000);
      throw temporary("hangs", "wait");
    };
    expect(await send()).toBe("b1");
  });

  test("one that is down is left alone, tried again after 30 s, and first again when it is back", async () => {
    const { send, asked, does, clock, log } = setUp();
    does[0] = later("down");
    await send();
    clock.advance(10_000);
    await send();
    clock.advance(19_999);
    expect(await send()).toBe("b1");
    expect(asked).toEqual(["b1"]);
    clock.advance(1);
    await send();
    expect(asked).toEqual(["b0", "b1"]);
    does[0] = () => {};
    clock.advance(30_000);
    expect(await send()).toBe("b0");
    expect(await send()).toBe("b0");
    expect(log.lines.at(-1)).toMatchObject({ level: "info", fields: { backend: "b0" } });
  });

  test("one success in between starts the ten seconds again", async () => {
    const { send, does, clock } = setUp();
    does[0] = later("busy");
    await send();
    clock.advance(9_000);
    does[0] = () => {};
    expect(await send()).toBe("b0");
    does[0] = later("busy");
    await send();
    clock.advance(9_000);
    expect(await send()).toBe("busy");
  });

  test("a key that is refused counts as being down too", async () => {
    const { send, does, clock } = setUp();
    does[0] = () => {
      throw new MailError({ reason: "key", remedy: "", permanent: false, misconfigured: true });
    };
    await send();
    clock.advance(10_000);
    expect(await send()).toBe("b1");
  });

  test("so does a mistake of ours, which must not keep anybody out", async () => {
    const { send, does, clock } = setUp();
    does[0] = () => {
      throw new TypeError("undefined is not a function");
    };
    expect(await send()).toBe("undefined is not a function");
    clock.advance(10_000);
    expect(await send()).toBe("b1");
  });

  test("what is refused for good is asked of no other", async () => {
    const { send, asked, does, clock } = setUp();
    does[0] = () => {
      throw permanent("no such mailbox", "");
    };
    clock.advance(60_000);
    expect(await send()).toBe("no such mailbox");
    expect(asked).toEqual(["b0"]);
  });

  test("where all are down, each is tried, and the last one's reason is given", async () => {
    const { send, asked, does, clock } = setUp(3);
    for (const index of [0, 1, 2]) does[index] = later(`down ${index}`);
    for (const expected of ["down 0", "down 1", "down 2"]) {
      expect(await send()).toBe(expected);
      clock.advance(10_000);
    }
    expect(await send()).toBe("down 2");
    expect(asked.toSorted()).toEqual(["b0", "b1", "b2"]);
    does[1] = () => {};
    expect(await send()).toBe("b1");
  });
});
