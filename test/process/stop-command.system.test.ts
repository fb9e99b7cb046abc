import { expect, setDefaultTimeout, test } from "bun:test";
import { exchange } from "../support/raw.ts";
import { isAlive, kill, openStage, until } from "./stage.ts";

/** `runegate stop`, by which the unit ends the main process. */

setDefaultTimeout(60_000);

test.each([1, 2])(
  "with %d processes, after a hand-over: what is under way in both of them finishes, and then it returns",
  async (workers) => {
    await using stage = await openStage({ workers, sqlite: true });
    const cookie = await stage.signIn();
    const { held } = stage.application;
    const ask = () => exchange(stage.port, "GET /held", [`Cookie: ${cookie}`]);
    const before = ask();
    await until("the first has it", () => held.length === 1);
    stage.main.signal("SIGUSR2");
    const [, successor] = await stage.says(/ handing over +successor=(\d+)/);
    await stage.main.waitFor(new RegExp(` listening .*pid=${successor}`));
    const after = ask();
    await until("the second has one too", () => held.length === 2);

    const stopping = stage.command("stop", "--pid", String(successor));
    await stage.says(/ stopping /);
    for (const { release } of held) release();
    const { code, output } = await stopping;
    expect([code, output]).toEqual([0, ""]);
    expect(isAlive(Number(successor))).toBe(false);
    expect(await stage.main.exited).toBe(0);
    const answers = await Promise.all([before, after]);
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(["200 held", "200 held"]);
    expect(stage.complaints()).toEqual([]);
    expect((await stage.command("stop", "--pid", String(successor))).code).toBe(0);
  },
);

test("a predecessor ends at once when its successor is killed: there is nobody else to be told of it", async () => {
  await using stage = await openStage({ sqlite: true });
  const cookie = await stage.signIn();
  const { held } = stage.application;
  const cut = exchange(stage.port, "GET /held", [`Cookie: ${cookie}`]).catch(() => "cut");
  await until("it is asked", () => held.length === 1);
  stage.main.signal("SIGUSR2");
  const [, successor] = await stage.says(/ handed over +successor=(\d+)/);
  kill(Number(successor), "SIGKILL");
  expect(await stage.main.exited).toBe(1);
  expect(stage.main.output()).toContain("the successor is gone, so this process ends too");
  expect(await cut).toBe("cut");
});

test("one that does not end is waited for no longer than systemd waits", async () => {
  await using stage = await openStage();
  kill(stage.main.pid, "SIGSTOP");
  const began = performance.now();
  const stopped = await stage.command("stop", `--pid=${stage.main.pid}`);
  kill(stage.main.pid, "SIGCONT");
  expect([stopped.code, stopped.output]).toEqual([1, expect.stringContaining("has not ended within 19 s")]);
  expect(performance.now() - began).toBeLessThan(20_000);
});

test("without a process there is nothing to do, and it takes only one that can be meant", async () => {
  await using stage = await openStage();
  const codes = await Promise.all(
    [["--pid="], [], ["--pid=0"], ["--pid=-1"], ["--pid=1"], ["--pid=x"], ["--pid=1e3"]].map(
      async (args) => (await stage.command("stop", ...args)).code,
    ),
  );
  expect(codes).toEqual([0, 64, 64, 64, 64, 64, 64]);
});
