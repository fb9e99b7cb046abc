import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { until } from "../sinks/support.ts";
import { openStage, type Stage } from "./stage.ts";

/** `RUNEGATE_LOG_SINKS` and `RUNEGATE_AUDIT_SINKS` of the process that users run. */

setDefaultTimeout(60_000);

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function stageOf(settings: Parameters<typeof openStage>[0]): Promise<Stage> {
  const stage = await openStage(settings);
  closing.push(() => stage[Symbol.asyncDispose]());
  return stage;
}

type Line = Readonly<Record<string, unknown>>;
const parse = (text: string): Line[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
const linesOf = (path: string) => (existsSync(path) ? parse(readFileSync(path, "utf8")) : []);

/** A collector that takes batches, or does not. */
function startCollector(status = 200) {
  const lines: Line[] = [];
  const state = { status, opened: Promise.resolve() };
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const text = await request.text();
      await state.opened;
      // Given up meanwhile: it is sent again.
      if (request.signal.aborted) return new Response();
      if (state.status === 200) lines.push(...parse(text));
      return new Response(null, { status: state.status });
    },
  });
  closing.push(() => server.stop(true));
  return { lines, state, url: `http://127.0.0.1:${server.port}/in` };
}

/** Those that have this file open. */
function holders(path: string, pids: readonly number[]): number[] {
  return pids.filter((pid) =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === path;
      } catch {
        return false;
      }
    }),
  );
}

const ask = (stage: Stage, path: string) => fetch(`${stage.url}${path}`, { redirect: "manual" });

describe("a file with workers", () => {
  test("has the lines of all of them, each once and whole, written by the main process alone", async () => {
    const stage = await stageOf({ workers: 2, options: { RUNEGATE_REQUEST_LOGS: "true" } });
    const log = join(stage.directory, "r.log");
    stage.configure({ RUNEGATE_LOG_SINKS: `file:${log}` });
    stage.main.signal("SIGHUP");
    await stage.says(/reloaded/);
    const paths = Array.from({ length: 300 }, (_, n) => `/path-${n}`);
    // Each on a connection of its own, so that all workers have some.
    await Promise.all(
      paths.map((path) => fetch(`${stage.url}${path}`, { redirect: "manual", keepalive: false })),
    );
    const seen = () =>
      linesOf(log).flatMap(({ message }) => /^GET (\/path-\d+) /.exec(String(message))?.[1] ?? []);
    await until(() => seen().length >= 300);
    expect(seen().sort()).toEqual(paths.sort());
    expect(linesOf(log).some(({ message }) => message === "reloaded")).toBe(true);
    expect(holders(log, [stage.main.pid, ...stage.workers()])).toEqual([stage.main.pid]);
    expect(statSync(log).mode & 0o777).toBe(0o640);
  });

  test("is let go of at SIGUSR1, which ends neither the main process nor a worker", async () => {
    const stage = await stageOf({ workers: 2 });
    const log = join(stage.directory, "r.log");
    stage.configure({ RUNEGATE_LOG_SINKS: `file:${log}`, RUNEGATE_LOG: "info" });
    stage.main.signal("SIGHUP");
    await stage.says(/reloaded/);
    await until(() => linesOf(log).length > 0);
    const workers = stage.workers();
    renameSync(log, `${log}.1`);
    for (const pid of [stage.main.pid, ...workers]) process.kill(pid, "SIGUSR1");
    await until(() => holders(`${log}.1`, [stage.main.pid]).length === 0);
    const before = readFileSync(`${log}.1`, "utf8");
    await stage.signIn();
    await until(() => linesOf(log).some(({ event }) => event === "redeemed"));
    expect(readFileSync(`${log}.1`, "utf8")).toBe(before);
    expect(stage.workers()).toEqual(workers);
  });
});

describe("a sink of the audit", () => {
  test("has its events alone, whatever the log's level", async () => {
    const collector = startCollector();
    const stage = await stageOf({
      workers: 2,
      options: {
        RUNEGATE_LOG: "info,audit=off",
        RUNEGATE_AUDIT_SINKS: collector.url,
        RUNEGATE_REQUEST_LOGS: "true",
      },
    });
    await stage.signIn();
    await until(() => collector.lines.some(({ event }) => event === "redeemed"));
    for (const line of collector.lines) expect(line).toMatchObject({ module: "audit", message: "audit" });
    expect(stage.main.output()).not.toContain("redeemed");
  });

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "that took nothing gets what happened meanwhile after a restart by %s, and first",
    async (signal) => {
      const collector = startCollector(503);
      const options = { RUNEGATE_AUDIT_SINKS: collector.url, RUNEGATE_AUDIT_SPOOL: "spool" };
      const first = await stageOf({ options });
      await first.signIn("before@example.org");
      const spool = join(first.directory, "spool");
      const spooled = () => (existsSync(spool) ? readdirSync(spool, { recursive: true }).map(String) : []);
      await until(() => spooled().some((name) => name.endsWith(".jsonl")));
      const stoppedFrom = performance.now();
      first.main.signal(signal);
      await first.main.exited;
      expect(performance.now() - stoppedFrom).toBeLessThan(9_000);

      collector.state.status = 200;
      const second = await stageOf({ options: { ...options, RUNEGATE_AUDIT_SPOOL: spool } });
      await second.signIn("after@example.org");
      const who = () => collector.lines.filter(({ event }) => event === "redeemed").map(({ email }) => email);
      await until(() => who().length >= 2);
      expect(who()).toEqual(["before@example.org", "after@example.org"]);
      await until(() => !spooled().some((name) => name.endsWith(".jsonl")));
    },
  );
});

describe("a sink that takes nothing", () => {
  test("H10 holds up no request and no memory; lines that fall are counted, and it says so when it is back", async () => {
    const collector = startCollector();
    const { promise: opened, resolve: openUp } = Promise.withResolvers<void>();
    collector.state.opened = opened;
    const stage = await stageOf({ options: { RUNEGATE_REQUEST_LOGS: "true", RUNEGATE_LOG: "info" } });
    const rss = () =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${stage.main.pid}/status`, "utf8"))?.[1]);
    const path = `/${"x".repeat(900)}`;
    async function load(count: number): Promise<number> {
      const from = performance.now();
      let left = count;
      const one = async () => {
        while (left-- > 0) expect((await ask(stage, path)).status).toBeLessThan(500);
      };
      await Promise.all(Array.from({ length: 20 }, one));
      return (performance.now() - from) / count;
    }
    await load(1_000);
    stage.configure({ RUNEGATE_LOG_SINKS: collector.url });
    stage.main.signal("SIGHUP");
    await stage.says(/reloaded/);
    // More than the queue and all buffers on the way hold: lines of 1 KB.
    await load(6_000);
    const before = rss();
    await load(6_000);
    expect(rss() - before).toBeLessThan(30_000);
    await stage.says(/a sink does not take lines/, 30_000);
    openUp();
    const [, lost = ""] = await stage.says(/ (\d+) lines lost for sink http/, 30_000);
    expect(Number(lost)).toBeGreaterThan(3_000);
    await until(() =>
      collector.lines.some(({ message }) => String(message).startsWith(`${lost} lines lost`)),
    );
    // What arrived and what did not is everything there was.
    const arrived = collector.lines.filter(({ message }) => String(message).includes(path)).length;
    expect(arrived + Number(lost)).toBeGreaterThanOrEqual(12_000);
    expect(arrived + Number(lost)).toBeLessThan(12_010);
  });

  test("holds up the stop for 5 s at most", async () => {
    const collector = startCollector(503);
    const stage = await stageOf({ options: { RUNEGATE_LOG_SINKS: collector.url } });
    const from = performance.now();
    stage.main.signal("SIGTERM");
    expect(await stage.main.exited).toBe(0);
    expect(performance.now() - from).toBeLessThan(9_000);
    expect(stage.main.output()).toMatch(/\d+ lines lost for sink http:\/\/127\.0\.0\.1:\d+\/…/);
  });
});

describe("the command line", () => {
  test("`config` masks what is secret in a sink, `check` says what is wrong with one", async () => {
    const stage = await stageOf({});
    stage.configure({ RUNEGATE_LOG_SINKS: "https://ada:hunter2@logs.example.org/hunter2?token=hunter2" });
    const shown = await stage.command("config", "LOG_SINKS");
    expect(shown.output).toContain("RUNEGATE_LOG_SINKS=https://logs.example.org/…\n");
    expect(shown.output).not.toContain("hunter2");
    expect((await stage.command("check")).code).toBe(0);

    stage.configure({ RUNEGATE_LOG_SINKS: "http://ada:hunter2@logs.example.org/hunter2" });
    const checked = await stage.command("check");
    expect(checked.code).toBe(78);
    expect(checked.output).toMatch(
      /RUNEGATE_LOG_SINKS .*unencrypted: "http:\/\/logs\.example\.org\/…"\. Write https/,
    );
    expect(checked.output).not.toContain("hunter2");
  });
});
