import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStage, type Stage, until } from "../process/stage.ts";
import { freePort, runegate, startProcess } from "../support/process.ts";
import { DECIDE, deny, hang, type Receiver, SIGN_IN, startReceiver } from "./support.ts";

/** Hooks of processes that are killed, reload, and are asked by an operator. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(60_000);

const receivers: Receiver[] = [];
afterEach(() => {
  for (const one of receivers.splice(0)) one.stop();
});

function receive(port = 0): Receiver {
  const receiver = startReceiver(undefined, undefined, port);
  receivers.push(receiver);
  return receiver;
}

async function stageWith(
  hooks: string,
  workers = 1,
  env: Readonly<Record<string, string>> = {},
): Promise<Stage & { write(hooks: string): void }> {
  const path = join(process.env.TMPDIR ?? "/tmp", `runegate-hooks-${crypto.randomUUID()}.toml`);
  const write = (text: string) => writeFileSync(path, text, { mode: 0o600 });
  write(hooks);
  const stage = await openStage({ workers, env, sqlite: true, options: { RUNEGATE_ROUTES: path } });
  return { ...stage, write };
}

test("I7 kill -9 between the act and its call: it is made after the next start", async () => {
  const receiver = receive();
  const hooks = receiver.block("crm", SIGN_IN);
  // Nobody listens there.
  await using stage = await stageWith(hooks.replace(receiver.url, `http://127.0.0.1:${freePort()}/hook`));
  await stage.signIn();
  await stage.says(/a hook failed, will try again/);
  stage.main.signal("SIGKILL");
  await stage.main.exited;
  stage.write(hooks);
  const next = startProcess(runegate("serve"), stage.env, stage.directory);
  try {
    await until("it is told", () => receiver.calls.length > 0, 30_000);
    expect(receiver.calls.map(({ type, data, isSigned }) => [type, data.email, isSigned])).toEqual([
      ["sign_in", "ada@example.org", [true]],
    ]);
  } finally {
    next.signal("SIGKILL");
    await next.exited;
  }
});

describe.each([1, 2])("with %d processes", (workers) => {
  test("a reload is the end of what the file said before: nothing is sent there, or signed so", async () => {
    const [before, after] = [receive(), receive()];
    await using stage = await stageWith(before.block("crm", SIGN_IN), workers);
    await stage.signIn();
    await until("it is told", () => before.calls.length === 1);
    // As many as a process calls at a time are held for longer than it takes to look again, and some wait meanwhile.
    after.answer = hang;
    stage.write(after.block("crm", `${SIGN_IN}\ntimeout = "6s"`));
    stage.main.signal("SIGHUP");
    await stage.says(/ reloaded /);
    const events = 4 * workers + 4;
    for (let n = 0; n < events; n++) await stage.signIn(`user${n}@example.org`);
    await until("all are told", () => after.calls.length >= events, 30_000);
    expect(before.calls).toHaveLength(1);
    expect(after.calls.every(({ isSigned }) => isSigned[0])).toBe(true);
  });
});

test("no proxy of the environment is told in clear", async () => {
  const [hook, proxy] = [receive(), receive()];
  const { origin } = new URL(proxy.url);
  const env = { HTTP_PROXY: origin, http_proxy: origin, NO_PROXY: "", no_proxy: "" };
  await using stage = await stageWith(hook.block("crm", SIGN_IN), 1, env);
  await stage.signIn();
  await until("one is told", () => hook.calls.length + proxy.calls.length > 0);
  expect([hook.calls.length, proxy.calls.length]).toEqual([1, 0]);
});

test("an operator lists hooks, tries one, and has a secret made", async () => {
  const [told, asked] = [receive(), receive()];
  asked.answer = () => deny("Not\u001b[31m you");
  await using stage = await stageWith(told.block("crm", SIGN_IN) + asked.block("gate", DECIDE));
  const list = await stage.command("hooks");
  expect(list.code).toBe(0);
  expect(list.output).toMatch(/^crm +notify +sign_in +http:\/\/127\.0\.0\.1:\d+\/hook +0/m);
  expect(list.output).toMatch(/^gate +decide/m);
  expect(list.output).not.toContain("of=ours");
  expect(JSON.parse((await stage.command("hooks", "list", "--json")).output)).toMatchObject([
    { name: "crm", mode: "notify", on_error: null, off_since: null },
    { name: "gate", mode: "decide", on_error: "deny" },
  ]);

  const tried = await stage.command("hooks", "test", "gate");
  expect(tried.code).toBe(0);
  expect(tried.output).toMatch(/^gate answered 200 after \d+ ms\.\n/);
  expect(tried.output).not.toContain("\u001b");
  expect(asked.calls).toMatchObject([{ type: "test", data: {}, isSigned: [true] }]);
  told.answer = () => new Response("no such path", { status: 404 });
  const failed = await stage.command("hooks", "test", "crm");
  expect([failed.code, failed.output]).toEqual([1, expect.stringContaining("answered 404")]);
  const unknown = await stage.command("hooks", "test", "cmr");
  expect([unknown.code, unknown.output]).toEqual([1, expect.stringContaining("There is no hook cmr")]);
  expect((await stage.command("hooks", "test")).code).toBe(64);
  expect((await stage.command("hooks", "secret", "crm")).code).toBe(64);

  const made = await stage.command("hooks", "secret");
  expect([made.code, made.output]).toEqual([0, expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=\n$/)]);
  expect((await stage.command("hooks", "secret")).output).not.toBe(made.output);
});
