import { describe, expect, test } from "bun:test";
import { createConfigCommand } from "../../src/commands/config.ts";
import { runCommand } from "../../src/commands/run.ts";
import { parseEmailConfig } from "../../src/config/email.ts";
import { parseEnvFile } from "../../src/config/env-file.ts";
import { OPTION_LIST } from "../../src/config/options.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { testMachine } from "../support/surroundings.ts";

async function run(env: Record<string, string>, ...args: string[]) {
  using machine = testMachine();
  const io = recordedIo(env);
  const code = await runCommand(createConfigCommand(machine), args, io);
  return { code, stdout: io.stdout.join("\n"), stderr: io.stderr.join("\n") };
}

describe("runegate config", () => {
  test("shows every option with value, source and help", async () => {
    const { code, stdout } = await run({
      RUNEGATE_LOGIN_RATE_LIMIT: "7",
      RUNEGATE_ALLOWED_EMAILS: "a@b.example",
    });
    expect(code).toBe(0);
    for (const [, { name }] of OPTION_LIST) expect(stdout).toMatch(new RegExp(`^${name}=`, "m"));
    expect(stdout).toContain("RUNEGATE_LOGIN_RATE_LIMIT=7\n    (environment)\n    Login requests a minute");
    expect(stdout).toContain("RUNEGATE_SECURE_COOKIE=false\n    (default: true in production)");
    expect(stdout).toContain("RUNEGATE_COOKIE_DOMAIN=\n    (default: unset: host-only)");
  });
  test("masks secrets, in both forms", async () => {
    const secret = "hunter2".repeat(10);
    for (const args of [[], ["--json"]]) {
      const { stdout, stderr } = await run({ RUNEGATE_JWT_SECRET: secret }, ...args);
      expect(stdout).toContain("********");
      expect(stdout + stderr).not.toContain("hunter2");
    }
  });
  test("--json", async () => {
    const { stdout } = await run({ RUNEGATE_JWT_SECRET: "s".repeat(32) }, "--json");
    const rows: { name: string; value: string | null }[] = JSON.parse(stdout);
    const value = (name: string) => rows.find((row) => row.name === name)?.value;
    expect(rows).toHaveLength(OPTION_LIST.length + 1);
    expect(value("RUNEGATE_JWT_SECRET")).toBe("********");
    expect(value("RUNEGATE_SESSION_KEY")).toBeNull();
    expect(value("RUNEGATE_SESSION_TTL")).toBe("14d");
  });
  test.each(["RUNEGATE_SESSION_TTL", "session_ttl", "session-ttl", "SESSION_TTL"])(
    "%s alone",
    async (name) => {
      const { code, stdout } = await run({ RUNEGATE_SESSION_TTL: "7d", RUNEGATE_WORKERS: "2" }, name);
      expect([code, stdout.split("\n").slice(0, 2)]).toEqual([
        0,
        ["RUNEGATE_SESSION_TTL=7d", "    (environment)"],
      ]);
      expect(stdout.match(/^RUNEGATE_/gm)).toHaveLength(1);
    },
  );
  test("--changed leaves out what is left to its default", async () => {
    const env = { RUNEGATE_SESSION_TTL: "7d", RUNEGATE_JWT_SECRET: "s".repeat(32) };
    const { stdout } = await run(env, "--changed", "--json");
    expect(
      JSON.parse(stdout)
        .map(({ name }: { name: string }) => name)
        .toSorted(),
    ).toEqual(Object.keys(env).toSorted());
    expect((await run({}, "--changed")).stdout).toBe("");
  });
  test.each([
    [["RUNEGATE_SESION_TTL"], "did you mean RUNEGATE_SESSION_TTL?"],
    [["session-ttl", "workers"], "one name"],
    [["session-ttl", "--example", "env"], "an example"],
  ])("%j is a mistake", async (args, words) => {
    await expect(run({}, ...args)).rejects.toThrow(words);
  });
  test("shows wrong values too, says what is wrong, and exits 78", async () => {
    const { code, stdout, stderr } = await run({ RUNEGATE_LISTEN: "here", RUNEGATE_LISTN: "x" });
    expect(code).toBe(78);
    expect(stdout).toContain("RUNEGATE_LISTEN=here\n");
    expect(stderr).toContain('error: RUNEGATE_LISTEN is not an address to listen on: "here".');
    expect(stderr).toContain("warning: RUNEGATE_LISTN is not an option");
  });
  test("neither commands the terminal nor shows a password in a URL", async () => {
    const { stdout, stderr } = await run({
      RUNEGATE_EMAIL_CONFIG: "\u001b]0;x\u0007",
      RUNEGATE_STORE: "valkey://user:hunter2@db",
    });
    expect(stdout + stderr).not.toMatch(/[\u001b\u0007]|hunter2/);
    expect(stdout).toContain("RUNEGATE_STORE=valkey://…@db");
  });
  test.each([
    "valkey:/user:hunter2@db/0",
    "user:hunter2@db",
    "valkey://user:hun/hunter2@db/0",
    "valkey://user:hun#hunter2@db/0",
    "valkey://user:hun@hunter2@db/0",
  ])("shows no password in what is meant to be a URL either: %s", async (store) => {
    for (const args of [[], ["--json"]]) {
      const { stdout, stderr } = await run({ RUNEGATE_STORE: store }, ...args);
      expect(stdout + stderr).not.toContain("hunter2");
    }
  });

  describe("--example", () => {
    test("env is a file that Runegate reads without a complaint", async () => {
      const { code, stdout } = await run({}, "--example", "env");
      const { entries, problems } = parseEnvFile(stdout, "runegate.env");
      expect([code, problems]).toEqual([0, []]);
      const known = OPTION_LIST.map(([, { name }]) => name);
      expect(entries.size).toBeGreaterThan(3);
      for (const name of entries.keys()) expect(known).toContain(name);
    });
    test("email is one as well", async () => {
      const { code, stdout } = await run({}, "--example", "email");
      expect(code).toBe(0);
      expect(() => parseEmailConfig(stdout, "email.toml")).toThrow("smtp_host is still the example's");
    });
    test.each([
      ["another", ["--example", "nginx"], 'there is no example "nginx", only env and email'],
      ["with --json", ["--example", "env", "--json"], "not JSON"],
    ])("%s is a mistake", async (_, args, text) => {
      expect(run({}, ...args)).rejects.toThrow(text);
    });
  });
});
