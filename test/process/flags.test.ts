import { expect, setDefaultTimeout, test } from "bun:test";
import { freePort, runegate, startProcess } from "../support/process.ts";
import { openStage, type Stage } from "./stage.ts";

/** Flags stay in force for as long as the gateway does, in whatever process. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

const limits = async ({ url }: Stage) =>
  (await fetch(`${url}/_runegate/rate_limit_info`, { keepalive: false })).json();

const COMMAND = runegate("serve", "--login-rate-limit", "7", "--rate-limit-enabled", "--no-request-logs");
const OPTIONS = {
  RUNEGATE_LOGIN_RATE_LIMIT: "1",
  RUNEGATE_TOKEN_RATE_LIMIT: "1",
  RUNEGATE_REQUEST_LOGS: "true",
};
const NEXT = { RUNEGATE_LOGIN_RATE_LIMIT: "2", RUNEGATE_TOKEN_RATE_LIMIT: "2" };

test.concurrent.each([1, 2])("a reload keeps them, with %d worker(s)", async (workers) => {
  await using stage = await openStage({ workers, command: COMMAND, options: OPTIONS });
  expect(await limits(stage)).toMatchObject({ enabled: true, login_rate_limit: 7, token_rate_limit: 1 });
  stage.configure(NEXT);
  stage.main.signal("SIGHUP");
  await stage.says(/ reloaded /);
  expect(await limits(stage)).toMatchObject({ enabled: true, login_rate_limit: 7, token_rate_limit: 2 });
  expect(stage.main.output()).not.toContain("rate_limit_info");
});

test.concurrent("a successor is given them", async () => {
  await using stage = await openStage({ sqlite: true, command: COMMAND, options: OPTIONS });
  stage.configure(NEXT);
  stage.main.signal("SIGUSR2");
  await stage.says(/ handed over /);
  expect(await limits(stage)).toMatchObject({ enabled: true, login_rate_limit: 7, token_rate_limit: 2 });
});

test.concurrent("loose values, and no word for the command", async () => {
  await using stage = await openStage();
  const { port } = new URL(stage.application.url);
  const listen = freePort();
  const env = { RUNEGATE_ENV_FILE: "/dev/null", RUNEGATE_CONTROL_SOCKET: "off" };
  const gateway = startProcess(runegate("--listen", `:${listen}`, "--target", port), env);
  const [, address] = await gateway.waitFor(/ listening +address=(\S+)/);
  expect(address).toBe(`127.0.0.1:${listen}`);
  gateway.signal("SIGTERM");
  expect(await gateway.exited).toBe(0);
});
