import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { needs } from "../support/needs.ts";
import { createSigner, type Made, writeRelease } from "../upgrade/signer.ts";
import { installationMachine, type Machine } from "./machine.ts";

setDefaultTimeout(20_000);

/** `install.sh --from`, with the real minisign. */

const EXECUTABLE = "opt/runegate/bin/runegate";
const NAME = `runegate-linux-${process.arch}`;
const signer = createSigner();

/** One that says its version as the real one does. */
const script = (version: string) => `#!/bin/sh
# ${version}
case "$1" in
  version) echo '{"name":"runegate","version":"${version}"}' ;;
  secrets) : ;;
  check) echo "error: RUNEGATE_BASE_URL is required"; exit 78 ;;
  *) exit 64 ;;
esac
`;

function release(machine: Machine, version: string, made: Partial<Made> = {}, by = signer): string {
  const folder = join(machine.root, "..", `release-${version}`);
  return writeRelease(folder, by, { version, files: { [NAME]: script(version) }, ...made });
}

const withKey = ["--public-key", signer.publicKey];
const installed = (machine: Machine) =>
  machine.exists(EXECUTABLE) ? /^# (\S+)/m.exec(machine.read(EXECUTABLE))?.[1] : undefined;

describe.skipIf(needs("minisign") === undefined)("install.sh --from", () => {
  test("installs what is signed, and leaves nothing of the verifying behind", async () => {
    using machine = installationMachine();
    const { code, stdout } = await machine.run("install.sh", "--from", release(machine, "0.2.0"), ...withKey);
    expect([code, installed(machine)]).toEqual([78, "0.2.0"]);
    expect(stdout).toContain("the signature is good: version 0.2.0");
    expect(Object.keys(machine.tree()).filter((path) => path.includes(".tmp"))).toEqual([]);
  });
  test("takes keys from a file, the right one not being the first", async () => {
    using machine = installationMachine();
    const file = machine.path("../keys.pub");
    writeFileSync(file, `untrusted comment: two\n${createSigner().publicKey}\n${signer.publicKey}\n`);
    const { code } = await machine.run(
      "install.sh",
      "--from",
      release(machine, "0.2.0"),
      "--public-key",
      file,
    );
    expect([code, installed(machine)]).toEqual([78, "0.2.0"]);
  });

  test("asks the installed one for its version in an environment of its own", async () => {
    using machine = installationMachine();
    const own = script("0.2.0").replace("# 0.2.0", '# 0.2.0\n[ -z "$BUN_BE_BUN" ] || exit 1');
    const made = { version: "0.2.0", files: { [NAME]: own } };
    await machine.run("install.sh", "--from", writeRelease(machine.path("../own"), signer, made), ...withKey);
    const older = release(machine, "0.1.9");
    const { code, stderr } = await machine.type(
      `BUN_BE_BUN=1 deploy/install.sh --from ${older} --public-key ${signer.publicKey}`,
    );
    expect([code, installed(machine)]).toEqual([1, "0.2.0"]);
    expect(stderr).toContain("0.1.9 is older than what is installed, 0.2.0");
  });

  const NOT_GOOD = "the signature is not good for SHA256SUMS, or not by a key that is trusted here.";
  type Attack = (folder: string) => void;
  const change = (name: string, how: (text: string) => string) => (folder: string) =>
    writeFileSync(join(folder, name), how(readFileSync(join(folder, name), "utf8")));
  test.each<[string, Attack, string]>([
    [
      "an altered executable",
      (folder) => appendFileSync(join(folder, NAME), "# more"),
      "is not the file that was signed",
    ],
    ["altered checksums", change("SHA256SUMS", (text) => text.replaceAll("0", "1")), NOT_GOOD],
    [
      "an altered trusted comment",
      change("SHA256SUMS.minisig", (text) => text.replace("0.2.0", "0.3.0")),
      NOT_GOOD,
    ],
    ["a shortened signature", change("SHA256SUMS.minisig", (text) => text.slice(0, 100)), NOT_GOOD],
    ["no signature", (folder) => rmSync(join(folder, "SHA256SUMS.minisig")), "there is no "],
    [
      "checksums of a terabyte, which would fill the disk",
      (folder) => truncateSync(join(folder, "SHA256SUMS"), 2 ** 40),
      "is larger than anything of a release",
    ],
    [
      "a link in place of the executable",
      (folder) => {
        rmSync(join(folder, NAME));
        symlinkSync("/bin/sh", join(folder, NAME));
      },
      "is no plain file",
    ],
  ])("refuses %s, and changes nothing", async (_, attack, reason) => {
    using machine = installationMachine();
    const folder = release(machine, "0.2.0");
    attack(folder);
    const { code, stderr } = await machine.run("install.sh", "--from", folder, ...withKey);
    expect([code, installed(machine)]).toEqual([1, undefined]);
    expect(stderr).toContain(reason);
    expect(Object.keys(machine.tree()).filter((path) => path.includes(".tmp"))).toEqual([]);
  });
  test.each<[string, Partial<Made>, string]>([
    [
      "something else by the right key",
      { comment: "timestamp:1\tfile:notes" },
      "its trusted comment names no version|the trusted comment names no version",
    ],
    ["an older kind of signature", { how: { algorithm: "Ed" } }, NOT_GOOD],
    [
      "another executable under its name",
      { sums: (text) => text.replace(NAME, "runegate-linux-other") },
      "is not the file",
    ],
  ])("refuses %s", async (_, made, reason) => {
    using machine = installationMachine();
    const folder = release(machine, "0.2.0", made);
    const { code, stderr } = await machine.run("install.sh", "--from", folder, ...withKey);
    expect([code, installed(machine)]).toEqual([1, undefined]);
    expect(stderr).toMatch(new RegExp(reason));
  });
  test("refuses what another key has signed", async () => {
    using machine = installationMachine();
    const folder = release(machine, "0.2.0", {}, createSigner(signer.number));
    const { code, stderr } = await machine.run("install.sh", "--from", folder, ...withKey);
    expect([code, installed(machine)]).toEqual([1, undefined]);
    expect(stderr).toContain(NOT_GOOD);
  });

  test.each([
    ["0.1.9", "0.2.0"],
    ["0.2.0-rc.1", "0.2.0"],
    ["0.9.0", "0.10.0"],
  ])("refuses %s where %s is, unless told to", async (older, present) => {
    using machine = installationMachine();
    await machine.run("install.sh", "--from", release(machine, present), ...withKey);
    const back = ["install.sh", "--from", release(machine, older), ...withKey] as const;
    const { code, stderr } = await machine.run(...back);
    expect([code, installed(machine)]).toEqual([1, present]);
    expect(stderr).toContain(`${older} is older than what is installed, ${present}`);
    expect((await machine.run(...back, "--allow-rollback")).code).toBe(78);
    expect(installed(machine)).toBe(older);
  });
  test("takes the same version again, to mend an installation", async () => {
    using machine = installationMachine();
    const again = ["install.sh", "--from", release(machine, "0.2.0"), ...withKey] as const;
    await machine.run(...again);
    expect((await machine.run(...again)).code).toBe(78);
  });

  test("with --no-signature takes a right checksum, says so, and no wrong one", async () => {
    using machine = installationMachine();
    const folder = release(machine, "0.2.0");
    rmSync(join(folder, "SHA256SUMS.minisig"));
    const { code, stdout } = await machine.run("install.sh", "--from", folder, "--no-signature");
    expect([code, installed(machine)]).toEqual([78, "0.2.0"]);
    expect(stdout).toContain("NOT VERIFIED");
    appendFileSync(join(folder, NAME), "# more");
    expect((await machine.run("install.sh", "--from", folder, "--no-signature")).code).toBe(1);
  });
  test("is a mistake without a key, with --binary, or with its words without it", async () => {
    using machine = installationMachine();
    const folder = release(machine, "0.2.0");
    const run = (...args: string[]) => machine.run("install.sh", ...args);
    expect((await run("--from", folder)).stderr).toContain("--public-key KEY");
    expect((await run("--from", folder)).code).toBe(64);
    expect((await run("--from", folder, "--binary", join(folder, NAME))).code).toBe(64);
    expect((await run("--binary", join(folder, NAME), "--no-signature")).code).toBe(64);
    expect(installed(machine)).toBeUndefined();
  });
  test("a dry run changes nothing", async () => {
    using machine = installationMachine();
    const folder = release(machine, "0.2.0");
    const before = machine.tree();
    const { code, stdout } = await machine.run("install.sh", "--from", folder, ...withKey, "--dry-run");
    expect([code, machine.tree()]).toEqual([0, before]);
    expect(stdout).toContain(`would: Verify ${NAME}`);
  });
  test("leaves a machine with the package to the package", async () => {
    using machine = installationMachine();
    mkdirSync(machine.path("usr/lib/runegate"), { recursive: true });
    machine.write("usr/lib/runegate/runegate", "");
    const { code, stderr } = await machine.run("install.sh", "--from", release(machine, "0.2.0"), ...withKey);
    expect(code).toBe(1);
    expect(stderr).toContain("installed as a package");
  });
});
