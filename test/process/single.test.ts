import { expect, test } from "bun:test";
import { systemClock } from "../../src/clock.ts";
import { type Configuration, loadConfiguration } from "../../src/config/configuration.ts";
import { createMailbox } from "../../src/mail/mailbox.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { composeGateway } from "../../src/process/compose.ts";
import { serveSingle } from "../../src/process/single.ts";
import type { Stores } from "../../src/store/contracts.ts";
import { createMemoryStores } from "../../src/store/memory.ts";
import { freePort } from "../support/process.ts";

function configured(port: number): Configuration {
  const env = {
    RUNEGATE_ENV_FILE: "/dev/null",
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_ALLOW_ANY_EMAIL: "true",
    RUNEGATE_CONTROL_SOCKET: "off",
  };
  return loadConfiguration({ env });
}

const loggers = createLoggers({
  format: "console",
  levels: { default: "off", modules: {} },
  write() {},
  now: systemClock.now,
  color: false,
});

test("however often it is reloaded, the store tells of an end once", async () => {
  const memory = createMemoryStores({ clock: systemClock });
  let listeners = 0;
  const stores: Stores = {
    ...memory,
    sessions: {
      ...memory.sessions,
      onEnded(listener) {
        listeners++;
        memory.sessions.onEnded(listener);
      },
    },
  };
  const port = freePort();
  const serving = serveSingle(configured(port), { stores, mailbox: createMailbox(), loggers });
  const closed: string[] = [];
  serving.gateway.live.add(
    { kind: "session", id: "s" },
    { close: (reason) => void closed.push(reason), takeUsed: () => false },
  );
  for (let i = 0; i < 20; i++) await serving.reload(configured(port), composeGateway, loggers);
  expect(listeners).toBe(1);
  await memory.sessions.create({
    id: "s",
    email: "ada@example.org",
    createdAt: Date.now(),
    expiresAt: Date.now() + 60_000,
    seenAt: Date.now(),
    ip: "192.0.2.1",
    userAgent: "test",
    seal: "",
  });
  await memory.sessions.end("s");
  expect(closed).toEqual(["session_ended"]);
  expect((await fetch(`http://127.0.0.1:${port}/_runegate/health`)).status).toBe(200);
  await serving.stop(1000);
});
