import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLibc } from "../../src/process/libc.ts";
import { createNotifier } from "../../src/process/notify.ts";
import { type NotifySocket, openNotifySocket } from "./notify-socket.ts";
import { openStage, until } from "./stage.ts";

/** sd_notify(3) to a real socket. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(30_000);

const directory = mkdtempSync(join(tmpdir(), "runegate-notify-"));
let systemd: NotifySocket | undefined;
afterEach(() => {
  systemd?.close();
  systemd = undefined;
});
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

function open(name: string): NotifySocket {
  systemd = openNotifySocket(name);
  return systemd;
}

const PATH = join(directory, "notify");
const ABSTRACT = `@runegate-test/${process.pid}`;

describe("the service manager is told", () => {
  test.each([
    ["by path", PATH],
    ["by an abstract name", ABSTRACT],
  ])("%s, each message in one datagram", (_, name) => {
    const socket = open(name);
    const failures: string[] = [];
    const notifier = createNotifier({
      env: { NOTIFY_SOCKET: name },
      pid: 42,
      libc: openLibc(),
      onFailure: () => void failures.push("failed"),
    });
    const before = process.hrtime.bigint() / 1000n;
    notifier.ready("http://localhost:7870 on 127.0.0.1:7870, 1 process");
    notifier.reloading();
    notifier.handOver(43);
    notifier.stopping();
    const [ready, reloading, ...others] = socket.received();
    expect(ready).toBe("READY=1\nWATCHDOG=1\nSTATUS=http://localhost:7870 on 127.0.0.1:7870, 1 process\n");
    const [, at = ""] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)\n$/.exec(reloading ?? "") ?? [];
    // CLOCK_MONOTONIC, as systemd reads it.
    expect(BigInt(at) - before).toBeLessThan(10_000_000n);
    expect(BigInt(at)).toBeGreaterThanOrEqual(before);
    expect(others).toEqual(["MAINPID=43\n", "STOPPING=1\nSTATUS=Stopping\n"]);
    expect(failures).toEqual([]);
  });

  test.each([
    ["for this process", { WATCHDOG_PID: "42" }, true],
    ["for whom it may concern", {}, true],
    ["for another process", { WATCHDOG_PID: "43" }, false],
    ["never", { WATCHDOG_USEC: "0" }, false],
    ["in words", { WATCHDOG_USEC: "soon" }, false],
  ] as const)("of life, where it asks %s, twice in each interval", async (_, env, told) => {
    const socket = open(PATH);
    const notifier = createNotifier({
      env: { NOTIFY_SOCKET: PATH, WATCHDOG_USEC: "100000", ...env },
      pid: 42,
      libc: openLibc(),
      onFailure() {},
    });
    let healthy = true;
    notifier.startWatchdog(() => healthy);
    if (!told) {
      await Bun.sleep(150);
      expect(socket.received()).toEqual([]);
      return;
    }
    const took = await until("six signs of life", () => socket.received().length >= 6);
    expect(socket.received()[0]).toBe("WATCHDOG=1\n");
    expect(took).toBeGreaterThan(240);
    healthy = false;
    const count = socket.received().length;
    await Bun.sleep(150);
    expect(socket.received().length).toBe(count);
    healthy = true;
    notifier.handOver(43);
    await Bun.sleep(150);
    expect(socket.received().slice(count)).toEqual(["MAINPID=43\n"]);
  });

  test.each([
    ["no library", undefined, PATH],
    ["nobody there", openLibc(), join(directory, "nobody")],
    ["a name too long", openLibc(), `@${"x".repeat(200)}`],
  ])("in vain where there is %s, which is said once", (_, libc, name) => {
    let failures = 0;
    const notifier = createNotifier({
      env: { NOTIFY_SOCKET: name },
      pid: 42,
      libc,
      onFailure: () => failures++,
    });
    notifier.ready("x");
    notifier.reloading();
    notifier.stopping();
    expect(failures).toBe(1);
  });

  test.each([undefined, ""])("nothing where it does not ask (%p)", (name) => {
    let failures = 0;
    const notifier = createNotifier({
      env: { NOTIFY_SOCKET: name },
      pid: 42,
      libc: undefined,
      onFailure: () => failures++,
    });
    notifier.ready("x");
    notifier.stopping();
    expect(failures).toBe(0);
  });
});

test.each([1, 2])(
  "a gateway with %d processes says when it is ready, reloading, alive and stopping",
  async (workers) => {
    const socket = open(PATH);
    await using stage = await openStage({ workers, env: { NOTIFY_SOCKET: PATH, WATCHDOG_USEC: "200000" } });
    const others = () => socket.received().filter((message) => !message.startsWith("WATCHDOG"));
    const words = workers === 1 ? "1 process" : "2 workers";
    const ready = `READY=1\nWATCHDOG=1\nSTATUS=${stage.url} on 127.0.0.1:${stage.port}, ${words}\n`;
    await until("it is ready", () => others().length > 0);
    expect(others()).toEqual([ready]);
    await until(
      "it is alive",
      () => socket.received().filter((message) => message === "WATCHDOG=1\n").length > 2,
    );
    stage.configure({ RUNEGATE_SESSION_TTL: "soon" });
    stage.main.signal("SIGHUP");
    await stage.says(/not reloaded/);
    await until("it is ready again", () => others().length >= 3);
    expect(others()).toEqual([ready, expect.stringMatching(/^RELOADING=1\nMONOTONIC_USEC=\d+\n$/), ready]);
    stage.main.signal("SIGTERM");
    expect(await stage.main.exited).toBe(0);
    expect(others().slice(3)).toEqual(["STOPPING=1\nSTATUS=Stopping\n"]);
  },
);
