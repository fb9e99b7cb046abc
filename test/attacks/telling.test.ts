import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Stores } from "../../src/store/contracts.ts";
import type { TestGateway } from "../support/gateway.ts";
import { askFor, NAMED, STORES, startPicky } from "./telling.ts";

setDefaultTimeout(30_000);

/**
 * Nobody learns from Runegate which addresses may sign in: not from the answer, and not from what is done for it.
 * `telling.system.test.ts` measures the time.
 */

/** Everything of an answer that does not differ between two requests of one kind anyway. */
async function shape(response: Response): Promise<object> {
  const headers = [...response.headers]
    .filter(([name]) => name !== "date")
    .map(([name, value]) => [
      name,
      name === "set-cookie" ? value.replace(/=[^;]*/, `=…${value.length}`) : value,
    ]);
  const body = (await response.text()).replace(/"request_id":"[^"]*"/, "");
  return { status: response.status, headers, body };
}

/** The stores, noting each call of theirs but those of the worker that sends mail, which nobody waits for. */
function watched(stores: Stores, calls: string[]): Stores {
  const WORKER = new Set(["claim", "nextDue", "postpone", "remove"]);
  const watch = <T extends object>(name: string, store: T): T =>
    new Proxy(store, {
      get(target, method) {
        const value: unknown = Reflect.get(target, method);
        if (typeof value !== "function" || WORKER.has(String(method))) return value;
        return (...args: unknown[]) => {
          calls.push(`${name}.${String(method)}`);
          return value.apply(target, args);
        };
      },
    });
  const { tickets, sessions, limits, outbox } = stores;
  return {
    ...stores,
    tickets: watch("tickets", tickets),
    sessions: watch("sessions", sessions),
    limits: watch("limits", limits),
    outbox: watch("outbox", outbox),
  };
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
    expect(await opened.stores.outbox.nextDue()).toBeUndefined();
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
    expect(allowed).toContain("outbox.add");
  });
});
