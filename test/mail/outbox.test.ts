import { afterAll, describe, expect, test } from "bun:test";
import { type Mail, MailError, type Mailer } from "../../src/mail/mailer.ts";
import { createOutbox, NEVER_SENT, type NewMail, type OutboxSettings } from "../../src/mail/outbox.ts";
import { createSeal } from "../../src/mail/seal.ts";
import { createSmtpMailer } from "../../src/mail/smtp.ts";
import { type OutboxEntry, type OutboxStore, StoreUnavailable } from "../../src/store/contracts.ts";
import { createMemoryOutbox } from "../../src/store/memory/outbox.ts";
import { emailConfig, startSmtp } from "../support/smtp.ts";
import { countingRandom, NOW, recordingLog, standingClock, until } from "./support.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const KEY = { current: new Uint8Array(32).fill(1), previous: undefined };

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

/** An outbox whose mailer does what `send` says, with everything that happened on record. */
function setUp(send: Mailer["send"], changes: Partial<OutboxSettings> = {}) {
  const clock = standingClock();
  const log = recordingLog();
  const store = createMemoryOutbox();
  const random = countingRandom();
  const attempts: { at: number; mail: Mail }[] = [];
  const givenUp: { entry: OutboxEntry; reason: string }[] = [];
  const sent: OutboxEntry[] = [];
  const outbox = createOutbox({
    store,
    seal: createSeal(KEY, random),
    mailer: {
      send(mail) {
        attempts.push({ at: clock.now() - NOW, mail });
        return send(mail);
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
  return { clock, log, store, attempts, givenUp, sent, outbox };
}

/** Moves the clock from one due time to the next until nothing waits any more. */
async function runDry({ clock, store, outbox }: ReturnType<typeof setUp>): Promise<void> {
  await outbox.runDue();
  for (let next = await store.nextDue(); next !== undefined; next = await store.nextDue()) {
    clock.set(Math.max(next, clock.now()));
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
  const [lost] = await world.store.claim(NOW, NOW, 1);
  if (lost === undefined) throw new Error("nothing was queued");
  world.store.remove(lost.id);
  world.store.add({ ...lost, content: lost.content.slice(4) });
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
      entry.to.startsWith("slow") ? new Promise((resolve) => releases.push(resolve)) : Promise.resolve(),
    );
    return { world, releaseAll: () => releases.splice(0).map((release) => release()) };
  }

  test("holds up its own mail only", async () => {
    const { world, releaseAll } = slowly();
    world.outbox.start();
    for (const to of ["slow1@example.org", "slow2@example.org", "slow3@example.org", "quick1@example.org"]) {
      await world.outbox.queue(newMail({ to }));
    }
    await until(() => world.sent.length === 1);
    await world.outbox.queue(newMail({ to: "quick2@example.org" }));
    await until(() => world.sent.length === 2);
    expect(world.sent.map((entry) => entry.to)).toEqual(["quick1@example.org", "quick2@example.org"]);
    expect(world.outbox.underway()).toBe(3);
    releaseAll();
    await world.outbox.stop();
    expect(world.sent).toHaveLength(5);
  });

  test("has at most four of our conversations open, and the rest follow", async () => {
    const { world, releaseAll } = slowly();
    for (let n = 1; n <= 6; n++) await world.outbox.queue(newMail({ to: `slow${n}@example.org` }));
    const running = world.outbox.runDue();
    await until(() => world.outbox.underway() === 4);
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
        new Promise((resolve) => {
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
    const store = createMemoryOutbox();
    const broken = new Set<keyof OutboxStore>();
    const guard =
      <Args extends unknown[], Result>(name: keyof OutboxStore, method: (...args: Args) => Result) =>
      (...args: Args): Result => {
        if (broken.has(name)) throw new StoreUnavailable("the store is away");
        return method(...args);
      };
    const guarded: OutboxStore = {
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

  test("when it is full: the mail is not queued, and that is logged", async () => {
    const world = setUp(async () => {}, { store: createMemoryOutbox(1) });
    expect(await world.outbox.queue(newMail())).toBe(true);
    expect(await world.outbox.queue(newMail())).toBe(false);
    expect(world.log.lines.map((line) => line.fields.reason)).toEqual(["The outbox is full."]);
  });

  test.each<[keyof OutboxStore, number]>([
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
    const store = createMemoryOutbox();
    let answer: (next: number) => void = () => {};
    let asked = false;
    const slow: OutboxStore = {
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
        new Promise((resolve) => {
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

  async function withServer() {
    const server = await startSmtp();
    servers.push(server);
    const settings = { ca: server.ca, idleTimeout: 700 };
    const world = setUp(createSmtpMailer(emailConfig(server.port), settings).send);
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
    server.behavior.hangAfterData = (recipient) => recipient === "hangs@example.org";
    await world.outbox.queue(newMail({ to: "hangs@example.org" }));
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
  const capacity = 20;
  const store = createMemoryOutbox(capacity);
  const world = setUp(() => hanging.promise, { store });
  for (let i = 0; i < 4; i++) await world.outbox.queue(newMail());
  world.outbox.start();
  await until(() => world.attempts.length === 4);
  for (let i = 4; i < capacity; i++) await world.outbox.queue(newMail({ expiresAt: NEVER_SENT }));
  expect(await world.outbox.queue(newMail())).toBe(false);
  // The four under way are due again at the end of their claim, and nothing before that.
  await until(() => store.nextDue() !== NOW);
  expect(await world.outbox.queue(newMail())).toBe(true);
  expect(world.attempts).toHaveLength(4);
  hanging.resolve();
  await world.outbox.stop();
});
