import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { createSmtpMailer } from "../../src/mail/smtp.ts";
import { CAPACITY, createWaitingMails, type WaitingMails } from "../../src/mail/waiting.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { NAVIGATION, openLink, postLogin } from "../login/support.ts";
import { until } from "../mail/support.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";
import { SILENT } from "../support/silent.ts";
import { emailConfig, type SmtpPeer, startSmtp } from "../support/smtp.ts";

setDefaultTimeout(120_000);

/** Somebody asks for mails to addresses that do not exist, of a domain that may sign in. Those who do exist still get theirs. */

const NAMED = "named@in.example";

let smtp: SmtpPeer;
let gateway: TestGateway;

async function start(stores: Store, env: Readonly<Record<string, string>> = {}): Promise<void> {
  smtp = await startSmtp({ tls: "none", auth: false });
  const config = emailConfig(smtp.port, { tls: "none", user: undefined, pass: undefined });
  gateway = await startGateway({
    stores,
    mailer: createSmtpMailer(config),
    env: {
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_DOMAINS: "in.example",
      RUNEGATE_ALLOWED_EMAILS: NAMED,
      RUNEGATE_RATE_LIMIT_ENABLED: "true",
      RUNEGATE_LOGIN_RATE_LIMIT: "0",
      RUNEGATE_LOG: "warn",
      ...env,
    },
  });
}

async function stop(): Promise<void> {
  // First the server, which hangs: what is under way ends with its connection.
  await smtp.stop();
  await gateway.stop();
}

const received = (to: string) => smtp.messages.filter((message) => message.to.includes(to));
const positionOf = (to: string) => smtp.messages.findIndex((message) => message.to.includes(to));
const linkIn = (raw = "") =>
  /token=([\w.-]+)/.exec(raw.replaceAll("=\r\n", "").replaceAll("=3D", "="))?.[1] ?? "";

/** Signs in with an address for the first time, by the link in its mail. */
async function signIn(email: string): Promise<void> {
  const asked = await postLogin(gateway, { email });
  await until(() => received(email).length === 1);
  const token = linkIn(received(email)[0]?.raw);
  expect((await openLink(gateway, token, { Cookie: cookieHeader(asked) })).status).toBe(302);
}

/** Asks for so many invented addresses, some at a time. */
async function flood(count: number): Promise<number[]> {
  const statuses: number[] = [];
  let next = 0;
  const asker = async () => {
    while (next < count) {
      const response = await postLogin(gateway, { email: `invented${next++}@in.example` });
      await response.arrayBuffer();
      statuses.push(response.status);
    }
  };
  await Promise.all(Array.from({ length: 32 }, asker));
  return statuses;
}

/** What a stranger can see of an answer: everything but what differs every time. */
async function visible(response: Response, email: string): Promise<object> {
  return {
    status: response.status,
    headers: [...response.headers].filter(([name]) => name !== "date"),
    body: (await response.text()).replaceAll(email, "<address>").replace(/"request_id":"[^"]*"/, ""),
  };
}

describe("behind mails to 10,000 invented addresses", () => {
  const BEFORE = "before@in.example";
  beforeAll(async () => {
    await start(createMemoryStore({ clock: systemClock }), { RUNEGATE_EMAIL_COOLDOWN: "0" });
    await signIn(BEFORE);
  });
  afterAll(stop);

  test("an address that is named and one that has signed in before get theirs at once", async () => {
    const statuses = await flood(CAPACITY);
    expect(statuses.every((status) => status === 200)).toBe(true);
    for (const email of [NAMED, BEFORE]) {
      const had = received(email).length;
      expect((await postLogin(gateway, { email })).status).toBe(200);
      const sent = smtp.messages.length;
      await until(() => received(email).length > had);
      // Those whose conversations were open then, and not a thousand others.
      expect(smtp.messages.findLastIndex(({ to }) => to.includes(email)) - sent).toBeLessThan(8);
    }
    expect(smtp.messages.length).toBeLessThan(CAPACITY / 2);
  });
});

describe("with a mail ceiling", () => {
  beforeAll(() => start(createMemoryStore({ clock: systemClock }), { RUNEGATE_MAIL_CEILING: "40" }));
  afterAll(stop);

  test("it is the invented ones that are kept back, and a name still gets through; the log says so once", async () => {
    await flood(300);
    await until(() => smtp.messages.length === 30);
    expect((await postLogin(gateway, { email: NAMED })).status).toBe(200);
    await until(() => received(NAMED).length === 1);
    expect(positionOf(NAMED)).toBe(30);
    expect(smtp.messages).toHaveLength(31);
    const said = gateway.lines.filter((line) => line.includes("ceiling"));
    expect(said.filter((line) => !line.includes("mail_given_up"))).toHaveLength(1);
    expect(said[0]).toContain("WARN");
  });
});

const folder = mkdtempSync(join(tmpdir(), "runegate-flood-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const STORES: readonly (readonly [string, () => Store])[] = [
  ["memory", () => createMemoryStore({ clock: systemClock })],
  ["sqlite", () => openSqliteStore({ path: join(folder, "state.db"), clock: systemClock, log: SILENT })],
];

describe.each(STORES)("a full outbox in %s", (_, open) => {
  let stores: Store;
  let waiting: WaitingMails;
  beforeAll(async () => {
    stores = open();
    await start(stores);
    smtp.behavior.hangAfterData = (recipient) => recipient.startsWith("invented");
    // By the front door until the mail server is busy with them, and then in one go.
    await flood(10);
    waiting = createWaitingMails(stores, SILENT);
    const later = Date.now() + 3_600_000;
    const entry = {
      ...{ to: "invented@in.example", content: "", messageId: "", attempts: 0, cooldownKey: undefined },
      ...{ queuedAt: Date.now(), expiresAt: later, nextAttemptAt: later, first: false },
    };
    await Promise.all(Array.from({ length: CAPACITY }, (_, i) => waiting.add({ ...entry, id: `i${i}` })));
  });
  afterAll(async () => {
    await stop();
    await stores.close();
  });

  test.each([
    ["JSON", {}],
    ["a form in a browser", NAVIGATION],
  ])("is a 503 for everybody alike, and the cooldown is given back, by %s", async (_, headers) => {
    const seen: object[] = [];
    for (const email of [
      NAMED,
      "carol@in.example",
      "peggy@no.example",
      NAMED,
      "carol@in.example",
      "peggy@no.example",
    ]) {
      const response = await postLogin(gateway, { email }, headers);
      expect(response.headers.get("retry-after")).toBe("60");
      expect(response.headers.getSetCookie()).toEqual([]);
      seen.push(await visible(response, email));
    }
    expect(seen[0]).toMatchObject({ status: 503 });
    for (const one of seen) expect(one).toEqual(seen[0] ?? {});
  });

  test("keeps nobody from their mail who is named, and tells them apart by nothing else", async () => {
    await until(() => received(NAMED).length > 0);
    expect(smtp.recipients).not.toContain("carol@in.example");
    expect(smtp.recipients).not.toContain("peggy@no.example");
    // Asked for four times by now.
    expect(received(NAMED)).toHaveLength(1);
  });

  test("is told in the log once", async () => {
    const lines = gateway.lines.filter((line) => line.includes("outbox is full"));
    expect(lines).toHaveLength(1);
  });

  test("is over when there is room again", async () => {
    await waiting.remove("i1");
    expect((await postLogin(gateway, { email: "room@in.example" })).status).toBe(200);
    expect((await postLogin(gateway, { email: "none@in.example" })).status).toBe(503);
  });
});
