import { afterAll, describe, expect, test } from "bun:test";
import type { Clock } from "../../src/clock.ts";
import { createCeiling } from "../../src/mail/ceiling.ts";
import { type Mail, MailError } from "../../src/mail/mailer.ts";
import { createOutbox, NEVER_SENT, type NewMail, type OutboxSettings } from "../../src/mail/outbox.ts";
import { createSeal } from "../../src/mail/seal.ts";
import { createSmtpMailer } from "../../src/mail/smtp.ts";
import {
  CAPACITY,
  createWaitingMails,
  type OutboxEntry,
  RESERVED,
  type WaitingMails,
} from "../../src/mail/waiting.ts";
import { createMemoryLimits } from "../../src/store/memory/limits.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { testClock } from "../support/clock.ts";
import { keysOf } from "../support/keys.ts";
import { SILENT } from "../support/silent.ts";
import { emailConfig, startSmtp } from "../support/smtp.ts";
import { countingRandom, NOW, recordingLog, until } from "./support.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

function newMail(changes: Partial<NewMail> = {}): NewMail {
  return {
    to: "ann@example.org",
    content: {
      subject: "a subject nobody logs",
      text: "https://gate.example/auth?token=a-secret-token and ABCD-2345",
      html: undefined,
    },
    expiresAt: NOW + 15 * MINUTE,
    cooldownKey: "cooldown:ann@example.org",
    first: false,
    ...changes,
  };
}

function failing(kind: "temporary" | "permanent" | "misconfigured"): MailError {
  return new MailError({
    reason: `it is ${kind}`,
    remedy: "",
    permanent: kind === "permanent",
    misconfigured: kind === "misconfigured",
  });
}

/** So many mails that wait for a later time. */
async function occupy(store: WaitingMails, mails: number, reserved = false): Promise<void> {
  const entry = { to: "later@example.org", content: "", messageId: "", attempts: 0, cooldownKey: undefined };
  const times = { queuedAt: NOW, expiresAt: NOW + HOUR, nextAttemptAt: NOW + HOUR };
  for (let i = 0; i < mails; i++)
    await store.add({ ...entry, ...times, id: `later${i}`, first: reserved }, reserved);
}

const memoryMails = (clock: Clock) => createWaitingMails(createMemoryStore({ clock }), SILENT);

/** An outbox whose mailer does what `send` says, with everything that happened on record. */
function setUp(
  send: (mail: Mail) => Promise<unknown>,
  changes: Partial<OutboxSettings> & { mailCeiling?: number } = {},
) {
  const clock = testClock(NOW);
  const log = recordingLog();
  const store = memoryMails(clock);
  const random = countingRandom();
  const limits = createMemoryLimits(clock);
  const attempts: { at: number; mail: Mail }[] = [];
  const givenUp: { entry: OutboxEntry; reason: string }[] = [];
  const sent: OutboxEntry[] = [];
  const outbox = createOutbox({
    store,
    limits,
    ceiling: createCeiling({ mailCeiling: changes.mailCeiling ?? 0, limits, clock, log }),
    seal: createSeal(keysOf(1), random, () => false),
    mailer: {
      async send(mail) {
        attempts.push({ at: clock.now() - NOW, mail });
        await send(mail);
        return { by: "test", words: "250 ok" };
      },
    },
    clock,
    random,
    log,
    from: "runegate.test",
    onGivenUp: (entry, reason) => void givenUp.push({ entry, reason }),
    onSent: (entry) => void sent.push(entry),
    ...changes,
  });
  return { clock, log, store, limits, attempts, givenUp, sent, outbox };
}

/** Moves the clock from one due time to the next until nothing waits any more. */
async function runDry({ clock, store, outbox }: ReturnType<typeof setUp>): Promise<void> {
  await outbox.runDue();
  for (let next = await store.nextDue(); next !== undefined; next = await store.nextDue()) {
    clock.advance(Math.max(0, next - clock.now()));
    await outbox.runDue();
  }
}

describe("a mail that can be sent", () => {
  test("is stored by queue, sent by the worker, and then forgotten", async () => {
    const world = setUp(async () => {});
    expect(await world.outbox.queue(newMail())).toBe(true);
    expect(world.attempts).toEqual([]);
    await world.outbox.runDue();
    expect(world.attempts).toHaveLength(1);
    expect(world.attempts[0]?.mail).toMatchObject({
      to: "ann@example.org",
      queuedAt: NOW,
      messageId: expect.stringMatching(/^<[0-9a-f]{32}@runegate\.test>$/),
    });
    expect(world.sent).toHaveLength(1);
    expect(await world.store.nextDue()).toBeUndefined();
    expect(world.log.lines).toEqual([
      { level: "info", message: "mail sent", fields: { to: "ann@example.org", attempt: 1 } },
    ]);
    await world.outbox.runDue();
    expect(world.attempts).toHaveLength(1);
  });

  test("each has a Message-ID of its own, the same at every attempt", async () => {
    let fails = 2;
    const world = setUp(async () => {
      if (fails-- > 0) throw failing("temporary");
    });
    await world.outbox.queue(newMail());
    await runDry(world);
    await world.outbox.queue(newMail());
    await runDry(world);
    const ids = world.attempts.map(({ mail }) => mail.messageId);
    expect(ids).toHaveLength(4);
    expect(new Set(ids.slice(0, 3)).size).toBe(1);
    expect(ids[3]).not.toBe(ids[0]);
  });
});

describe("a mail that cannot be sent yet", () => {
  test("is tried again after 2 s, 10 s, 30 s, 60 s, then every 2 minutes, and given up when it is of no use", async () => {
    const world = setUp(async () => {
      throw failing("temporary");
    });
    await world.outbox.queue(newMail({ expiresAt: NOW + 7 * MINUTE }));
    await runDry(world);
    expect(world.attempts.map(({ at }) => at / SECOND)).toEqual([0, 2, 12, 42, 102, 222, 342]);
    expect(world.givenUp).toHaveLength(1);
    expect(world.givenUp[0]).toMatchObject({
      entry: { cooldownKey: "cooldown:ann@example.org", attempts: 7 },
      reason: "it is temporary",
    });
    expect(world.log.lines.map((line) => line.message)).toEqual([
      ...Array(6).fill("mail failed, will try again"),
      "mail given up",
    ]);
    expect(world.log.lines[0]).toEqual({
      level: "warn",
      message: "mail failed, will try again",
      fields: { to: "ann@example.org", attempt: 1, reason: "it is temporary" },
    });
  });

  test("waits up to a tenth longer, as chance has it", async () => {
    const world = setUp(
      async () => {
        throw failing("temporary");
      },
      { random: { bytes: (length) => new Uint8Array(length).fill(255) } },
    );
    await world.outbox.queue(newMail());
    await world.outbox.runDue();
    expect(await world.store.nextDue()).toBe(NOW + 2.2 * SECOND);
  });

  test("is not tried before its time", async () => {
    const world = setUp(async () => {
      throw failing("temporary");
    });
    await world.outbox.queue(newMail());
    await world.outbox.runDue();
    world.clock.advance(2 * SECOND - 1);
    await world.outbox.runDue();
    expect(world.attempts).toHaveLength(1);
    world.clock.advance(1);
    await world.outbox.runDue();
    expect(world.attempts).toHaveLength(2);
  });

  test("is an error in the log where only an operator can help", async () => {
    const world = setUp(async () => {
      throw failing("misconfigured");
    });
    await world.outbox.queue(newMail());
    await world.outbox.runDue();
    expect(world.log.lines.map(({ level, message }) => [level, message])).toEqual([
      ["error", "mail failed, will try again"],
    ]);
  });

  test("is tried again after an error that no mailer should have", async () => {
    let fails = 1;
    const world = setUp(async () => {
      if (fails-- > 0) throw new TypeError("oops");
    });
    await world.outbox.queue(newMail());
    await runDry(world);
    expect(world.sent).toHaveLength(1);
  });

  test("is given up without another attempt if its time ran out while nobody looked", async () => {
    const world = setUp(async () => {});
    await world.outbox.queue(newMail({ expiresAt: NOW + MINUTE }));
    world.clock.advance(MINUTE);
    await world.outbox.runDue();
    expect(world.attempts).toEqual([]);
    expect(world.givenUp).toHaveLength(1);
  });
});

test("a mail that is refused for good is given up at once", async () => {
  const world = setUp(async () => {
    throw failing("permanent");
  });
  await world.outbox.queue(newMail());
  await world.outbox.runDue();
  expect(world.attempts).toHaveLength(1);
  expect(world.givenUp.map(({ reason }) => reason)).toEqual(["it is permanent"]);
  expect(await world.store.nextDue()).toBeUndefined();
  expect(world.log.lines).toEqual([
    {
      level: "error",
      message: "mail given up",
      fields: { to: "ann@example.org", attempt: 1, reason: "it is permanent" },
    },
  ]);
});

test("a mail that cannot be opened is given up at once, and the others are sent", async () => {
  const world = setUp(async () => {});
  await world.outbox.queue(newMail({ to: "lost@example.org" }));
  const [lost] = await world.store.claim(false, NOW, NOW, 1);
  if (lost === undefined) throw new Error("nothing was queued");
  await world.store.remove(lost.id);
  await world.store.add({ ...lost, content: lost.content.slice(4) });
  await world.outbox.queue(newMail());
  await world.outbox.runDue();
  expect(world.sent.map(({ to }) => to)).toEqual(["ann@example.org"]);
  expect(world.givenUp.map(({ entry }) => entry.to)).toEqual(["lost@example.org"]);
  expect(world.log.lines[0]).toMatchObject({ level: "error", message: "mail given up" });
  expect(world.log.lines[0]?.fields.reason).toContain("RUNEGATE_JWT_SECRET_PREVIOUS");
  expect(await world.store.nextDue()).toBeUndefined();
});

test("no line of the log has anything of the mail but its address", async () => {
  const kinds = ["temporary", "misconfigured", "permanent"] as const;
  let next = 0;
  const world = setUp(async () => {
    const kind = kinds[next++];
    if (kind !== undefined) throw failing(kind);
  });
  await world.outbox.queue(newMail());
  await runDry(world);
  await world.outbox.queue(newMail());
  await runDry(world);
  expect(world.log.lines.length).toBeGreaterThan(3);
  expect(JSON.stringify(world.log.lines)).not.toMatch(/secret|token|ABCD|2345|nobody logs/);
});

describe("a server that hangs", () => {
  /** Mail to `slow…` waits until released. */
  function slowly() {
    const releases: (() => void)[] = [];
    const world = setUp((entry) =>
      entry.to.startsWith("slow")
        ? new Promise<void>((resolve) => releases.push(resolve))
        : Promise.resolve(),
    );
    return { world, releaseAll: () => releases.splice(0).map((release) => release()) };
  }

  test("holds up its own mail only", async () => {
    const { world, releaseAll } = slowly();
    world.outbox.start();
    for (const to of ["slow1@example.org", "slow2@example.org", "quick1@example.org"]) {
      await world.outbox.queue(newMail({ to }));
    }
    await until(() => world.sent.length === 1);
    await world.outbox.queue(newMail({ to: "quick2@example.org" }));
    await until(() => world.sent.length === 2);
    expect(world.sent.map((entry) => entry.to)).toEqual(["quick1@example.org", "quick2@example.org"]);
    expect(world.outbox.underway()).toBe(2);
    releaseAll();
    await world.outbox.stop();
    expect(world.sent).toHaveLength(4);
  });

  test("has at most four of our conversations open, one of them for those that go first, and the rest follow", async () => {
    const { world, releaseAll } = slowly();
    const queue = (to: string, first: boolean) => world.outbox.queue(newMail({ to, first }));
    for (let n = 1; n <= 4; n++) await queue(`slow${n}@example.org`, false);
    const running = world.outbox.runDue();
    await until(() => world.outbox.underway() === 3);
    for (let n = 1; n <= 2; n++) await queue(`slow-first${n}@example.org`, true);
    void world.outbox.runDue();
    await until(() => world.outbox.underway() === 4);
    expect(world.attempts.at(-1)?.mail.to).toBe("slow-first1@example.org");
    // A pass that finds no room starts nothing.
    void world.outbox.runDue();
    await until(() => world.attempts.length >= 4);
    expect(world.attempts).toHaveLength(4);
    releaseAll();
    await until(() => world.attempts.length === 6);
    releaseAll();
    await running;
    expect(world.sent).toHaveLength(6);
  });

  test("does not have its mail sent a second time while the first attempt is under way", async () => {
    let release = () => {};
    const world = setUp(
      () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    );
    await world.outbox.queue(newMail());
    const running = world.outbox.runDue();
    await until(() => world.attempts.length === 1);
    world.clock.advance(10 * MINUTE);
    const again = world.outbox.runDue();
    await until(() => world.outbox.underway() === 1);
    release();
    await Promise.all([running, again]);
    expect(world.attempts).toHaveLength(1);
    expect(world.sent).toHaveLength(1);
  });
});

describe("a store that fails", () => {
  /** A memory store whose methods fail while told to. */
  function fragile() {
    const store = memoryMails(testClock(NOW));
    const broken = new Set<keyof WaitingMails>();
    const guard =
      <Args extends unknown[], Result>(name: keyof WaitingMails, method: (...args: Args) => Result) =>
      (...args: Args): Result => {
        if (broken.has(name)) throw new StoreUnavailable("the store is away");
        return method(...args);
      };
    const guarded: WaitingMails = {
      ...store,
      add: guard("add", store.add),
      claim: guard("claim", store.claim),
      nextDue: guard("nextDue", store.nextDue),
      postpone: guard("postpone", store.postpone),
      remove: guard("remove", store.remove),
    };
    return { guarded, broken };
  }

  test("when queueing: the mail is not queued, and that is logged", async () => {
    const { guarded, broken } = fragile();
    const world = setUp(async () => {}, { store: guarded });
    broken.add("add");
    await expect(world.outbox.queue(newMail())).rejects.toThrow(StoreUnavailable);
    expect(world.log.lines).toEqual([
      {
        level: "error",
        message: "mail not queued",
        fields: { to: "ann@example.org", reason: "the store is away" },
      },
    ]);
  });

  test.each<[keyof WaitingMails, number]>([
    ["claim", 0],
    ["nextDue", 1],
    ["remove", 1],
  ])("at %s: it is logged, tried again later, and the mail is sent once", async (method, before) => {
    const { guarded, broken } = fragile();
    const world = setUp(async () => {}, { store: guarded });
    await world.outbox.queue(newMail());
    broken.add(method);
    await world.outbox.runDue();
    expect(world.attempts).toHaveLength(before);
    expect(world.log.lines.map((line) => line.message)).toContain("outbox store failed, will try again");
    broken.clear();
    world.clock.advance(2 * MINUTE);
    await world.outbox.runDue();
    expect(world.attempts).toHaveLength(1);
    expect(await guarded.nextDue()).toBeUndefined();
  });
});

test("hooks that throw are logged and harm nothing", async () => {
  const world = setUp(async () => {}, {
    onSent: () => {
      throw new Error("audit is full");
    },
  });
  await world.outbox.queue(newMail());
  await world.outbox.runDue();
  expect(world.log.lines.map((line) => line.message)).toEqual(["mail sent", "outbox hook failed"]);
  expect(await world.store.nextDue()).toBeUndefined();
});

describe("the worker", () => {
  test("sends what waits when it starts and what comes later, by itself, and stops", async () => {
    const world = setUp(async () => {});
    await world.outbox.queue(newMail());
    world.outbox.start();
    await until(() => world.sent.length === 1);
    await world.outbox.queue(newMail());
    await until(() => world.sent.length === 2);
    await world.outbox.stop();
    await world.outbox.queue(newMail());
    expect(world.sent).toHaveLength(2);
  });

  test("takes up at once what is queued while it asks the store when to wake", async () => {
    const store = memoryMails(testClock(NOW));
    let answer: (next: number) => void = () => {};
    let asked = false;
    const slow: WaitingMails = {
      ...store,
      nextDue() {
        if (asked) return store.nextDue();
        asked = true;
        return new Promise((resolve) => {
          answer = resolve;
        });
      },
    };
    const world = setUp(async () => {}, { store: slow });
    world.outbox.start();
    await until(() => asked);
    await world.outbox.queue(newMail());
    answer(NOW + 60 * MINUTE);
    await until(() => world.sent.length === 1);
    await world.outbox.stop();
  });

  test("lets the mail under way finish when it stops", async () => {
    let release = () => {};
    const world = setUp(
      () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    );
    world.outbox.start();
    await world.outbox.queue(newMail());
    await until(() => world.outbox.underway() === 1);
    const stopping = world.outbox.stop();
    release();
    await stopping;
    expect(world.sent).toHaveLength(1);
    expect(world.outbox.underway()).toBe(0);
  });
});

describe("with a real SMTP server", () => {
  const servers: { stop(): Promise<void> }[] = [];
  afterAll(async () => {
    for (const server of servers) await server.stop();
  });

  const HANGS = "hangs@example.org";
  async function withServer() {
    const server = await startSmtp();
    servers.push(server);
    const config = emailConfig(server.port);
    // Short for those that are to hang alone: others may take their time on a busy machine.
    const hanging = createSmtpMailer(config, { ca: server.ca, idleTimeout: 1_500 });
    const usual = createSmtpMailer(config, { ca: server.ca });
    const world = setUp((mail) => (mail.to === HANGS ? hanging : usual).send(mail));
    return { server, world };
  }

  test("queue comes back before the server hears anything", async () => {
    const { server, world } = await withServer();
    world.outbox.start();
    await world.outbox.queue(newMail());
    // Everything that needs no turn of the event loop: an answer would be on its way after this.
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
    expect(server.connections()).toBe(0);
    expect(world.attempts).toEqual([]);
    await until(() => server.messages.length === 1);
    await world.outbox.stop();
  });

  test("one that is away is tried again until it is back", async () => {
    const { server, world } = await withServer();
    await server.away();
    await world.outbox.queue(newMail());
    await world.outbox.runDue();
    world.clock.advance(2 * SECOND);
    await world.outbox.runDue();
    expect(world.attempts).toHaveLength(2);
    await server.back();
    world.clock.advance(10 * SECOND);
    await world.outbox.runDue();
    expect(server.messages.map((message) => message.to)).toEqual([["ann@example.org"]]);
    expect(world.sent).toHaveLength(1);
  });

  test("one that hangs is left after the timeout and tried again; the next mail is not held up by it", async () => {
    const { server, world } = await withServer();
    server.behavior.hangAfterData = (recipient) => recipient === HANGS;
    await world.outbox.queue(newMail({ to: HANGS }));
    const running = world.outbox.runDue();
    await until(() => server.recipients.length === 1);
    await world.outbox.queue(newMail({ to: "next@example.org" }));
    const next = world.outbox.runDue();
    await until(() => world.sent.length === 1);
    expect(world.sent[0]?.to).toBe("next@example.org");
    expect(world.outbox.underway()).toBe(1);
    await Promise.all([running, next]);
    expect(world.log.lines.map((line) => line.message)).toContain("mail failed, will try again");
    server.behavior.hangAfterData = () => false;
    world.clock.advance(2 * SECOND);
    await world.outbox.runDue();
    expect(world.sent).toHaveLength(2);
  });

  test("one that knows no such recipient ends it at once", async () => {
    const { server, world } = await withServer();
    server.behavior.refuseRecipient = () => ({ code: 550, text: "5.1.1 no such user" });
    await world.outbox.queue(newMail());
    await world.outbox.runDue();
    expect(server.recipients).toEqual(["ann@example.org"]);
    expect(world.givenUp.map(({ reason }) => reason)).toEqual([
      `127.0.0.1:${server.port} refused the recipient: 550 5.1.1 no such user`,
    ]);
  });
});

test("mails that are never sent leave room for others while the mail server hangs", async () => {
  const hanging = Promise.withResolvers<void>();
  const world = setUp(() => hanging.promise);
  const { store } = world;
  await occupy(store, CAPACITY - 20);
  for (let i = 0; i < 3; i++) await world.outbox.queue(newMail());
  world.outbox.start();
  await until(() => world.attempts.length === 3);
  for (let i = 3; i < 20; i++) await world.outbox.queue(newMail({ expiresAt: NEVER_SENT }));
  expect(await world.outbox.queue(newMail())).toBe(false);
  // Those under way are due again at the end of their claim, and nothing before that.
  while ((await store.nextDue()) === NOW) await Bun.sleep(2);
  expect(await world.outbox.queue(newMail())).toBe(true);
  expect(world.attempts).toHaveLength(3);
  hanging.resolve();
  await world.outbox.stop();
});

describe("a full outbox", () => {
  test("takes no mail, whoever it is to, and says so once a minute", async () => {
    const world = setUp(async () => {});
    await occupy(world.store, CAPACITY - 1);
    expect(await world.outbox.queue(newMail())).toBe(true);
    for (const first of [false, true, false])
      expect(await world.outbox.queue(newMail({ first }))).toBe(false);
    expect(world.log.lines).toEqual([
      {
        level: "error",
        message: "the outbox is full: nobody is promised another mail",
        fields: { waiting: CAPACITY },
      },
    ]);
    world.clock.advance(MINUTE);
    expect(await world.outbox.queue(newMail())).toBe(false);
    expect(world.log.lines).toHaveLength(2);
  });

  test("sends to those that go first all the same, once in five minutes each, and never to the others", async () => {
    const world = setUp(async () => {});
    await occupy(world.store, CAPACITY);
    world.outbox.start();
    const ask = async (name: string, first: boolean) =>
      expect(
        await world.outbox.queue(
          newMail({ to: `${name}@example.org`, cooldownKey: `mail:${name}@example.org`, first }),
        ),
      ).toBe(false);
    await ask("known", true);
    await ask("unknown", false);
    for (let i = 0; i < 20; i++) await ask("known", true);
    await ask("other", true);
    // By then every one of them has had its time.
    await until(() => world.sent.length >= 2);
    world.clock.advance(5 * MINUTE);
    await ask("known", true);
    await until(() => world.sent.length >= 3);
    await world.outbox.stop();
    expect(world.sent.map(({ to }) => to).sort()).toEqual([
      "known@example.org",
      "known@example.org",
      "other@example.org",
    ]);
  });

  test("has room for a thousand of those and no more", async () => {
    const world = setUp(async () => {});
    await occupy(world.store, CAPACITY);
    await occupy(world.store, RESERVED - 1, true);
    world.outbox.start();
    for (const name of ["a", "b"]) {
      await world.outbox.queue(newMail({ to: `${name}@example.org`, cooldownKey: name, first: true }));
    }
    await until(() => world.sent.length === 1);
    await world.outbox.stop();
  });
});

describe("those that go first", () => {
  test("are sent before the others that have waited for longer, after a failure too", async () => {
    let fails = 1;
    const world = setUp(async (mail) => {
      if (mail.to === "first@example.org" && fails-- > 0) throw failing("temporary");
    });
    for (let i = 0; i < 50; i++) await world.outbox.queue(newMail({ to: `other${i}@example.org` }));
    world.clock.advance(SECOND);
    await world.outbox.queue(newMail({ to: "first@example.org", first: true }));
    await world.outbox.runDue();
    expect(world.attempts[0]?.mail.to).toBe("first@example.org");
    for (let i = 0; i < 50; i++) await world.outbox.queue(newMail({ to: `more${i}@example.org` }));
    world.clock.advance(2 * SECOND);
    await world.outbox.runDue();
    expect(world.attempts[51]?.mail.to).toBe("first@example.org");
  });
});

describe("the mail ceiling", () => {
  const ask = (world: ReturnType<typeof setUp>, count: number, first = false) =>
    Promise.all(
      Array.from({ length: count }, () =>
        world.outbox.queue(newMail({ first, expiresAt: world.clock.now() + 90 * MINUTE })),
      ),
    );

  test("lets so many mails an hour out, three quarters of them to addresses that may be invented", async () => {
    const world = setUp(async () => {}, { mailCeiling: 20 });
    await ask(world, 100);
    await world.outbox.runDue();
    expect(world.sent).toHaveLength(15);
    await ask(world, 100, true);
    await world.outbox.runDue();
    expect(world.sent).toHaveLength(20);
    expect(world.sent.slice(15).every(({ first }) => first)).toBe(true);
  });

  test("keeps what is over it until there is room, and counts no mail twice", async () => {
    let fails = 3;
    const world = setUp(
      async () => {
        if (fails-- > 0) throw failing("temporary");
      },
      { mailCeiling: 20 },
    );
    await ask(world, 20);
    await runDry(world);
    expect(world.sent).toHaveLength(20);
    expect(world.givenUp).toEqual([]);
    // Three were tried twice. Fifteen in the first hour, and the rest when those are an hour old.
    expect(world.attempts).toHaveLength(23);
    expect(world.attempts.filter(({ at }) => at < HOUR)).toHaveLength(18);
  });

  test("gives up what would be of no use by then, at once, and does not say that its address may be asked for again", async () => {
    const world = setUp(async () => {}, { mailCeiling: 4 });
    const why: string[] = [];
    const outbox = setUp(async () => {}, {
      mailCeiling: 4,
      onGivenUp: (_, __, one) => void why.push(one),
    }).outbox;
    for (const one of [world.outbox, outbox]) for (let i = 0; i < 10; i++) await one.queue(newMail());
    await world.outbox.runDue();
    await outbox.runDue();
    expect(world.sent).toHaveLength(3);
    expect(world.givenUp.map(({ reason }) => reason)).toEqual(Array(7).fill("The mail ceiling is reached."));
    expect(await world.store.nextDue()).toBeUndefined();
    expect(why).toEqual(Array(7).fill("withheld"));
  });

  test("is told once each time it is reached, not for each mail", async () => {
    const world = setUp(async () => {}, { mailCeiling: 4 });
    for (let minute = 0; minute < 120; minute++) {
      for (let i = 0; i < 3; i++)
        await world.outbox.queue(newMail({ expiresAt: world.clock.now() + 15 * MINUTE }));
      await world.outbox.runDue();
      world.clock.advance(MINUTE);
    }
    const said = world.log.lines.filter(({ level }) => level !== "info");
    expect(said).toEqual(
      Array(2).fill({
        level: "warn",
        message: "the mail ceiling is reached",
        fields: {
          mails_an_hour: 3,
          waiting: "mails to addresses that are not named and have not signed in before",
          for_minutes: expect.any(Number),
        },
      }),
    );
    expect(world.sent.length).toBe(6);
  });

  test("of 0 is none", async () => {
    const world = setUp(async () => {}, { mailCeiling: 0 });
    await ask(world, 2000);
    await world.outbox.runDue();
    expect(world.sent).toHaveLength(2000);
  });

  test("holds for all processes together that share a store", async () => {
    const one = setUp(async () => {}, { mailCeiling: 20 });
    const other = setUp(async () => {}, {
      store: one.store,
      ceiling: createCeiling({ mailCeiling: 20, limits: one.limits, clock: one.clock, log: one.log }),
    });
    await ask(one, 30);
    await Promise.all([one.outbox.runDue(), other.outbox.runDue()]);
    expect(one.sent.length + other.sent.length).toBe(15);
  });
});

test("that a mail was queued is told before what became of it, also where a pass for another one takes it along", async () => {
  const told: string[] = [];
  const { outbox } = setUp(() => Promise.reject(failing("permanent")), {
    onQueued: () => void told.push("queued"),
    onGivenUp: () => void told.push("given up"),
  });
  outbox.start();
  try {
    await outbox.queue(newMail());
    await outbox.runDue();
    expect(told).toEqual(["queued", "given up"]);
  } finally {
    await outbox.stop();
  }
});
