import { expect, test } from "bun:test";
import { systemClock } from "../../src/clock.ts";
import { type Configuration, loadConfiguration } from "../../src/config/configuration.ts";
import { createMailbox } from "../../src/mail/mailbox.ts";
import { createProcessMetrics } from "../../src/metrics/metrics.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { composeGateway } from "../../src/process/compose.ts";
import { serveSingle } from "../../src/process/single.ts";
import { SESSIONS } from "../../src/session/record.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Kind, Records } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { signedIn } from "../support/principal.ts";
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
  const memory = createMemoryStore({ clock: systemClock });
  const sessions = memory.records(SESSIONS);
  let listeners = 0;
  const stores: Store = {
    ...memory,
    records: <T extends object>(kind: Kind<T>): Records<T> => {
      const records = memory.records(kind);
      return {
        ...records,
        onTaken(listener) {
          listeners++;
          records.onTaken(listener);
        },
      };
    },
  };
  const port = freePort();
  const measured = createProcessMetrics(systemClock);
  const serving = serveSingle(configured(port), { stores, mailbox: createMailbox(), loggers, measured });
  const closed: string[] = [];
  serving.gateway.live.add(signedIn("s"), "default", {
    close: (reason) => void closed.push(reason),
    takeUsed: () => false,
  });
  for (let i = 0; i < 20; i++) await serving.reload(configured(port), composeGateway, loggers);
  expect(listeners).toBe(1);
  const times = { createdAt: Date.now(), seenAt: Date.now() };
  const kept = { email: "ada@example.org", ...times, ip: "192.0.2.1", userAgent: "test", seal: "" };
  await sessions.add("s", kept, Date.now() + 60_000);
  await sessions.take("s");
  expect(closed).toEqual(["session_ended"]);
  expect((await fetch(`http://127.0.0.1:${port}/_runegate/health`)).status).toBe(200);
  await serving.stop(1000);
});
