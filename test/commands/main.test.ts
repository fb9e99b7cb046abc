import { describe, expect, test } from "bun:test";
import { COMMAND_NAMES, findCommand } from "../../src/commands/list.ts";
import { main } from "../../src/main.ts";
import { VERSION } from "../../src/version.ts";
import { recordedIo } from "../support/recorded-io.ts";

async function run(...argv: string[]) {
  return runIn({}, ...argv);
}

async function runIn(env: Record<string, string>, ...argv: string[]) {
  const io = recordedIo(env);
  const code = await main(argv, io);
  return { code, stdout: io.stdout.join("\n"), stderr: io.stderr.join("\n") };
}

describe("finding the command", () => {
  test.each([["version"], ["--version"], ["-V"]])("%s", async (word) => {
    const { code, stdout } = await run(word);
    expect(code).toBe(0);
    expect(stdout).toStartWith(`runegate ${VERSION}`);
  });
  test.each([["help"], ["--help"], ["-h"]])("%s lists every command", async (word) => {
    const { code, stdout } = await run(word);
    expect(code).toBe(0);
    for (const name of COMMAND_NAMES) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
  });
  test.each([
    ["a near miss", ["chek"], 'there is no command "chek". Did you mean check?'],
    ["nothing like it", ["restart"], 'there is no command "restart".'],
    ["an option first that serve does not have", ["--json", "version"], "--json is not an option here"],
    ["a letter first", ["-j"], "-j is not an option here: a command comes first"],
    ["nothing", [""], 'there is no command ""'],
    ["a name of the prototype", ["constructor"], "there is no command"],
  ])("%s exits 64", async (_, argv, text) => {
    const { code, stdout, stderr } = await run(...argv);
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toContain(text);
  });
});

const usageOf = (name: string) => new RegExp(`^Usage: runegate \\[?${name}\\b`, "m");

describe.each(COMMAND_NAMES)("%s", (name) => {
  test("answers to its name", async () => {
    const command = await findCommand(name);
    expect(command?.name).toBe(name);
  });

  test("explains itself", async () => {
    const asked = await run(name, "--help");
    expect(asked.code).toBe(0);
    expect(asked.stdout).toMatch(usageOf(name));
    expect(await run(name, "-h")).toEqual(asked);
    expect(await run("help", name)).toEqual(asked);
  });
  test("refuses an option it does not have", async () => {
    const { code, stdout, stderr } = await run(name, "--no-such-option");
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toMatch(usageOf(name));
  });
});

describe("help", () => {
  test("for a command that does not exist", async () => {
    const { code, stderr } = await run("help", "secret");
    expect(code).toBe(64);
    expect(stderr).toContain('there is no command "secret". Did you mean secrets?');
  });
  test("for two commands", async () => expect((await run("help", "check", "config")).code).toBe(64));
});

describe("errors with --json are an object", () => {
  test.each([
    ["of usage", ["version", "--json", "--jsn"], 64, "usage", "Unknown option '--jsn'"],
    ["of a flag", ["users", "--json", "--listn", "1"], 64, "usage", "Did you mean --listen?"],
    [
      "of the configuration",
      ["users", "--json", "--listen=x"],
      78,
      "configuration",
      "--listen is not an address",
    ],
    [
      "of what was to be done",
      ["users", "--json", "--control-socket=/nonexistent/a.sock"],
      1,
      "failed",
      "Cannot ask the running instance",
    ],
  ])("%s", async (_, argv, exit, error, text) => {
    const { code, stdout, stderr } = await run(...argv);
    expect({ code, stdout }).toEqual({ code: exit as never, stdout: "" });
    expect(JSON.parse(stderr)).toEqual({ error, message: expect.stringContaining(text) });
  });
});

describe("errors with --json are an object, whatever the command", () => {
  test.each(COMMAND_NAMES)("%s, with an option that it does not have", async (name) => {
    const { code, stdout, stderr } = await run(name, "--json", "--no-such-option");
    expect([code, stdout]).toEqual([64, ""]);
    expect(JSON.parse(stderr)).toEqual({
      error: "usage",
      message: expect.stringContaining(`runegate ${name}: `),
    });
  });
  test.each([
    ["a command that there is not", ["chek", "--json"]],
    ["a command that is said after its flags", ["--json", "version"]],
    ["an address too many", ["link", "--json", "a@example.org", "b@example.org"]],
    ["a flag that needs a value", ["check", "--json", "--listen"]],
  ])("%s", async (_, argv) => {
    const { code, stdout, stderr } = await run(...argv);
    expect([code, stdout]).toEqual([64, ""]);
    expect(JSON.parse(stderr)).toMatchObject({ error: "usage" });
  });
  test.each([
    [["check"], "The result says what is wrong."],
    [["link", "ada@example.org"], "RUNEGATE_SESSION_TTL"],
    [["health"], undefined],
    [["send-email", "ada@example.org"], "RUNEGATE_SESSION_TTL"],
    [["backup", "/nonexistent/copy"], "RUNEGATE_SESSION_TTL"],
    [["sessions"], "RUNEGATE_SESSION_TTL"],
    [["config"], "RUNEGATE_SESSION_TTL"],
  ])("%j, with a wrong configuration", async (argv, text) => {
    const env = {
      RUNEGATE_ENV_FILE: "/dev/null",
      RUNEGATE_SESSION_TTL: "soon",
      RUNEGATE_LISTEN: "127.0.0.1:1",
    };
    const { code, stderr } = await runIn(env, ...argv, "--json");
    // Whether the gateway runs is asked all the same.
    expect(code).toBe(text === undefined ? 1 : 78);
    const message = expect.stringContaining(text ?? "No answer from 127.0.0.1:1");
    expect(JSON.parse(stderr)).toEqual({ error: text === undefined ? "failed" : "configuration", message });
  });
  test.each([
    [["link", "ada@example.org"], "RUNEGATE_CONTROL_SOCKET is off"],
    [["users"], "RUNEGATE_CONTROL_SOCKET is off"],
    [["backup", "/nonexistent/copy"], "RUNEGATE_STORE is memory"],
    [["token", "a.b"], "not a token"],
    [["secrets", "--env-file", "/nonexistent/a.env"], "ENOENT"],
  ])("%j, which cannot be done", async (argv, text) => {
    const env = { RUNEGATE_ENV_FILE: "/dev/null", RUNEGATE_CONTROL_SOCKET: "off" };
    const { code, stdout, stderr } = await runIn(env, ...argv, "--json");
    expect([code, stdout]).toEqual([1, ""]);
    expect(JSON.parse(stderr)).toEqual({ error: "failed", message: expect.stringContaining(text) });
  });
});

describe("results with --json are one line of JSON", () => {
  const anything = expect.any(String);
  test.each<[string[], unknown]>([
    [["secrets"], { RUNEGATE_JWT_SECRET: anything, RUNEGATE_SESSION_KEY: anything }],
    [["help", "check"], { name: "check", summary: anything, help: expect.stringContaining("--online") }],
    [["help"], expect.arrayContaining([{ name: "check", summary: anything }])],
    [["completion", "fish"], { shell: "fish", script: expect.stringContaining("complete -c runegate") }],
    [["config", "session-ttl"], [expect.objectContaining({ name: "RUNEGATE_SESSION_TTL", value: "14d" })]],
    [["check"], { ok: true, problems: [], warnings: [], reached: [] }],
  ])("%j", async (argv, data) => {
    const env = {
      RUNEGATE_ENV_FILE: "/dev/null",
      RUNEGATE_EMAIL_CONFIG: "",
      RUNEGATE_ALLOWED_EMAILS: "a@b.example",
    };
    const { code, stdout, stderr } = await runIn(env, ...argv, "--json");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).not.toContain("\n");
    expect(JSON.parse(stdout)).toEqual(data);
  });
  test("what is wrong with a configuration, each with its remedy", async () => {
    const env = { RUNEGATE_ENV_FILE: "/dev/null", RUNEGATE_SESSION_TTL: "soon" };
    const { code, stdout } = await runIn(env, "check", "--json");
    expect(code).toBe(78);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      problems: [{ option: "RUNEGATE_SESSION_TTL", problem: anything, remedy: anything }],
    });
  });
});

describe("version", () => {
  test("--json", async () => {
    const { stdout } = await run("version", "--json");
    expect(JSON.parse(stdout)).toEqual({
      name: "runegate",
      version: VERSION,
      commit: null,
      bun: Bun.version,
      target: `${process.platform}-${process.arch}`,
    });
  });
});

test("as a program, with its exit code", async () => {
  const program = Bun.spawn([process.execPath, "src/main.ts", "chek"], { stdout: "pipe", stderr: "pipe" });
  expect(await program.exited).toBe(64);
  expect(await program.stdout.text()).toBe("");
  expect(await program.stderr.text()).toContain("Did you mean check?");
});
