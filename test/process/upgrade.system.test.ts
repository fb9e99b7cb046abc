import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { forwarded } from "../forward-auth/support.ts";
import { freePort } from "../support/process.ts";
import { exchange } from "../support/raw.ts";
import { startLoad } from "./load.ts";
import { dripped, openSocket } from "./long.ts";
import { inNamespace } from "./namespace.ts";
import { openNotifySocket } from "./notify-socket.ts";
import { isAlive, isPortFree, kill, openStage, until } from "./stage.ts";

/** Sockets that close while others of the same port stay: nobody notices, as long as the kernel is set up for it. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

inNamespace(import.meta.path, () => {
  describe.each([1, 2])("with %d processes", (workers) => {
    test("nothing is refused, reset, cut or answered wrongly, time and again", async () => {
      const name = `@runegate-handover/${process.pid}/${workers}`;
      const systemd = openNotifySocket(name);
      const checks = freePort();
      await using stage = await openStage({
        workers,
        sqlite: true,
        env: { NOTIFY_SOCKET: name },
        options: { RUNEGATE_CHECK_LISTEN: `127.0.0.1:${checks}` },
      });
      const cookie = await stage.signIn();
      const kept = startLoad({ ...stage, path: "/", cookie, connections: "kept", perSecond: 800 });
      const fresh = startLoad({ ...stage, path: "/", cookie, connections: "fresh", perSecond: 800 });
      const checked = startLoad({
        ...{
          port: checks,
          path: "/_runegate/check/caddy",
          cookie,
          fields: forwarded({ url: `${stage.url}/x` }),
        },
        ...{ connections: "fresh", perSecond: 200 },
      });
      const socket = await openSocket(stage, cookie);
      const download = dripped(stage, cookie, 4_000);
      await until("there is a load", () => kept.answered > 200 && fresh.answered > 200);
      let predecessor = stage.main.pid;
      for (const turn of [1, 2]) {
        kill(predecessor, "SIGUSR2");
        const [, successor] = await stage.says(/ handing over +successor=(\d+)/);
        // Two processes write to one log, each after a moment of its own.
        await stage.main.waitFor(new RegExp(` handed over +successor=${successor}`));
        await stage.main.waitFor(new RegExp(` listening .*pid=${successor}`));
        expect(systemd.received()).toContain(`MAINPID=${successor}\n`);
        if (turn === 1) expect(await socket.closed).toBe(1001);
        predecessor = Number(successor);
      }
      const results = await Promise.all([kept.stop(), fresh.stop(), checked.stop()]);
      for (const { perSecond, ...result } of results)
        expect(result).toEqual({ answered: expect.any(Number), errors: [] });
      expect(await download).toBe("whole");
      expect(systemd.received().filter((message) => message.startsWith("READY")).length).toBe(3);

      expect((await stage.command("sessions", "list")).output).toContain("ada@example.org");
      stage.configure({ RUNEGATE_LANDING_PATH: "/after" });
      kill(predecessor, "SIGHUP");
      await stage.says(/ reloaded /);
      expect((await exchange(stage.port, "GET /", [`Cookie: ${cookie}`])).status).toBe(200);
      expect((await stage.command("sessions", "revoke", "--all")).code).toBe(0);
      kill(predecessor, "SIGTERM");
      expect(await stage.main.exited).toBe(0);
      await until("it has ended", () => !isAlive(predecessor));
      systemd.close();
      expect(isPortFree(stage.port)).toBe(true);
      expect(stage.complaints()).toEqual([]);
    });
  });

  test("workers that are one too many leave, and nothing is refused, reset or cut", async () => {
    await using stage = await openStage({ workers: 3 });
    const cookie = await stage.signIn();
    const kept = startLoad({ ...stage, path: "/", cookie, connections: "kept", perSecond: 800 });
    const fresh = startLoad({ ...stage, path: "/", cookie, connections: "fresh", perSecond: 800 });
    await until("there is a load", () => kept.answered > 200 && fresh.answered > 200);
    stage.configure({ RUNEGATE_WORKERS: "2" });
    stage.main.signal("SIGHUP");
    await stage.says(/ reloaded /);
    await until("it has left", () => stage.workers().length === 2);
    for (const { errors } of await Promise.all([kept.stop(), fresh.stop()])) expect(errors).toEqual([]);
    expect(stage.complaints()).toEqual([]);
  });
});
