import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, lstatSync } from "node:fs";
import { join } from "node:path";
import { check } from "../forward-auth/support.ts";
import { freePort, runegate, startProcess } from "../support/process.ts";
import { dial, exchange, readResponse, requestHead } from "../support/raw.ts";
import { isAlive, isPortFree, openStage, type Stage, until } from "./stage.ts";

/** `RUNEGATE_CHECK_LISTEN`: a second address, for as long as the first is there, and in as many processes. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

const asks = (stage: Stage, port: number, cookie?: string) =>
  check(port, "caddy", {
    url: `${stage.url}/private`,
    fields: cookie === undefined ? [] : [`Cookie: ${cookie}`],
  });

describe.each([1, 2])("with %d processes", (workers) => {
  test.concurrent("checks are answered there, after a reload too, and nothing else is", async () => {
    const port = freePort();
    await using stage = await openStage({ workers, options: { RUNEGATE_CHECK_LISTEN: `127.0.0.1:${port}` } });
    expect(stage.main.output()).toMatch(new RegExp(` listening .*checks=127\\.0\\.0\\.1:${port}`));
    const cookie = await stage.signIn();
    const kept = await dial(port);
    for (let turn = 0; turn < 2; turn++) {
      // More connections than processes, so that each of them gets one.
      for (let i = 0; i < 8; i++) {
        expect((await asks(stage, port, cookie)).one("remote-user")).toBe("ada@example.org");
        expect((await asks(stage, port)).status).toBe(401);
        expect((await exchange(port, "GET /_runegate/login")).status).toBe(400);
      }
      await kept.write(requestHead("GET /x"));
      expect((await readResponse(kept)).status).toBe(400);
      if (turn > 0) break;
      stage.configure({ RUNEGATE_IDENTITY_HEADERS: "true", RUNEGATE_LANDING_PATH: "/after" });
      stage.main.signal("SIGHUP");
      await stage.says(/ reloaded /);
    }
    const form = ["Accept: text/html", "Sec-Fetch-Mode: navigate"];
    const answer = await check(port, "caddy", { method: "POST", url: `${stage.url}/private`, fields: form });
    expect(answer.one("location")).toBe(`${stage.url}/_runegate/login?next=%2Fafter`);
    kept.destroy();
    stage.main.signal("SIGTERM");
    expect(await stage.main.exited).toBe(0);
    expect([isPortFree(port), isPortFree(stage.port)]).toEqual([true, true]);
  });

  test.concurrent("a stop lets a check that is under way finish, and takes no other", async () => {
    const port = freePort();
    await using stage = await openStage({ workers, options: { RUNEGATE_CHECK_LISTEN: `127.0.0.1:${port}` } });
    stage.main.signal("SIGTERM");
    await until("nobody listens", () => isPortFree(port));
    expect(await stage.main.exited).toBe(0);
    expect(stage.complaints()).toEqual([]);
  });

  test.concurrent("another address takes a restart", async () => {
    const port = freePort();
    await using stage = await openStage({ workers, options: { RUNEGATE_CHECK_LISTEN: `127.0.0.1:${port}` } });
    stage.configure({ RUNEGATE_CHECK_LISTEN: undefined });
    stage.main.signal("SIGHUP");
    await stage.says(/RUNEGATE_CHECK_LISTEN has changed, which takes a restart[\s\S]* reloaded /);
    expect((await asks(stage, port)).status).toBe(401);
  });
});

test.concurrent("a successor takes it over", async () => {
  const port = freePort();
  await using stage = await openStage({
    sqlite: true,
    options: { RUNEGATE_CHECK_LISTEN: `127.0.0.1:${port}` },
  });
  const cookie = await stage.signIn();
  stage.main.signal("SIGUSR2");
  await stage.says(/ handed over /);
  await until("it has ended", () => !isAlive(stage.main.pid));
  expect((await asks(stage, port, cookie)).one("remote-user")).toBe("ada@example.org");
  expect((await exchange(port, "GET /")).status).toBe(400);
});

test.concurrent("a socket in the file system has the mode of the other one, and goes with the process", async () => {
  const port = freePort();
  await using stage = await openStage({ options: { RUNEGATE_LANDING_PATH: "/" } });
  const path = join(stage.directory, "check.sock");
  const env = {
    ...stage.env,
    RUNEGATE_LISTEN: `127.0.0.1:${port}`,
    RUNEGATE_CHECK_LISTEN: `unix:${path}`,
    RUNEGATE_LISTEN_MODE: "0666",
    RUNEGATE_TRUSTED_PROXIES: "",
    RUNEGATE_CONTROL_SOCKET: "off",
  };
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    const other = startProcess(runegate("serve"), env, stage.directory);
    await other.waitFor(/ listening /);
    expect((lstatSync(path).mode & 0o777).toString(8)).toBe("666");
    const headers = { "X-Original-URL": `${stage.url}/`, "X-Original-Method": "GET" };
    const answer = await fetch("http://runegate/_runegate/check/nginx", { unix: path, headers });
    expect(answer.status).toBe(401);
    expect((await exchange(port, "GET /_runegate/check/nginx")).one("content-type")).toContain("json");
    other.signal(signal);
    await other.exited;
    expect(existsSync(path)).toBe(signal === "SIGKILL");
  }
});

test.concurrent("an address that is taken is named", async () => {
  await using stage = await openStage();
  const env = {
    ...stage.env,
    RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
    RUNEGATE_CHECK_LISTEN: `127.0.0.1:${stage.port}`,
    RUNEGATE_CONTROL_SOCKET: "off",
  };
  const other = startProcess(runegate("serve"), env, stage.directory);
  expect(await other.exited).toBe(1);
  expect(other.output()).toContain(`Cannot listen on 127.0.0.1:${stage.port}: EADDRINUSE`);
});

test.concurrent.each([
  [{ RUNEGATE_CHECK_LISTEN: "127.0.0.1:7870" }, /RUNEGATE_CHECK_LISTEN is that of RUNEGATE_LISTEN/],
  [
    { RUNEGATE_CHECK_LISTEN: "unix:/run/check.sock", RUNEGATE_WORKERS: "2" },
    /a unix socket cannot be shared/,
  ],
  [{ RUNEGATE_CHECK_LISTEN: "127.0.0.1:0", RUNEGATE_WORKERS: "2" }, /would give each process another port/],
  [{ RUNEGATE_CHECK_LISTEN: "example.org:1" }, /RUNEGATE_CHECK_LISTEN does not start with an IP address/],
] as const)("%j is refused", async (options, why) => {
  const other = startProcess(runegate("check"), { RUNEGATE_ALLOW_ANY_EMAIL: "true", ...options });
  expect(await other.exited).toBe(78);
  expect(other.output()).toMatch(why);
});
