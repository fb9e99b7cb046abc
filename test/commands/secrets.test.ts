import { describe, expect, test } from "bun:test";
import { chmodSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../../src/commands/run.ts";
import { secrets } from "../../src/commands/secrets.ts";
import { parseEnvFile } from "../../src/config/env-file.ts";
import { readOptions } from "../../src/config/load.ts";
import { ConfigError } from "../../src/option/finding.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { testMachine } from "../support/surroundings.ts";

async function run(...args: string[]) {
  const io = recordedIo();
  const code = await runCommand(secrets, args, io);
  return { code, stdout: io.stdout, stderr: io.stderr.join("\n") };
}

const valuesIn = (text: string) => [...parseEnvFile(text, "f").entries].map(([, { value }]) => value);
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe("runegate secrets", () => {
  test("prints lines that are good for an env file, other ones each time", async () => {
    using machine = testMachine();
    const [first, second] = [await run(), await run()];
    expect(first.code).toBe(0);
    expect(first.stdout).not.toEqual(second.stdout);
    machine.write("runegate.env", first.stdout.join("\n"));
    const { problems, sources } = readOptions({ env: {} }, machine);
    expect(problems).toEqual([]);
    expect([sources.jwtSecret.given, sources.sessionKey.given]).toEqual([true, true]);
  });

  test("makes a file that only its owner can read, and prints no secret", async () => {
    using machine = testMachine();
    const path = join(machine.directory, "runegate.env");
    const { code, stdout, stderr } = await run("--env-file", path);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toEqual(["RUNEGATE_JWT_SECRET: added", "RUNEGATE_SESSION_KEY: added"]);
    expect(modeOf(path)).toBe(0o600);
    const values = valuesIn(readFileSync(path, "utf8"));
    expect(values.map(({ length }) => length)).toEqual([64, 128]);
    for (const value of values) expect(stdout.join()).not.toContain(value);
    expect(readOptions({ env: {} }, machine).problems).toEqual([]);
    expect(readdirSync(machine.directory)).toEqual(["runegate.env"]);
  });

  test.each([
    ["no final line feed", "# ours\nA=b", "\n"],
    ["CRLF and blanks", "# ours \r\n\r\n  A = b \r\n", ""],
    ["an empty value, which counts as missing", "RUNEGATE_JWT_SECRET=\n", ""],
    ["bytes beyond ASCII", "# größe 日本\n", ""],
  ])("keeps what is there byte for byte: %s", async (_, before, gap) => {
    using machine = testMachine();
    const path = machine.write("runegate.env", before, 0o640);
    chmodSync(path, 0o640);
    expect((await run("--env-file", path)).code).toBe(0);
    const after = readFileSync(path, "utf8");
    expect(after).toStartWith(`${before}${gap}RUNEGATE_JWT_SECRET=`);
    expect(modeOf(path)).toBe(0o640);
    expect(readOptions({ env: {} }, machine).problems).toEqual([]);
  });

  test("adds only what is missing, and a second time nothing", async () => {
    using machine = testMachine();
    const secret = `RUNEGATE_JWT_SECRET=${"s".repeat(32)}\n`;
    const path = machine.write("runegate.env", secret);
    expect((await run("--env-file", path)).stdout).toEqual([
      "RUNEGATE_JWT_SECRET: already set",
      "RUNEGATE_SESSION_KEY: added",
    ]);
    const once = readFileSync(path, "utf8");
    expect(once).toStartWith(`${secret}RUNEGATE_SESSION_KEY=`);
    await run("--env-file", path);
    expect(readFileSync(path, "utf8")).toBe(once);
  });

  test("a secret that has a file of its own is not missing", async () => {
    using machine = testMachine();
    const path = machine.write("runegate.env", "RUNEGATE_JWT_SECRET_FILE=/run/secrets/jwt\n");
    expect((await run("--env-file", path)).stdout[0]).toBe("RUNEGATE_JWT_SECRET: already set");
  });

  test("writes through a symbolic link", async () => {
    using machine = testMachine();
    const real = machine.write("real.env", "A=b\n");
    const link = join(machine.directory, "link.env");
    symlinkSync(real, link);
    expect((await run("--env-file", link)).code).toBe(0);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(real, "utf8")).toContain("RUNEGATE_SESSION_KEY=");
  });

  test("warns if others can read the file", async () => {
    using machine = testMachine();
    const path = machine.write("runegate.env", "");
    chmodSync(path, 0o644);
    const { code, stderr } = await run("--env-file", path);
    expect(code).toBe(0);
    expect(stderr).toContain("other users can read it (mode 0644)");
  });

  test("leaves a file alone that it does not understand", async () => {
    using machine = testMachine();
    const path = machine.write("runegate.env", "hello\n");
    await expect(run("--env-file", path)).rejects.toBeInstanceOf(ConfigError);
    expect(readFileSync(path, "utf8")).toBe("hello\n");
  });

  test.each([
    ["a directory that does not exist", "nowhere/runegate.env", "ENOENT"],
    ["a directory", ".", "EISDIR"],
  ])("says why it cannot write: %s", async (_, name, reason) => {
    using machine = testMachine();
    const { code, stdout, stderr } = await run("--env-file", join(machine.directory, name));
    expect([code, stdout]).toEqual([1, []]);
    expect(stderr).toContain(reason);
    expect(readdirSync(machine.directory)).toEqual([]);
  });
});
