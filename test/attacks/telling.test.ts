import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { AUDIT } from "../../src/audit/record.ts";
import { systemClock } from "../../src/clock.ts";
import { createWaitingMails } from "../../src/mail/waiting.ts";
import type { Store } from "../../src/store/store.ts";
import { BOTH, type StandIns, startStandIns } from "../captcha/stand-ins.ts";
import { offerOf, solved } from "../captcha/support.ts";
import type { TestGateway } from "../support/gateway.ts";
import { SILENT } from "../support/silent.ts";
import { intercepted } from "../support/store.ts";
import { askFor, NAMED, STORES, startPicky } from "./telling.ts";

setDefaultTimeout(30_000);

/**
 * Nobody learns from Runegate which addresses may sign in: not from the answer, and not from what is done for it.
 * `telling.system.test.ts` measures the time.
 */

/** Of a cookie that ends with its login: a second less where a second began meanwhile. */
const LIFETIME = /Max-Age=\d{2,}/;

/** Everything of an answer that does not differ between two requests of one kind anyway. */
async function shape(response: Response): Promise<object> {
  const headers = [...response.headers]
    .filter(([name]) => name !== "date")
    .map(([name, value]) => [
      name,
      name === "set-cookie"
        ? value.replace(/=[^;]*/, `=…${value.length}`).replace(LIFETIME, "Max-Age=…")
        : value,
    ]);
  const body = (await response.text()).replace(/"request_id":"[^"]*"/, "");
  return { status: response.status, headers, body };
}

/** Asked and written at times of their own. */
const BY_THEMSELVES: ReadonlySet<string> = new Set([AUDIT.name, "closure"]);

/** The store, noting each call of it but those of what runs by itself, the worker that sends mail among it: nobody waits for that. */
function watched(store: Store, calls: string[]): Store {
  return intercepted(store, ({ of, verb, go }) => {
    if (!BY_THEMSELVES.has(of) && (!of.startsWith("mail") || verb === "add")) calls.push(`${of}.${verb}`);
    return go();
  });
}

describe.each(STORES)("with %s, an address that may sign in and one that may not", (_, open) => {
  let opened: ReturnType<typeof open>;
  let gateway: TestGateway;
  const calls: string[] = [];
  const ask = (email: string) => askFor(gateway, email);
  beforeAll(async () => {
    opened = open();
    gateway = await startPicky(watched(opened.stores, calls));
  });
  afterAll(async () => {
    await gateway.stop();
    await opened.close();
  });

  test("get the same status, headers, cookie attributes and body", async () => {
    const allowed = await shape(await ask("aaaa@in.example"));
    const refused = await shape(await ask("aaaa@no.example"));
    expect(refused).toEqual(allowed);
    expect((allowed as { status: number }).status).toBe(200);
  });

  test("get the same answer while the cooldown lasts", async () => {
    await ask("bbbb@in.example");
    await ask("bbbb@no.example");
    const allowed = await shape(await ask("bbbb@in.example"));
    const refused = await shape(await ask("bbbb@no.example"));
    expect(refused).toEqual(allowed);
    expect((allowed as { status: number }).status).toBe(429);
  });

  test("have a mail queued, which only one of them gets", async () => {
    await ask("cccc@in.example");
    await ask("cccc@no.example");
    expect(gateway.lines.filter((line) => line.includes("cccc@no.example"))).toHaveLength(1);
    await gateway.gateway.outbox.runDue();
    expect(gateway.mailbox.mails().map(({ to }) => to)).toContain("cccc@in.example");
    expect(gateway.mailbox.mails().map(({ to }) => to)).not.toContain("cccc@no.example");
    expect(await createWaitingMails(opened.stores, SILENT).nextDue()).toBeUndefined();
  });

  test("have the same done for them at the store, in the same order", async () => {
    const callsFor = async (email: string) => {
      calls.length = 0;
      expect((await ask(email)).status).toBe(200);
      return [...calls];
    };
    const allowed = await callsFor("dddd@in.example");
    const refused = await callsFor("dddd@no.example");
    expect(refused).toEqual(allowed);
    expect(await callsFor(NAMED[0] ?? "")).toEqual(allowed);
    expect(allowed).toContain("mail.add");
  });
});

describe.each(["work", "turnstile", "hcaptcha"] as const)("with RUNEGATE_CAPTCHA=%s", (kind) => {
  const [, open] = STORES[0] ?? [];
  const calls: string[] = [];
  let opened: ReturnType<NonNullable<typeof open>> | undefined;
  let services: StandIns;
  let gateway: TestGateway;
  const provider = BOTH.find((one) => one.kind === kind);
  beforeAll(async () => {
    opened = open?.();
    if (opened === undefined) throw new Error("there is no store");
    services = startStandIns(systemClock);
    gateway = await startPicky(watched(opened.stores, calls), {
      fetch: services.fetch,
      env: {
        RUNEGATE_CAPTCHA: kind,
        ...(provider && {
          RUNEGATE_CAPTCHA_SITE_KEY: provider.siteKey,
          RUNEGATE_CAPTCHA_SECRET: provider.secret,
        }),
      },
    });
  });
  afterAll(async () => {
    await gateway.stop();
    services.stop();
    await opened?.close();
  });

  const good = async (): Promise<string> =>
    provider === undefined ? solved(await offerOf(gateway)) : services.issue(provider);

  test.each<[string, () => Promise<string | undefined>, number]>([
    ["a good answer", good, 200],
    ["a bad answer", async () => "bad", 403],
    ["none", async () => undefined, 403],
  ])("whoever sends %s hears the same for either address, by the same steps", async (how, answer, status) => {
    const outcome = async (email: string) => {
      const captcha = await answer();
      const asked = services.asked.length;
      calls.length = 0;
      const seen = await shape(await askFor(gateway, email, captcha));
      return { seen, calls: [...calls], asked: services.asked.length - asked };
    };
    const name = how.replaceAll(" ", "-");
    const allowed = await outcome(`${name}@in.example`);
    const refused = await outcome(`${name}@no.example`);
    expect(refused).toEqual(allowed);
    expect((allowed.seen as { status: number }).status).toBe(status);
    // Whoever is refused has been counted, and had nothing done for them that depends on an address.
    if (status === 403) expect(allowed.calls).toEqual(["limits.hit"]);
  });
});
