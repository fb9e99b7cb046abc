import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningProcess, runegate, startProcess } from "../support/process.ts";
import { leaveStaleSocket } from "../support/stale-socket.ts";

/** The gateway on a unix socket, as `serve` opens it. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(30_000);

let directory: string;
let path: string;
const running: RunningProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runegate-listen-"));
  path = join(directory, "http.sock");
});
afterEach(async () => {
  for (const one of running.splice(0)) {
    one.signal("SIGKILL");
    await one.exited;
  }
  rmSync(directory, { recursive: true });
});

function serve(more: Readonly<Record<string, string>> = {}): RunningProcess {
  const started = startProcess(
    runegate("serve"),
    {
      RUNEGATE_LISTEN: `unix:${path}`,
      RUNEGATE_BASE_URL: "http://localhost:7870",
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
      RUNEGATE_CONTROL_SOCKET: "off",
      BUN_CONFIG_MAX_HTTP_REQUESTS: "65535",
      ...more,
    },
    directory,
  );
  running.push(started);
  return started;
}

const health = async () =>
  (await fetch("http://localhost/_runegate/health", { unix: path } as RequestInit)).status;
const modeOf = (of: string) => (lstatSync(of).mode & 0o777).toString(8);

test("it comes back after kill -9, and after every other end", async () => {
  for (const signal of ["SIGKILL", "SIGKILL", "SIGTERM"] as const) {
    const gateway = serve();
    await gateway.waitFor(/ listening /);
    expect(await health()).toBe(200);
    expect(modeOf(path)).toBe("600");
    gateway.signal(signal);
    await gateway.exited;
    expect(existsSync(path)).toBe(signal === "SIGKILL");
  }
});

test("where another instance listens, it says so and leaves it alone", async () => {
  await serve().waitFor(/ listening /);
  const second = serve();
  expect(await second.exited).toBe(1);
  expect(second.output()).toContain(`Runegate cannot start: another instance listens on ${path}`);
  expect(await health()).toBe(200);
});

describe("what is no socket", () => {
  test.each([
    ["a file", (at: string) => writeFileSync(at, "precious")],
    ["a link to a file", (at: string) => symlinkSync("/etc/hostname", at)],
  ])("%s, is not touched", async (_, put) => {
    put(path);
    const { ino } = lstatSync(path);
    const refused = serve();
    expect(await refused.exited).toBe(1);
    expect(refused.output()).toContain(`something that is no socket has the name ${path}`);
    expect(lstatSync(path).ino).toBe(ino);
  });

  test("stays where it was put while the gateway ran", async () => {
    const gateway = serve();
    await gateway.waitFor(/ listening /);
    rmSync(path);
    writeFileSync(path, "precious");
    gateway.signal("SIGTERM");
    expect(await gateway.exited).toBe(0);
    expect(readFileSync(path, "utf8")).toBe("precious");
  });
});

test("mode and group are as they are said", async () => {
  leaveStaleSocket(path);
  const group = process.getuid?.() === 0 ? "54321" : String(process.getgid?.());
  await serve({ RUNEGATE_LISTEN_GROUP: group }).waitFor(/ listening /);
  expect([lstatSync(path).gid, modeOf(path)]).toEqual([Number(group), "660"]);
  expect(await health()).toBe(200);
});

test("a reload keeps the socket, and says that its mode takes a restart", async () => {
  const file = join(directory, "runegate.env");
  writeFileSync(file, "RUNEGATE_LISTEN_MODE=0600\n", { mode: 0o600 });
  const gateway = serve({ RUNEGATE_ENV_FILE: file });
  await gateway.waitFor(/ listening /);
  writeFileSync(file, "RUNEGATE_LISTEN_MODE=0660\n");
  gateway.signal("SIGHUP");
  await gateway.waitFor(/RUNEGATE_LISTEN_MODE has changed, which takes a restart/);
  await gateway.waitFor(/ reloaded /);
  expect([modeOf(path), await health()]).toEqual(["600", 200]);
});
