import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { METRICS_PATH } from "../../src/pages/paths.ts";
import { frontOfEach } from "../process/front.ts";
import { isAlive, isPortFree, kill, openStage, until } from "../process/stage.ts";
import { freePort, runegate, startProcess } from "../support/process.ts";
import { exchange } from "../support/raw.ts";
import { scrape, sumOf } from "./scrape.ts";

/** `RUNEGATE_METRICS_LISTEN`: an address of its own, in the main process, for what all of them have counted. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

const REQUESTS = "runegate_http_requests_total";
const PROXIED = [REQUESTS, 'route="default"', 'code="2xx"', 'kind="http"'] as const;

async function openMeasured(workers: number, options: Readonly<Record<string, string>> = {}) {
  const port = freePort();
  const sqlite = options.RUNEGATE_STORE !== "memory";
  const stage = await openStage({
    ...{ workers, sqlite },
    options: { RUNEGATE_METRICS_LISTEN: `127.0.0.1:${port}`, ...options },
  });
  return { port, stage, [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose]() };
}

describe.each([1, 2])("with %d processes", (workers) => {
  test.concurrent("H13 metrics are at their own address, and the public one has none", async () => {
    await using measured = await openMeasured(workers);
    const { port, stage } = measured;
    expect(stage.main.output()).toMatch(new RegExp(` listening .*metrics=127\\.0\\.0\\.1:${port}`));
    const cookie = await stage.signIn();
    for (const fields of [[], [`Cookie: ${cookie}`]]) {
      expect((await exchange(stage.port, `GET ${METRICS_PATH}`, fields)).status).toBe(404);
    }
    for (const path of ["/", "/metrics", `${METRICS_PATH}/`, "/_runegate/health", "/_runegate/login"]) {
      expect((await exchange(port, `GET ${path}`)).status).toBe(404);
    }
    expect((await exchange(port, `POST ${METRICS_PATH}`)).status).toBe(405);
    expect((await exchange(port, `HEAD ${METRICS_PATH}`)).status).toBe(200);
    stage.main.signal("SIGTERM");
    expect(await stage.main.exited).toBe(0);
    expect([isPortFree(port), isPortFree(stage.port)]).toEqual([true, true]);
  });

  test.concurrent("every request is counted once, wherever it arrived, and a reload forgets none", async () => {
    await using measured = await openMeasured(workers, { RUNEGATE_STORE: "memory" });
    const { port, stage } = measured;
    const cookie = await stage.signIn();
    for (let turn = 1; turn <= 2; turn++) {
      const fronts = await frontOfEach(stage);
      if (workers === 1)
        for (let i = 0; i < 5; i++) await exchange(stage.port, "GET /", [`Cookie: ${cookie}`]);
      for (const front of fronts) for (let i = 0; i < 5; i++) await front.ask("GET /", [`Cookie: ${cookie}`]);
      for (const front of fronts) front.wire.destroy();
      const scraped = await scrape(port);
      expect(sumOf(scraped, ...PROXIED)).toBe(5 * workers * turn);
      expect(sumOf(scraped, "runegate_http_request_duration_seconds_count", 'kind="http"')).toBe(
        5 * workers * turn,
      );
      expect(sumOf(scraped, "runegate_sessions")).toBe(1);
      expect(sumOf(scraped, "runegate_build_info")).toBe(1);
      stage.configure({ RUNEGATE_LANDING_PATH: "/after" });
      stage.main.signal("SIGHUP");
      await stage.says(/ reloaded /);
    }
  });
});

test.concurrent("what a killed worker had said stays counted, and what one that leaves has done", async () => {
  await using measured = await openMeasured(3, { RUNEGATE_STORE: "memory" });
  const { port, stage } = measured;
  const cookie = await stage.signIn();
  const fronts = await frontOfEach(stage);
  for (const front of fronts) for (let i = 0; i < 4; i++) await front.ask("GET /", [`Cookie: ${cookie}`]);
  expect(sumOf(await scrape(port), ...PROXIED)).toBe(12);

  const [killed] = fronts;
  kill(killed?.worker ?? 0, "SIGKILL");
  await stage.says(/a worker ended, another will be started/);
  expect(sumOf(await scrape(port), ...PROXIED)).toBe(12);
  await stage.says(/worker listens/);

  // Nobody asks between the last requests and the end of two of the workers.
  for (const front of fronts.slice(1)) await front.ask("GET /", [`Cookie: ${cookie}`]);
  for (const front of fronts) front.wire.destroy();
  const before = stage.workers();
  stage.configure({ RUNEGATE_WORKERS: "2" });
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  await until("one has left", () => before.filter(isAlive).length === 2);
  expect(sumOf(await scrape(port), ...PROXIED)).toBe(14);
});

test.concurrent("a worker that hangs is not waited for, and is told of as it was", async () => {
  await using measured = await openMeasured(2);
  const { port, stage } = measured;
  const cookie = await stage.signIn();
  const fronts = await frontOfEach(stage);
  for (const front of fronts) await front.ask("GET /", [`Cookie: ${cookie}`]);
  expect(sumOf(await scrape(port), ...PROXIED)).toBe(2);
  const [hanging] = fronts;
  kill(hanging?.worker ?? 0, "SIGSTOP");
  const begun = performance.now();
  expect(sumOf(await scrape(port), ...PROXIED)).toBe(2);
  expect(performance.now() - begun).toBeLessThan(4_000);
  kill(hanging?.worker ?? 0, "SIGCONT");
});

test.concurrent("a successor takes the address over", async () => {
  await using measured = await openMeasured(1);
  const { port, stage } = measured;
  stage.main.signal("SIGUSR2");
  await stage.says(/ handed over /);
  await until("it has ended", () => !isAlive(stage.main.pid));
  await until("the successor answers", () => !isPortFree(port));
  expect(sumOf(await scrape(port), "runegate_build_info")).toBe(1);
});

test.concurrent("an address that is taken stops the start, which says which", async () => {
  const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const run = startProcess(runegate("serve"), {
    RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
    RUNEGATE_METRICS_LISTEN: `127.0.0.1:${taken.port}`,
    RUNEGATE_CONTROL_SOCKET: "off",
  });
  expect(await run.exited).not.toBe(0);
  expect(run.output()).toContain(`Cannot listen on 127.0.0.1:${taken.port}`);
  taken.stop(true);
});

test.concurrent("without it nothing listens and nothing is said of it", async () => {
  await using stage = await openStage();
  expect(stage.main.output()).not.toContain("metrics=");
  expect((await exchange(stage.port, `GET ${METRICS_PATH}`)).status).toBe(404);
});
