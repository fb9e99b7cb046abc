import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf, kill, openStage, type Stage, until } from "../process/stage.ts";
import { needs } from "../support/needs.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";

/** Real programs that come with API keys, as `npm run test:applications` runs them. */

// The first time, everything is installed.
setDefaultTimeout(900_000);

/** Where they are, and are installed if they are not there. */
const VENV = process.env.RUNEGATE_TEST_PROGRAMS ?? join(tmpdir(), "runegate-programs");
const PACKAGES = ["gradio", "mlflow", "requests", "websockets"];
const inVenv = (name: string) => join(VENV, "bin", name);

let directory: string;
const running: RunningProcess[] = [];
const stages: Stage[] = [];

/** Whatever proxies and tokens whoever runs the test has, they are not meant for it. */
const surroundings = () => ({
  HOME: directory,
  NO_PROXY: "*",
  no_proxy: "*",
  GRADIO_ANALYTICS_ENABLED: "False",
});

function start(...command: string[]): void {
  running.push(startProcess(command, surroundings(), directory));
}

function install(): void {
  if (existsSync(inVenv("mlflow")) && existsSync(inVenv("gradio"))) return;
  for (const command of [
    ["python3", "-m", "venv", VENV],
    [inVenv("pip"), "install", "--quiet", ...PACKAGES],
  ]) {
    const { exitCode, stderr } = Bun.spawnSync(command);
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  }
}

/** A gateway with keys and several workers. @param target undefined for the test's own application. */
async function openGateway(
  target?: string,
): Promise<{ readonly url: string; readonly key: string; readonly stage: Stage }> {
  const options = {
    RUNEGATE_API_KEYS: "true",
    ...(target === undefined ? {} : { RUNEGATE_TARGET_SERVICE: target }),
  };
  const stage = await openStage({ workers: 2, options });
  stages.push(stage);
  const { code, output } = await stage.command("keys", "create", "--owner", "ada@example.org");
  expect(code).toBe(0);
  return { url: stage.url, key: output.trim(), stage };
}

async function answers(url: string): Promise<void> {
  await until(
    `${url} answers`,
    () =>
      fetch(url).then(
        ({ ok }) => ok,
        () => false,
      ),
    120_000,
  );
}

/** What a program says, line by line. */
async function run(
  name: string,
  { url, key }: { url: string; key: string },
  env: Record<string, string> = {},
) {
  const script = join(import.meta.dir, "programs.py");
  const child = Bun.spawn([inVenv("python"), script, name, url], {
    cwd: directory,
    env: { ...process.env, ...surroundings(), RUNEGATE_KEY: key, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [said, complaint, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${name}: ${complaint}`);
  return said.trim().split("\n");
}

/** With whatever it has started, which would hold on to its output. */
function end(pid: number): void {
  const children = childrenOf(pid);
  kill(pid, "SIGKILL");
  children.forEach(end);
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "runegate-programs-run-"));
  install();
});
afterAll(async () => {
  for (const stage of stages) await stage[Symbol.asyncDispose]();
  for (const { pid } of running) end(pid);
  await Promise.all(running.map(({ exited }) => exited));
  rmSync(directory, { recursive: true, force: true });
});

test("gradio_client: a call and a stream", async () => {
  const port = freePort();
  start(inVenv("python"), join(import.meta.dir, "gradio-app.py"), String(port));
  await answers(`http://127.0.0.1:${port}/config`);
  const gateway = await openGateway(`http://127.0.0.1:${port}`);
  expect(await run("gradio", gateway)).toEqual(["Hello Ada", "1 2 3 4 5"]);
  await expect(run("gradio", { ...gateway, key: gateway.key.slice(0, -1) })).rejects.toThrow(
    /credentials were not provided/,
  );
});

test("mlflow: a run with a metric and a file of 1 MB, up and down, by token and by password", async () => {
  const port = freePort();
  start(inVenv("mlflow"), "server", "--host", "127.0.0.1", "--port", String(port), "--workers", "1");
  await answers(`http://127.0.0.1:${port}/health`);
  const gateway = await openGateway(`http://127.0.0.1:${port}`);
  for (const as of ["token", "password"])
    expect(await run("mlflow", gateway, { AS: as })).toEqual(["{'accuracy': 0.5} 1", "1000000"]);
  const none = run(
    "mlflow",
    { ...gateway, key: "rg_none" },
    { AS: "token", MLFLOW_HTTP_REQUEST_MAX_RETRIES: "0" },
  );
  await expect(none).rejects.toThrow(/The API key is wrong/);
});

const prometheus = needs("prometheus");
test.skipIf(prometheus === undefined)(
  "prometheus: scrapes what is behind it, and is asked through it",
  async () => {
    const port = freePort();
    const gateway = await openGateway(`http://127.0.0.1:${port}`);
    writeFileSync(join(directory, "key"), gateway.key);
    const config = {
      global: { scrape_interval: "1s" },
      scrape_configs: [
        {
          ...{ job_name: "behind", authorization: { credentials_file: join(directory, "key") } },
          static_configs: [{ targets: [new URL(gateway.url).host] }],
        },
        { job_name: "without", static_configs: [{ targets: [new URL(gateway.url).host] }] },
      ],
    };
    // JSON is YAML.
    writeFileSync(join(directory, "prometheus.yml"), JSON.stringify(config));
    start(
      prometheus ?? "",
      ...[`--config.file=${directory}/prometheus.yml`, `--storage.tsdb.path=${directory}/data`],
      `--web.listen-address=127.0.0.1:${port}`,
    );
    await answers(`http://127.0.0.1:${port}/-/ready`);
    async function up(): Promise<string> {
      const asked = `${gateway.url}/api/v1/query?query=up`;
      const response = await fetch(asked, { headers: { Authorization: `Bearer ${gateway.key}` } });
      const { data } = (await response.json()) as {
        data: { result: { metric: { job: string }; value: [number, string] }[] };
      };
      return data.result
        .map(({ metric, value }) => `${metric.job} ${value[1]}`)
        .toSorted()
        .join();
    }
    await until("it has scraped", async () => (await up()) === "behind 1,without 0", 30_000);
  },
);

describe("whatever speaks HTTP", () => {
  let gateway: Awaited<ReturnType<typeof openGateway>>;
  beforeAll(async () => {
    gateway = await openGateway();
  });

  test("Python's requests, by Basic", async () => {
    expect(await run("basic", gateway)).toEqual(["hello", "1000000", "hello", "401"]);
  });

  test("a WebSocket client with X-Runegate-Key", async () => {
    expect(await run("websocket", gateway)).toEqual(["hello"]);
    await expect(run("websocket", { ...gateway, key: "rg_none" })).rejects.toThrow(/401/);
  });

  test("curl, in three ways", async () => {
    const { url, key } = gateway;
    async function curl(...args: string[]) {
      // Not waited for at once: the application is this process.
      const child = Bun.spawn(["curl", "-sSf", "--noproxy", "*", "-m", "10", ...args, url], {
        stdout: "pipe",
        stderr: "ignore",
      });
      const said = await child.stdout.text();
      return [await child.exited, said];
    }
    for (const args of [
      ["-H", `Authorization: Bearer ${key}`],
      ["-u", `ada:${key}`],
      ["-H", `X-Runegate-Key: ${key}`],
    ])
      expect(await curl(...args)).toEqual([0, "hello"]);
    expect(await curl()).toEqual([22, ""]);
  });
});
