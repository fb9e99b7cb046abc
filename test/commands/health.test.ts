import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { health } from "../../src/commands/health.ts";
import { runCommand } from "../../src/commands/run.ts";
import { ConfigError } from "../../src/option/finding.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { freePort } from "../support/process.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { testMachine } from "../support/surroundings.ts";

let gateway: TestGateway | undefined;
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

async function ask(listen: string, more: Record<string, string> = {}) {
  const io = recordedIo({ RUNEGATE_ENV_FILE: "/dev/null", RUNEGATE_LISTEN: listen, ...more });
  const code = await runCommand(health, [], io);
  return { code, said: [...io.stdout, ...io.stderr].join("\n") };
}

describe("runegate health", () => {
  test.each([
    ["at its address", "127.0.0.1", "127.0.0.1"],
    ["listening everywhere", "0.0.0.0", "0.0.0.0"],
    ["listening everywhere by IPv6", "[::]", "[::]"],
  ])("a gateway %s is ready", async (_, host, asked) => {
    const port = freePort();
    gateway = await startGateway({
      env: { RUNEGATE_LISTEN: `${host}:${port}`, RUNEGATE_BASE_URL: `http://127.0.0.1:${port}` },
    });
    expect(await ask(`${asked}:${port}`)).toEqual({ code: 0, said: "ready" });
  });

  test("on a unix socket", async () => {
    using machine = testMachine();
    const listen = `unix:${join(machine.directory, "runegate.sock")}`;
    gateway = await startGateway({ env: { RUNEGATE_LISTEN: listen } });
    expect(await ask(listen)).toEqual({ code: 0, said: "ready" });
  });

  test("says why a gateway is not ready", async () => {
    const stores = createMemoryStore({ clock: testClock() });
    const ready = () => Promise.reject(new StoreUnavailable("the database is away"));
    gateway = await startGateway({ stores: { ...stores, ready } });
    const { code, said } = await ask(`127.0.0.1:${gateway.port}`);
    expect(code).toBe(1);
    expect(said).toStartWith("Not ready: 503");
  });

  test("as JSON", async () => {
    gateway = await startGateway();
    const io = recordedIo({ RUNEGATE_ENV_FILE: "/dev/null", RUNEGATE_LISTEN: `127.0.0.1:${gateway.port}` });
    expect(await runCommand(health, ["--json"], io)).toBe(0);
    expect(io.stdout).toEqual(['{"ready":true}']);
  });

  test("nobody answers", async () => {
    const port = freePort();
    expect(await ask(`127.0.0.1:${port}`)).toEqual({
      code: 1,
      said: `No answer from 127.0.0.1:${port}: ECONNREFUSED`,
    });
  });

  test("asks this machine itself, whatever proxy the environment names", async () => {
    gateway = await startGateway();
    process.env.HTTP_PROXY = `http://127.0.0.1:${freePort()}`;
    try {
      expect((await ask(`127.0.0.1:${gateway.port}`)).code).toBe(0);
    } finally {
      delete process.env.HTTP_PROXY;
    }
  });

  test("does without the options it does not need, but not without an address", async () => {
    gateway = await startGateway();
    const wrong = { RUNEGATE_SESSION_TTL: "soon" };
    expect((await ask(`127.0.0.1:${gateway.port}`, wrong)).code).toBe(0);
    expect(ask("nowhere")).rejects.toThrow(ConfigError);
  });
});
