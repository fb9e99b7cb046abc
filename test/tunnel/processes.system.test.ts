import { expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStage, type Stage, until } from "../process/stage.ts";
import { type RunningProcess, runegate, startProcess } from "../support/process.ts";

/** A tunnel as in service: a gateway with two workers, and a connector that is a process of its own. */

setDefaultTimeout(60_000);

const start = (options: Record<string, string> = {}) =>
  openStage({ workers: 2, sqlite: true, options: { RUNEGATE_TARGET_SERVICE: "tunnel:home", ...options } });

/** Makes the tunnel, and a file with its token. */
async function makeTunnel(stage: Stage): Promise<string> {
  const { code, output } = await stage.command("tunnels", "create", "home");
  expect([code, output]).toEqual([0, expect.stringMatching(/^rgt_\S+\n$/)]);
  const file = join(stage.directory, "token");
  writeFileSync(file, output, { mode: 0o600 });
  return file;
}

async function connect(stage: Stage, file: string, connections: number): Promise<RunningProcess> {
  const flags = ["--tunnel", "home", "--token-file", file, "--to", stage.application.url];
  const running = startProcess(
    runegate("connect", stage.url, ...flags, "--connections", `${connections}`, "--insecure-loopback"),
    { ...stage.env, XDG_RUNTIME_DIR: stage.directory },
    stage.directory,
  );
  await running.waitFor(/Connected: /);
  return running;
}

/** By a connection of its own, so that any worker may be asked. */
const ask = async (stage: Stage, cookie: string) =>
  (await fetch(stage.url, { headers: { Cookie: cookie }, keepalive: false })).status;

/** Asks until it is told to stop. @returns every status there was, and 0 for what broke off. */
function load(stage: Stage, cookie: string) {
  const answers: number[] = [];
  let going = true;
  const all = Array.from({ length: 4 }, async () => {
    while (going) answers.push(await ask(stage, cookie).catch(() => 0));
  });
  return {
    answers,
    async stop() {
      going = false;
      await Promise.all(all);
      return answers;
    },
  };
}

test("one connection serves every worker, and the command line says who is connected", async () => {
  await using stage = await start();
  const cookie = await stage.signIn();
  const file = await makeTunnel(stage);
  expect(await ask(stage, cookie)).toBe(503);
  const connector = await connect(stage, file, 1);
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(stage, cookie)));
  expect(new Set(answers)).toEqual(new Set([200]));
  const { output } = await stage.command("tunnels", "status");
  expect(output).toMatch(/home +\S+ \S+ +127\.0\.0\.1/);
  const asked = startProcess(
    runegate("connect", "--status", "--tunnel", "home"),
    { ...stage.env, XDG_RUNTIME_DIR: stage.directory },
    stage.directory,
  );
  expect(await asked.exited).toBe(0);
  expect(asked.output()).toContain("1 connections");

  expect((await stage.command("tunnels", "revoke", "home")).code).toBe(0);
  const begun = performance.now();
  await until("away", async () => (await ask(stage, cookie)) === 503, 10_000);
  expect(performance.now() - begun).toBeLessThan(5_000);
  await connector.waitFor(/the token is not good for this tunnel/);
  connector.signal("SIGTERM");
  expect(await connector.exited).toBe(0);
});

test("a stop does not wait for a connector, and one that is up again is found", async () => {
  await using stage = await start();
  const cookie = await stage.signIn();
  const connector = await connect(stage, await makeTunnel(stage), 2);
  expect(await ask(stage, cookie)).toBe(200);
  const begun = performance.now();
  stage.main.signal("SIGTERM");
  await stage.main.exited;
  expect(performance.now() - begun).toBeLessThan(8_000);
  await connector.waitFor(/Not connected to /);
  const next = startProcess(runegate("serve"), stage.env, stage.directory);
  try {
    await connector.waitFor(/Connected: [\s\S]*Not connected[\s\S]*Connected: /);
    expect(await ask(stage, cookie)).toBe(200);
  } finally {
    next.signal("SIGTERM");
    await next.exited;
  }
  connector.signal("SIGTERM");
  await connector.exited;
});

test("a reload under load loses no request", async () => {
  await using stage = await start();
  const cookie = await stage.signIn();
  const connector = await connect(stage, await makeTunnel(stage), 2);
  const under = load(stage, cookie);
  for (let round = 0; round < 2; round++) {
    stage.main.signal("SIGHUP");
    await stage.says(/ reloaded /);
    await stage.says(/a connector has left/);
  }
  const answers = await under.stop();
  expect(answers.length).toBeGreaterThan(20);
  expect(new Set(answers)).toEqual(new Set([200]));
  connector.signal("SIGTERM");
  await connector.exited;
});

test("of two connectors one is killed under load: only what was under way fails, and the other goes on", async () => {
  await using stage = await start();
  const cookie = await stage.signIn();
  const file = await makeTunnel(stage);
  const killed = await connect(stage, file, 2);
  const other = await connect(stage, file, 2);
  const under = load(stage, cookie);
  await until("some answers", () => under.answers.length > 50, 10_000);
  killed.signal("SIGKILL");
  await killed.exited;
  const before = under.answers.length;
  await until("more answers", () => under.answers.length > before + 100, 10_000);
  const answers = await under.stop();
  expect(answers.filter((answer) => answer !== 200).length).toBeLessThanOrEqual(4);
  other.signal("SIGTERM");
  await other.exited;
});
