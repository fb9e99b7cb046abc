import { describe, expect, test } from "bun:test";
import { askFor } from "../login/support.ts";
import { testClock } from "../support/clock.ts";
import { startGateway } from "../support/gateway.ts";

describe("what anybody can send without a limit fills no log", () => {
  // Request lines, and what is for finding faults, are off in production.
  const env = { RUNEGATE_REQUEST_LOGS: "false", RUNEGATE_LOG: "info" };

  test("a spent link that is looked at again and again", async () => {
    const gateway = await startGateway({ env });
    const { token, cookie } = await askFor(gateway);
    const look = (method: string) =>
      fetch(`${gateway.url}/_runegate/auth?token=${token}`, {
        method,
        redirect: "manual",
        headers: { Cookie: cookie },
      });
    expect((await look("GET")).status).toBe(302);
    const before = gateway.lines.length;
    for (let count = 0; count < 50; count++) expect((await look("HEAD")).status).toBe(401);
    expect(gateway.lines.slice(before).map((line) => line.includes("reason=spent"))).toEqual([true]);
    await gateway.stop();
    const [repeated, ...others] = gateway.lines.filter((line) => line.includes("repeated="));
    expect(repeated).toMatch(/email=ada@example.org .*repeated=49/);
    expect(others).toEqual([]);
  });

  test("two session cookies", async () => {
    const clock = testClock();
    const gateway = await startGateway({ env, clock });
    const Cookie = ["a", "b"].map((letter) => `runegate_id=${letter.repeat(43)}`).join("; ");
    const lines = () => gateway.lines.filter((line) => line.includes("two cookies of one name")).length;
    for (let count = 0; count < 50; count++) await fetch(`${gateway.url}/`, { headers: { Cookie } });
    expect(lines()).toBe(1);
    clock.advance(60_000);
    await fetch(`${gateway.url}/`, { headers: { Cookie } });
    expect(lines()).toBe(2);
    await gateway.stop();
  });
});
