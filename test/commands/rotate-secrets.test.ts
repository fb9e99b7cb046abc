import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { runCommand } from "../../src/commands/run.ts";
import { secrets } from "../../src/commands/secrets.ts";
import { parseEnvFile } from "../../src/config/env-file.ts";
import { needsSmallDisk } from "../store/small-disk.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { testMachine } from "../support/surroundings.ts";

/** What `runegate secrets rotate` writes and what it refuses; what becomes of those who are signed in is in test/process. */

const JWT = "j".repeat(64);
const KEY = "5e".repeat(64);

const ENV = `# ours, do not touch
RUNEGATE_LISTEN=127.0.0.1:7870
RUNEGATE_BASE_URL=http://localhost:7870

  RUNEGATE_JWT_SECRET = "${JWT}"
# the other one
RUNEGATE_SESSION_KEY=${KEY}
RUNEGATE_STORE=memory
RUNEGATE_ALLOWED_DOMAINS=größe.example
RUNEGATE_CONTROL_SOCKET=off
`;

async function run(path: string, ...more: string[]) {
  const io = recordedIo({ RUNEGATE_EMAIL_CONFIG: "" });
  const code = await runCommand(secrets, ["rotate", "--env-file", path, ...more], io);
  return { code, stdout: io.stdout.join("\n"), stderr: io.stderr.join("\n") };
}

function valuesIn(path: string): Record<string, string> {
  const { entries } = parseEnvFile(readFileSync(path, "utf8"), "f");
  return Object.fromEntries([...entries].map(([name, { value }]) => [name, value]));
}

const linesOf = (text: string) => text.split("\n").filter((line) => !/SECRET|SESSION_KEY/.test(line));

describe("in the env file", () => {
  test("the ones before are kept, and every other line, the mode and a link stay as they are", async () => {
    using machine = testMachine();
    const real = machine.write("real.env", ENV, 0o640);
    chmodSync(real, 0o640);
    const path = join(machine.directory, "link.env");
    symlinkSync(real, path);
    const { code, stdout, stderr } = await run(path);
    expect([code, stderr]).toEqual([0, ""]);
    const after = valuesIn(path);
    expect(after).toMatchObject({ RUNEGATE_JWT_SECRET_PREVIOUS: JWT, RUNEGATE_SESSION_KEY_PREVIOUS: KEY });
    expect(after.RUNEGATE_JWT_SECRET).toMatch(/^[0-9a-f]{64}$/);
    expect(after.RUNEGATE_SESSION_KEY).toMatch(/^[0-9a-f]{128}$/);
    expect(stdout).not.toContain(after.RUNEGATE_JWT_SECRET ?? "");
    expect(stdout).toContain("reload the instance that runs, with SIGHUP");
    expect(linesOf(readFileSync(path, "utf8"))).toEqual(linesOf(ENV));
    expect([statSync(real).mode & 0o777, lstatSync(path).isSymbolicLink()]).toEqual([0o640, true]);
    expect(readdirSync(machine.directory).sort()).toEqual(["link.env", "real.env"]);

    // Again at once, and finishing at once: refused, and nothing is written.
    const before = readFileSync(path, "utf8");
    expect(await run(path)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/A rotation is under way, and the secrets before may go at \d{4}-.*Z\./),
    });
    expect(await run(path, "--finish")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("Too early"),
    });
    expect(readFileSync(path, "utf8")).toBe(before);

    expect((await run(path, "--finish", "--force")).code).toBe(0);
    const { RUNEGATE_JWT_SECRET, RUNEGATE_SESSION_KEY } = after;
    expect(valuesIn(path)).toMatchObject({ RUNEGATE_JWT_SECRET, RUNEGATE_SESSION_KEY });
    expect(readFileSync(path, "utf8")).not.toMatch(/PREVIOUS|ROTATED/);
    expect(linesOf(readFileSync(path, "utf8"))).toEqual(linesOf(ENV));
  });

  test.each(["valkey://127.0.0.1:1", "postgres://u@127.0.0.1:1/d"])(
    "with %s, which other machines may share, new ones are announced first",
    async (store) => {
      using machine = testMachine();
      const path = machine.write("a.env", ENV.replace("=memory", `=${store}`));
      const { code, stdout } = await run(path);
      expect([code, stdout]).toEqual([0, expect.stringContaining("Announced: ") as string]);
      expect(stdout).toContain("Copy them to every other machine that shares the store, and reload there.");
      const after = valuesIn(path);
      expect([after.RUNEGATE_JWT_SECRET, after.RUNEGATE_SESSION_KEY]).toEqual([JWT, KEY]);
      expect(Object.keys(after).filter((name) => /PREVIOUS|NEXT/.test(name))).toEqual([
        ...["RUNEGATE_JWT_SECRET_NEXT", "RUNEGATE_SESSION_KEY_NEXT"],
      ]);
    },
  );

  test("one that an operator began by hand says that nobody noted when", async () => {
    using machine = testMachine();
    const path = machine.write("a.env", `${ENV}RUNEGATE_JWT_SECRET_PREVIOUS=${"k".repeat(64)}\n`);
    expect((await run(path, "--finish")).stderr).toContain("RUNEGATE_SECRETS_ROTATED does not say when");
  });

  test.each([
    ["no secrets", ENV.replaceAll(/^.*(SECRET|SESSION_KEY).*\n/gm, ""), "RUNEGATE_JWT_SECRET is not set"],
    ["one given twice", `${ENV}RUNEGATE_SESSION_KEY=${KEY}\n`, "RUNEGATE_SESSION_KEY"],
  ])("%s", async (_, text, words) => {
    using machine = testMachine();
    const path = machine.write("a.env", text);
    const { code, stderr } = await run(path);
    expect([code, stderr]).toEqual([1, expect.stringContaining(words)]);
    expect(readFileSync(path, "utf8")).toBe(text);
  });
});

describe("in files of their own", () => {
  test("the new one is in the file, the one before beside it with the same mode, and gone at the end", async () => {
    using machine = testMachine();
    mkdirSync(join(machine.directory, "s"));
    const [jwt, key] = [machine.write("s/jwt", `${JWT}\n`, 0o400), machine.write("s/key", `${KEY}\n`, 0o400)];
    const text = ENV.replace(/ {2}RUNEGATE_JWT_SECRET = .*/, `RUNEGATE_JWT_SECRET_FILE=${jwt}`).replace(
      `RUNEGATE_SESSION_KEY=${KEY}`,
      `RUNEGATE_SESSION_KEY_FILE=${key}`,
    );
    const path = machine.write("a.env", text);
    const { code, stderr } = await run(path);
    expect([code, stderr]).toEqual([0, ""]);
    expect(readFileSync(`${jwt}.previous`, "utf8").trim()).toBe(JWT);
    expect(readFileSync(jwt, "utf8")).toMatch(/^[0-9a-f]{64}\n$/);
    expect(statSync(`${key}.previous`).mode & 0o777).toBe(0o400);
    expect(valuesIn(path)).toMatchObject({
      RUNEGATE_JWT_SECRET_FILE: jwt,
      RUNEGATE_JWT_SECRET_PREVIOUS_FILE: `${jwt}.previous`,
      RUNEGATE_SESSION_KEY_PREVIOUS_FILE: `${key}.previous`,
    });
    expect((await run(path, "--finish", "--force")).code).toBe(0);
    expect(readFileSync(path, "utf8")).toBe(text);
    expect(readdirSync(join(machine.directory, "s")).sort()).toEqual(["jwt", "key"]);
  });
});

describe("where this command cannot write them, it says where they are from and changes nothing", () => {
  test("systemd credentials", async () => {
    using machine = testMachine();
    const credentials = join(machine.directory, "credentials");
    mkdirSync(credentials);
    machine.write("credentials/runegate_jwt_secret", JWT);
    machine.write("credentials/runegate_session_key", KEY);
    const path = machine.write("a.env", ENV.replaceAll(/^.*(SECRET|SESSION_KEY).*\n/gm, ""));
    const io = recordedIo({ CREDENTIALS_DIRECTORY: credentials });
    const code = await runCommand(secrets, ["rotate", "--env-file", path], io);
    expect([code, io.stderr.join("\n")]).toEqual([
      1,
      expect.stringMatching(
        /is not from .*a\.env \(.*credentials.*\), so it is to be changed where it comes from/,
      ),
    ]);
    expect(readdirSync(credentials).sort()).toEqual(["runegate_jwt_secret", "runegate_session_key"]);
  });

  test("the environment of a container", async () => {
    using machine = testMachine();
    const path = machine.write("a.env", ENV);
    const io = recordedIo({ RUNEGATE_JWT_SECRET: "e".repeat(64) });
    expect(await runCommand(secrets, ["rotate", "--env-file", path], io)).toBe(1);
    expect(io.stderr.join("\n")).toMatch(/RUNEGATE_JWT_SECRET is not from .*a\.env/);
    expect(readFileSync(path, "utf8")).toBe(ENV);
  });
});

const mountSmallDisk = needsSmallDisk();

describe.if(mountSmallDisk !== undefined)("a disk", () => {
  test.each(["fill", "readOnly"] as const)(
    "%s: the old file stays, whole, and nothing beside it",
    async (what) => {
      using disk = mountSmallDisk?.();
      if (disk === undefined) throw new Error("there is a disk");
      const path = join(disk.directory, "a.env");
      writeFileSync(path, ENV, { mode: 0o600 });
      disk[what]();
      const { code, stderr } = await run(path);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/cannot be written: (ENOSPC|EROFS)/)]);
      expect(readFileSync(path, "utf8")).toBe(ENV);
      expect(readdirSync(disk.directory).filter((name) => name !== "filler")).toEqual(["a.env"]);
    },
  );
});
