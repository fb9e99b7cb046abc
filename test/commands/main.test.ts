import { describe, expect, test } from "bun:test";
import { COMMAND_NAMES, findCommand } from "../../src/commands/list.ts";
import { main } from "../../src/main.ts";
import { VERSION } from "../../src/version.ts";
import { recordedIo } from "../support/recorded-io.ts";

async function run(...argv: string[]) {
  const io = recordedIo();
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
