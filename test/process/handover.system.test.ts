import { expect, setDefaultTimeout, test } from "bun:test";
import { exchange } from "../support/raw.ts";
import { startLoad } from "./load.ts";
import { isAlive, isPortFree, kill, openStage, until } from "./stage.ts";

/** SIGUSR2: a new main process takes over, from the executable on disk, and nobody notices. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

test.concurrent("a successor that cannot start leaves everything as it was", async () => {
  await using stage = await openStage({ sqlite: true });
  const cookie = await stage.signIn();
  stage.configure({ RUNEGATE_SESSION_TTL: "soon" });
  stage.main.signal("SIGUSR2");
  await stage.says(
    /RUNEGATE_SESSION_TTL[\s\S]*not handed over: this process goes on +reason="it ended with exit code 78"/,
  );
  stage.configure({ RUNEGATE_SESSION_TTL: undefined });
  expect((await exchange(stage.port, "GET /", [`Cookie: ${cookie}`])).status).toBe(200);
  expect((await stage.command("sessions", "list")).output).toContain("ada@example.org");
});

test.concurrent("a successor that is killed while it takes over leaves everything as it was", async () => {
  await using stage = await openStage({ sqlite: true });
  const cookie = await stage.signIn();
  stage.main.signal("SIGUSR2");
  const [, successor] = await stage.says(/ handing over +successor=(\d+)/);
  await Bun.sleep(300);
  kill(Number(successor), "SIGKILL");
  await stage.says(/not handed over: this process goes on/);
  const load = startLoad({ ...stage, path: "/", cookie, connections: "kept", perSecond: 400, parallel: 2 });
  await until("it answers", () => load.answered > 100);
  expect((await load.stop()).errors).toEqual([]);
  expect((await stage.command("sessions", "list")).output).toContain("ada@example.org");
});

test.concurrent("a successor that is told to stop while it takes over stops", async () => {
  await using stage = await openStage({ sqlite: true });
  stage.main.signal("SIGUSR2");
  const [, successor] = await stage.says(/ handing over +successor=(\d+)/);
  kill(Number(successor), "SIGTERM");
  stage.main.signal("SIGTERM");
  expect(await stage.main.exited).toBe(0);
  await until("both have ended", () => !isAlive(Number(successor)));
  expect(isPortFree(stage.port)).toBe(true);
});

test.concurrent.each([1, 2])(
  "with %d processes, to stop while it hands over stops the successor too",
  async (workers) => {
    await using stage = await openStage({ sqlite: true, workers });
    stage.main.signal("SIGUSR2");
    const [, successor] = await stage.says(/ handing over +successor=(\d+)/);
    stage.main.signal("SIGTERM");
    expect(await stage.main.exited).toBe(0);
    await until("both have ended", () => !isAlive(Number(successor)));
    expect(isPortFree(stage.port)).toBe(true);
    expect(stage.main.output()).not.toContain("not handed over");
  },
);

test.concurrent("memory cannot be handed over: the options are read again, and the log says so", async () => {
  await using stage = await openStage();
  const cookie = await stage.signIn();
  stage.main.signal("SIGUSR2");
  await stage.says(/ WARN .*a new executable needs a restart here[\s\S]* reloaded /);
  expect((await exchange(stage.port, "GET /", [`Cookie: ${cookie}`])).status).toBe(200);
});
