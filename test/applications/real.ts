import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLoad } from "../process/load.ts";
import { kill, openStage, type Stage, until } from "../process/stage.ts";
import { cookieHeader } from "../support/gateway.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";

/**
 * Real applications at once behind one gateway, as `npm run test:applications` runs them: Gradio under a host of its own,
 * JupyterLab under a path, and one on three servers that are killed in turn while the others are used. What it said last stands
 * in test/README.md.
 */

// The first time, everything is installed.
setDefaultTimeout(600_000);

/** Where Gradio and JupyterLab are, and are installed if they are not there. */
const VENV = process.env.RUNEGATE_TEST_VENV ?? join(tmpdir(), "runegate-applications");
const GRADIO = "gradio.localhost";

let directory: string;
let stage: Stage;
let cookie: string;
const ports = { gradio: freePort(), lab: freePort(), mortal: [freePort(), freePort(), freePort()] };
const running: RunningProcess[] = [];
let mortals: RunningProcess[];

function start(...command: string[]): RunningProcess {
  // Each would otherwise look for the proxies and tokens of whoever runs the test.
  const child = startProcess(command, { HOME: directory, GRADIO_ANALYTICS_ENABLED: "False" }, directory);
  running.push(child);
  return child;
}

async function install(): Promise<void> {
  if (existsSync(join(VENV, "bin/jupyter-lab")) && existsSync(join(VENV, "bin/gradio"))) return;
  for (const command of [
    ["python3", "-m", "venv", VENV],
    [join(VENV, "bin/pip"), "install", "--quiet", "gradio", "jupyterlab"],
  ]) {
    const { exitCode, stderr } = Bun.spawnSync(command);
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  }
}

async function startMortal(port: number): Promise<RunningProcess> {
  const server = start(process.execPath, join(import.meta.dir, "../process/mortal.ts"), String(port));
  await server.waitFor(/ready/);
  return server;
}

async function startJupyter(): Promise<void> {
  start(
    join(VENV, "bin/jupyter-lab"),
    ...["--no-browser", "--allow-root", `--port=${ports.lab}`, "--ip=127.0.0.1"],
    ...[`--notebook-dir=${directory}`, "--ServerApp.base_url=/lab", "--ServerApp.port_retries=0"],
    // Runegate has asked already; and it is asked for by another name than this machine's.
    ...["--IdentityProvider.token=", "--ServerApp.allow_remote_access=true"],
  );
  await until("JupyterLab answers", () => answers(`http://127.0.0.1:${ports.lab}/lab/api`), 120_000);
}

async function startGradio(): Promise<void> {
  start(join(VENV, "bin/python"), join(import.meta.dir, "gradio-app.py"), String(ports.gradio));
  await until("Gradio answers", () => answers(`http://127.0.0.1:${ports.gradio}/config`), 120_000);
}

const answers = async (url: string) => {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "runegate-applications-run-"));
  await install();
  [mortals] = await Promise.all([Promise.all(ports.mortal.map(startMortal)), startJupyter(), startGradio()]);
  const file = join(directory, "routes.toml");
  writeFileSync(
    file,
    `
    [[routes]]
    name = "gradio"
    host = "${GRADIO}"
    target = "http://127.0.0.1:${ports.gradio}"
    allow = ["ada@example.org"]

    [[routes]]
    name = "lab"
    path = "/lab"
    target = "http://127.0.0.1:${ports.lab}"
    allow = ["ada@example.org"]

    [[routes]]
    name = "mortal"
    path = "/mortal"
    strip_path = true
    targets = ${JSON.stringify(ports.mortal.map((port) => `http://127.0.0.1:${port}`))}
    allow = ["@example.org"]
    `,
    { mode: 0o600 },
  );
  const options = { RUNEGATE_TARGET_SERVICE: "", RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ROUTES: file };
  stage = await openStage({ workers: 2, options });
  cookie = await stage.signIn();
});

afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
  for (const { pid } of running) kill(pid, "SIGKILL");
  await Promise.all(running.map(({ exited }) => exited));
  rmSync(directory, { recursive: true, force: true });
});

type Ask = RequestInit & { readonly headers?: Record<string, string> };

const at =
  (host: () => string) =>
  (path: string, { headers, ...init }: Ask = {}) =>
    fetch(stage.url + path, {
      ...init,
      redirect: "manual",
      headers: { Host: host(), Cookie: cookie, ...headers },
    });
const gradio = at(() => `${GRADIO}:${stage.port}`);
const home = at(() => `127.0.0.1:${stage.port}`);

async function gradioSays(name: string, data: unknown): Promise<string> {
  const asked = await gradio(`/gradio_api/call/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ data: [data] }),
  });
  expect(asked.status).toBe(200);
  const { event_id } = (await asked.json()) as { event_id: string };
  return (await gradio(`/gradio_api/call/${name}/${event_id}`)).text();
}

async function useGradio(): Promise<void> {
  expect(await (await gradio("/")).text()).toContain("gradio_config");
  expect(await gradioSays("greet", "Ada")).toContain('data: ["Hello Ada"]');
  const events = await gradioSays("count", 5);
  expect(events.match(/data: \["\d"\]/g)?.length).toBeGreaterThanOrEqual(5);
}

async function useJupyter(): Promise<void> {
  const page = await home("/lab/lab");
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("JupyterLab")]);
  const set = cookieHeader(page);
  const own = { Cookie: `${cookie}; ${set}`, "X-XSRFToken": /_xsrf=([^;]*)/.exec(set)?.[1] ?? "" };
  const made = await home("/lab/api/kernels", { method: "POST", headers: own, body: "{}" });
  expect(made.status).toBe(201);
  const { id } = (await made.json()) as { id: string };
  expect(await calculate(id, "print(6 * 7)", own.Cookie)).toContain("42");
  const file = `${crypto.randomUUID()}.txt`;
  const saved = await home(`/lab/api/contents/${file}`, {
    method: "PUT",
    headers: own,
    body: JSON.stringify({ type: "file", format: "text", content: "x".repeat(1_000_000) }),
  });
  expect(saved.status).toBe(201);
  expect((await (await home(`/lab/files/${file}`, { headers: own })).text()).length).toBe(1_000_000);
  expect((await home(`/lab/api/kernels/${id}`, { method: "DELETE", headers: own })).status).toBe(204);
}

/** What a kernel prints of some code, over its WebSocket. */
async function calculate(kernel: string, code: string, own: string): Promise<string> {
  const headers = { Host: `127.0.0.1:${stage.port}`, Cookie: own, Origin: stage.url };
  const socket = new WebSocket(`ws://127.0.0.1:${stage.port}/lab/api/kernels/${kernel}/channels`, {
    headers,
  } as unknown as string);
  const printed = Promise.withResolvers<string>();
  socket.onopen = () => {
    const header = { msg_id: "1", session: "s", username: "", version: "5.3", msg_type: "execute_request" };
    const content = { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false };
    socket.send(
      JSON.stringify({ header, parent_header: {}, metadata: {}, content, channel: "shell", buffers: [] }),
    );
  };
  socket.onmessage = ({ data }) => {
    const { msg_type, content } = JSON.parse(String(data)) as {
      msg_type: string;
      content: { text?: string };
    };
    if (msg_type === "stream") printed.resolve(content.text ?? "");
  };
  socket.onclose = ({ code: why }) => printed.reject(new Error(`the WebSocket was closed: ${why}`));
  const text = await printed.promise;
  socket.onclose = null;
  socket.close();
  return text;
}

describe("each by itself", () => {
  test("Gradio under its own host: its page, a call, a stream", useGradio);
  test("JupyterLab under a path: its page, a kernel's WebSocket, a file of 1 MB up and down", useJupyter);
  test("nobody else's, and nothing without signing in", async () => {
    expect((await home("/lab/api/status", { headers: { Cookie: "" } })).status).toBe(401);
    expect((await gradio("/lab/api/status")).status).toBe(404);
    expect((await home("/config")).status).toBe(404);
    const bob = await stage.signIn("bob@example.org");
    expect((await gradio("/config", { headers: { Cookie: bob } })).status).toBe(403);
    expect((await home("/mortal/x", { headers: { Cookie: bob } })).status).toBe(200);
  });
});

test("all at once, while three servers are killed in turn: no request fails", async () => {
  const load = { port: stage.port, cookie, path: "/mortal/slow", perSecond: 200 };
  const loads = [
    startLoad({ ...load, connections: "kept" }),
    startLoad({ ...load, connections: "fresh", path: "/mortal/x" }),
  ];
  const answered = () => loads.reduce((sum, one) => sum + one.answered, 0);
  const more = (count: number) => {
    const goal = answered() + count;
    return until(`${count} more are answered`, () => answered() >= goal, 60_000);
  };
  let uses = 0;
  let inUse = true;
  const using = (async () => {
    for (; inUse; uses++) await Promise.all([useGradio(), useJupyter()]);
  })();
  for (const [i, port] of ports.mortal.entries()) {
    await more(500);
    kill(mortals[i]?.pid ?? 0, "SIGKILL");
    await more(2_000);
    mortals[i] = await startMortal(port);
  }
  await more(500);
  inUse = false;
  await using;
  const results = await Promise.all(loads.map((one) => one.stop()));
  expect(results.flatMap(({ errors }) => errors)).toEqual([]);
  const rates = results.map(({ perSecond }) => `${perSecond}/s`).join(" and ");
  console.log(
    `${answered()} requests at ${rates}, none failed; Gradio and JupyterLab used ${uses} times meanwhile`,
  );
});
