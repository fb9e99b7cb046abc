import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { SIGN_IN, startReceiver } from "../hooks/support.ts";
import { startGateway } from "../support/gateway.ts";

/** A reload puts another gateway in the place of the one before, and nothing of that one goes on by itself. */

const ticking = new Set<unknown>();
const spies: { mockRestore(): void }[] = [];

beforeEach(() => {
  const { setInterval: begin, clearInterval: end } = globalThis;
  const beginSpy = spyOn(globalThis, "setInterval") as unknown as { mockImplementation(by: unknown): void };
  beginSpy.mockImplementation((...args: Parameters<typeof begin>) => {
    const timer = begin(...args);
    ticking.add(timer);
    return timer;
  });
  const endSpy = spyOn(globalThis, "clearInterval");
  endSpy.mockImplementation((timer?: Timer | string | number) => {
    ticking.delete(timer);
    end(timer as Timer);
  });
  spies.push(beginSpy as unknown as { mockRestore(): void }, endSpy);
});

afterEach(() => {
  for (const spy of spies.splice(0)) spy.mockRestore();
  ticking.clear();
});

/** With everything on that does something every now and then. */
const start = (hooks: string) =>
  startGateway({
    env: {
      RUNEGATE_API_KEYS: "true",
      RUNEGATE_DYNAMIC_USERS: "true",
      RUNEGATE_ADMINS: "ada@example.org",
      RUNEGATE_APPROVAL: "true",
    },
    routes: `
      [[routes]]
      name = "lab"
      targets = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
      impersonation = "allow"
      health = { interval = "1h" }

      ${hooks}`,
  });

test("no timer of a gateway that was replaced is left: not of its sweeps, nor of the health of its targets", async () => {
  const receiver = startReceiver();
  const before = new Set(ticking);
  const { gateway, stop } = await start(receiver.block("crm", SIGN_IN));
  const begun = ticking.size - before.size;
  await gateway.replaced();
  await gateway.closeAudit();
  // What is open is the next one's, and looked after by that.
  gateway.live.stop();
  expect(ticking).toEqual(before);
  expect(begun).toBeGreaterThan(6);
  await stop();
  receiver.stop();
});
