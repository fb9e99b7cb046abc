import { describe, expect, test } from "bun:test";
import { UsageError } from "../../src/commands/command.ts";
import { createConfigCommand } from "../../src/commands/config.ts";
import { OPTION_FLAGS, takeFlags } from "../../src/commands/flags.ts";
import { COMMAND_NAMES, findCommand } from "../../src/commands/list.ts";
import { runCommand } from "../../src/commands/run.ts";
import { readOptions } from "../../src/config/load.ts";
import { OPTION_NAMES } from "../../src/config/options.ts";
import { describe as inWords } from "../../src/option/finding.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { testMachine } from "../support/surroundings.ts";

describe("flags stand for options", () => {
  const taken: [string[], Record<string, string>][] = [
    [
      ["--listen", ":8080", "--target", "3000"],
      { RUNEGATE_LISTEN: ":8080", RUNEGATE_TARGET_SERVICE: "3000" },
    ],
    [["--target-service=unix:/a=b"], { RUNEGATE_TARGET_SERVICE: "unix:/a=b" }],
    [["--session-ttl", "7d"], { RUNEGATE_SESSION_TTL: "7d" }],
    [["--request-logs"], { RUNEGATE_REQUEST_LOGS: "true" }],
    [["--request-logs", "--workers", "2"], { RUNEGATE_REQUEST_LOGS: "true", RUNEGATE_WORKERS: "2" }],
    [["--request-logs", "false"], { RUNEGATE_REQUEST_LOGS: "false" }],
    [["--request-logs=off"], { RUNEGATE_REQUEST_LOGS: "off" }],
    [["--no-request-logs"], { RUNEGATE_REQUEST_LOGS: "false" }],
    [["--trusted-proxies="], { RUNEGATE_TRUSTED_PROXIES: "" }],
    [["--landing-path", "/a\nb"], { RUNEGATE_LANDING_PATH: "/a\nb" }],
    [["--listen", "1", "--listen", "2"], { RUNEGATE_LISTEN: "2" }],
    [["--env-file", "a.env"], { RUNEGATE_ENV_FILE: "a.env" }],
    [["--jwt-secret-file", "a"], { RUNEGATE_JWT_SECRET_FILE: "a" }],
    [["--store", "sqlite:a.db"], { RUNEGATE_STORE: "sqlite:a.db" }],
    [["--store-file=a"], { RUNEGATE_STORE_FILE: "a" }],
  ];
  test.each(taken)("%j", (args, flags) => expect(takeFlags(args)).toEqual({ flags, rest: [] }));

  test("each option has one, and none means two", () => {
    const spellings = OPTION_FLAGS.map(({ spelling }) => spelling);
    expect(new Set(spellings).size).toBe(spellings.length);
    expect(new Set(OPTION_FLAGS.map(({ name }) => name))).toEqual(new Set(OPTION_NAMES));
  });
  test("what is the command's own stays, in its order", () => {
    const own = { json: { type: "boolean" }, example: { type: "string" } } as const;
    const args = [
      "revoke",
      "--json",
      "--workers",
      "2",
      "--example",
      "env",
      "a@b",
      "-x",
      "--",
      "--listen",
      "1",
    ];
    expect(takeFlags(args, own)).toEqual({
      flags: { RUNEGATE_WORKERS: "2" },
      rest: ["revoke", "--json", "--example", "env", "a@b", "-x", "--", "--listen", "1"],
    });
  });
  test("no command has one of its own that would hide one", async () => {
    for (const name of COMMAND_NAMES) {
      const command = await findCommand(name);
      const hidden = Object.keys(command?.readsOptions ? (command.flags ?? {}) : {}).filter((flag) =>
        OPTION_FLAGS.some(({ spelling }) => spelling === `--${flag}`),
      );
      expect([name, hidden]).toEqual([name, []]);
    }
  });

  test.each([
    ["a misspelt one", ["--listn", "1"], "--listn is not an option here. Did you mean --listen?"],
    ["the opposite of what is no switch", ["--no-listen"], "--no-listen is not an option here"],
    ["no value", ["--listen"], "--listen takes a value"],
    ["another flag for a value", ["--listen", "--workers"], "--listen takes a value"],
    ["a value for an opposite", ["--no-request-logs=true"], "--no-request-logs takes no value"],
    ["a secret", ["--jwt-secret", "hunter2"], "--jwt-secret-file FILE"],
    [
      "a secret, with an equals sign",
      ["--session-key=hunter2"],
      "Write RUNEGATE_SESSION_KEY into an env file",
    ],
    ["a password in a URL", ["--store", "valkey://a:hunter2@b"], "--store-file FILE"],
    ["a name of the prototype", ["--constructor"], "--constructor is not an option here"],
  ])("%s is refused", (_, args, text) => {
    const refused = () => takeFlags(args);
    expect(refused).toThrow(UsageError);
    expect(refused).toThrow(text);
    expect(refused).not.toThrow("hunter2");
  });
});

describe("where a value comes from", () => {
  test("the command line goes before environment and file, and is named in words", () => {
    using machine = testMachine();
    machine.write("runegate.env", "RUNEGATE_LOGIN_RATE_LIMIT=1\nRUNEGATE_TOKEN_RATE_LIMIT=1");
    const { options, sources } = readOptions(
      {
        env: { RUNEGATE_LOGIN_RATE_LIMIT: "2", RUNEGATE_TOKEN_RATE_LIMIT: "2" },
        flags: { RUNEGATE_LOGIN_RATE_LIMIT: "3" },
      },
      machine,
    );
    expect([options.loginRateLimit, sources.loginRateLimit.source]).toEqual([3, "command line"]);
    expect([options.tokenRateLimit, sources.tokenRateLimit.source]).toEqual([2, "environment"]);
  });
  test("a wrong value is named by its flag", () => {
    using machine = testMachine();
    const flags = {
      RUNEGATE_TARGET_SERVICE: "x",
      RUNEGATE_SESSION_TTL: "soon",
      RUNEGATE_SESSION_KEY_FILE: "/none",
    };
    const problems = readOptions({ env: {}, flags }, machine).problems.map(inWords);
    expect(problems.map((problem) => problem.split(" ", 1)[0])).toEqual([
      "RUNEGATE_SESSION_KEY_FILE",
      "--session-ttl",
      "--target",
    ]);
  });
  test("a file that a flag names goes before a secret that is given otherwise", () => {
    using machine = testMachine();
    const file = machine.write("key", "f".repeat(64));
    machine.write("runegate_session_key", "c".repeat(64));
    const env = { CREDENTIALS_DIRECTORY: machine.directory, RUNEGATE_SESSION_KEY: "e".repeat(64) };
    const { options, problems } = readOptions({ env, flags: { RUNEGATE_SESSION_KEY_FILE: file } }, machine);
    expect([problems, Buffer.from(options.sessionKey ?? []).toString()]).toEqual([[], "f".repeat(64)]);
    expect(readOptions({ env }, machine).problems.map(inWords).join()).toContain("is given 2 times");
  });
  test("an env file that a flag names is read in place of another", () => {
    using machine = testMachine();
    const own = machine.write("own.env", "RUNEGATE_LOGIN_RATE_LIMIT=7");
    const env = { RUNEGATE_ENV_FILE: "/nowhere" };
    const { options, problems } = readOptions({ env, flags: { RUNEGATE_ENV_FILE: own } }, machine);
    expect([problems, options.loginRateLimit]).toEqual([[], 7]);
  });
  test("`config` shows it", async () => {
    using machine = testMachine();
    const io = recordedIo();
    const args = ["--listen", ":8080", "--env-file", "/dev/null"];
    await runCommand(createConfigCommand(machine), args, io);
    expect(io.stdout.join()).toContain("RUNEGATE_LISTEN=:8080\n    (command line)");
    expect(io.stdout.join()).toContain("RUNEGATE_ENV_FILE=/dev/null\n    (command line)");
  });
});
