import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { exchange } from "../support/raw.ts";
import { startLoad } from "./load.ts";
import { dripped, openSocket, slowUpload } from "./long.ts";
import { isAlive, isPortFree, kill, openStage, type Stage, until } from "./stage.ts";

/** SIGHUP: the options are read again, and nobody notices but for what has changed. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

/** Where a login ends that begins where nobody can return to: the option that these tests change to see what is in force. */
async function landing({ port }: Stage): Promise<string | null> {
  const page = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Content-Length: 0"];
  const location = (await exchange(port, "POST /", page)).one("location") ?? "";
  return new URL(location, "http://127.0.0.1").searchParams.get("next");
}

describe.each([1, 2])("with %d processes", (workers) => {
  test("nothing is refused, reset, cut or answered wrongly, and what has changed is in force", async () => {
    await using stage = await openStage({ workers });
    const cookie = await stage.signIn();
    const mailed = await stage.askForLink("before@example.org");
    const before = stage.workers();
    const socket = await openSocket(stage, cookie);
    const kept = startLoad({ ...stage, path: "/", cookie, connections: "kept", perSecond: 1500 });
    const fresh = startLoad({ ...stage, path: "/", cookie, connections: "fresh", perSecond: 1000 });
    const own = startLoad({
      ...stage,
      path: "/_runegate/health",
      cookie,
      connections: "fresh",
      perSecond: 200,
    });
    // Longer than the reload takes.
    const long = 1_500;
    const download = dripped(stage, cookie, long);
    const upload = slowUpload(stage, cookie, long);
    await until("there is a load", () => kept.answered > 200 && fresh.answered > 200);

    const workersAfter = workers === 1 ? 1 : workers + 1;
    stage.configure({ RUNEGATE_LANDING_PATH: "/after", RUNEGATE_WORKERS: String(workersAfter) });
    // Saved twice by somebody in a hurry: what waits already is done once.
    for (let i = 0; i < 5; i++) stage.main.signal("SIGHUP");
    await stage.says(/ reloaded /);
    await Bun.sleep(300);
    const results = await Promise.all([kept.stop(), fresh.stop(), own.stop()]);
    for (const { perSecond, ...result } of results)
      expect(result).toEqual({ answered: expect.any(Number), errors: [] });
    expect(await landing(stage)).toBe("/after");
    const opened = await fetch(mailed.link, { redirect: "manual", headers: { Cookie: mailed.cookie } });
    expect(opened.status).toBe(302);
    expect(await socket.echo("still here")).toBe("still here");
    socket.close();
    expect(await download).toBe("whole");
    expect(await upload).toBe("whole");
    // The same processes go on, and those that are new came beside them.
    expect(stage.workers().length).toBe(workers === 1 ? 0 : workersAfter);
    expect(before.filter((pid) => !stage.workers().includes(pid))).toEqual([]);
    // Those that came while one was under way waited together; how many that were is the machine's affair.
    expect(stage.main.output().match(/ reloaded /g)?.length).toBeLessThan(5);
    expect(stage.complaints()).toEqual([]);
  });

  test.concurrent("wrong options change nothing, and the log names them", async () => {
    await using stage = await openStage({ workers });
    const cookie = await stage.signIn();
    const before = stage.workers();
    stage.configure({ RUNEGATE_LANDING_PATH: "/after", RUNEGATE_SESSION_TTL: "soon" });
    stage.main.signal("SIGHUP");
    await stage.says(/RUNEGATE_SESSION_TTL[^\n]*\n[^\n]*not reloaded/);
    expect((await exchange(stage.port, "GET /", [`Cookie: ${cookie}`])).status).toBe(200);
    expect(stage.workers()).toEqual(before);
    expect(await landing(stage)).toBe("/");
  });

  test.concurrent("SIGTERM right after SIGHUP ends everything", async () => {
    await using stage = await openStage({ workers });
    stage.main.signal("SIGHUP");
    await Bun.sleep(workers === 1 ? 0 : 400);
    const running = stage.workers();
    stage.main.signal("SIGTERM");
    expect(await stage.main.exited).toBe(0);
    expect(running.filter(isAlive)).toEqual([]);
    expect(isPortFree(stage.port)).toBe(true);
    expect(existsSync(`${stage.directory}/run/control.sock`)).toBe(false);
    expect(stage.complaints()).toEqual([]);
  });
});

test.concurrent("options that take a restart are named, and the others taken over", async () => {
  await using stage = await openStage();
  stage.configure({
    RUNEGATE_LISTEN: "127.0.0.1:1",
    RUNEGATE_STORE: `sqlite:${stage.directory}/state.db`,
    RUNEGATE_WORKERS: "2",
    RUNEGATE_CONTROL_SOCKET: "off",
    RUNEGATE_LANDING_PATH: "/after",
  });
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  for (const name of ["LISTEN", "STORE", "WORKERS", "CONTROL_SOCKET"]) {
    expect(stage.main.output()).toMatch(
      new RegExp(` WARN .*RUNEGATE_${name} has changed, which takes a restart`),
    );
  }
  expect(await landing(stage)).toBe("/after");
  expect(stage.workers()).toEqual([]);
});

test.concurrent("an address taken off the list loses what it has open, also where it was opened before", async () => {
  await using stage = await openStage();
  const socket = await openSocket(stage, await stage.signIn("eve@example.org"));
  const other = await openSocket(stage, await stage.signIn("ada@example.org"));
  stage.configure({ RUNEGATE_ALLOW_ANY_EMAIL: undefined, RUNEGATE_ALLOWED_EMAILS: "ada@example.org" });
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  const begun = performance.now();
  expect(await socket.closed).toBe(1008);
  expect(performance.now() - begun).toBeLessThan(5000);
  expect(await other.echo("here")).toBe("here");
  other.close();
});

test.concurrent("a worker that ends just before is replaced once, and one too many not at all", async () => {
  await using stage = await openStage({ workers: 3 });
  const [victim = 0] = stage.workers();
  stage.configure({ RUNEGATE_WORKERS: "2" });
  kill(victim, "SIGKILL");
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  await until("there are two", () => stage.workers().length === 2);
  // Longer than the wait before a restart.
  await Bun.sleep(1_200);
  expect(stage.workers().length).toBe(2);
  expect((await exchange(stage.port, "GET /_runegate/health")).status).toBe(200);
});
