import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../src/commands/command.ts";
import { runCommand } from "../../src/commands/run.ts";
import { createUpgrade } from "../../src/commands/upgrade.ts";
import { openLibc } from "../../src/process/libc.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { createSigner, writeRelease } from "./signer.ts";

/** Executables are shell scripts here, and systemd runs none of them; what it runs is in `system/upgrade.system.test.ts`. */

const signer = createSigner();

type Mark = {
  readonly check?: number;
  readonly health?: number;
  readonly says?: string;
  readonly unfit?: true;
};

/** Says which version it is, and how it is. */
const script = (version: string, { check = 0, health = 0, says = version, unfit }: Mark = {}) => `#!/bin/sh
# ${version}${unfit ? " does not start" : ""}
case $1 in
  version) ${unfit && says === "" ? "exit 126" : `echo '{"version":"${says}"}'`} ;;
  check) echo "checked by ${version} $*"; exit ${check} ;;
  health) exit ${health} ;;
esac
`;

function machine(version = "1.0.0") {
  const folder = mkdtempSync(join(tmpdir(), "runegate-upgrade-"));
  const path = join(folder, "bin/runegate");
  mkdirSync(join(folder, "bin"));
  writeFileSync(path, script(version), { mode: 0o755 });
  const run = async (args: readonly string[], installed: { path?: string; keys?: string } = {}) => {
    const io = recordedIo({ PATH: process.env.PATH });
    const command = createUpgrade({ path, version, target: "test", keys: signer.publicKey, ...installed });
    const code = await runCommand(command, args, io).catch((error: unknown) => {
      if (error instanceof UsageError) return `usage: ${error.message}`;
      throw error;
    });
    return { code, out: io.stdout.join("\n"), err: io.stderr.join("\n").replaceAll(folder, "") };
  };
  return {
    folder,
    path,
    run,
    release(next: string, mark: Mark = {}, by = signer): string {
      const place = join(folder, `release-${next}`);
      return writeRelease(place, by, { version: next, files: { "runegate-test": script(next, mark) } });
    },
    version: (name = "runegate") => /^# (\S+)/m.exec(readFileSync(join(folder, "bin", name), "utf8"))?.[1],
    left: () => readdirSync(join(folder, "bin")).sort(),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

describe("runegate upgrade --from", () => {
  test("exchanges the executable, keeps the one before, and says what to do where systemd runs none", async () => {
    using here = machine();
    const { code, out, err } = await here.run(["--from", here.release("1.1.0")]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("The signature is good: version 1.1.0 of commit 0123456789ab.");
    expect(out).toContain("checked by 1.1.0");
    expect(out).toContain("restart what runs");
    expect([here.version(), here.version("runegate.previous")]).toEqual(["1.1.0", "1.0.0"]);
    expect(here.left()).toEqual(["runegate", "runegate.previous"]);
    expect(statSync(here.path).mode & 0o7777).toBe(0o755);
  });
  test("with --json says what came of it", async () => {
    using here = machine();
    const { out } = await here.run(["--from", here.release("1.1.0"), "--json"]);
    expect(JSON.parse(out)).toEqual({ version: "1.1.0", commit: "0123456789ab", changed: true });
  });
  test("with --dry-run changes nothing", async () => {
    using here = machine();
    const { code, out } = await here.run(["--from", here.release("1.1.0"), "--dry-run"]);
    expect(code).toBe(0);
    expect(out).toContain("runegate-test is as it was signed");
    expect([here.version(), here.left()]).toEqual(["1.0.0", ["runegate"]]);
  });
  test("with --dry-run finds an altered file too", async () => {
    using here = machine();
    const folder = here.release("1.1.0");
    writeFileSync(join(folder, "runegate-test"), script("1.1.0", { check: 1 }));
    const { code, err } = await here.run(["--from", folder, "--dry-run"]);
    expect([code, err]).toEqual([1, "runegate upgrade: runegate-test is not the file that was signed."]);
  });
  test("takes the options that it was given to the new version", async () => {
    using here = machine();
    const { out } = await here.run(["--from", here.release("1.1.0"), "--env-file", "/etc/other.env"]);
    expect(out).toContain("checked by 1.1.0 check --env-file=/etc/other.env");
  });

  test.each([
    ["0.9.9", "1.0.0"],
    ["1.0.0-rc.1", "1.0.0"],
    ["1.9.0", "1.10.0"],
    ["1.0.0-rc.2", "1.0.0-rc.10"],
  ])("refuses to go back to %s from %s, and goes there when told to", async (older, present) => {
    using here = machine(present);
    const folder = here.release(older);
    const { code, err } = await here.run(["--from", folder]);
    expect([code, err]).toEqual([
      1,
      `runegate upgrade: that is no newer version than this one, ${present}. To go back all the same: --allow-rollback`,
    ]);
    expect([here.version(), here.left()]).toEqual([present, ["runegate"]]);
    expect((await here.run(["--from", folder, "--allow-rollback"])).code).toBe(0);
    expect(here.version()).toBe(older);
  });
  test("says so when the version is there already", async () => {
    using here = machine();
    const { code, out } = await here.run(["--from", here.release("1.0.0")]);
    expect(code).toBe(0);
    expect(out).toContain("That is the version of this executable, so nothing was changed.");
    expect(here.left()).toEqual(["runegate"]);
  });

  test.each<[string, Mark, number, string]>([
    ["whose configuration would be wrong", { check: 78 }, 78, "would not start with this configuration"],
    ["that cannot check", { check: 1 }, 1, "the new version cannot check the configuration"],
    ["that does not run here", { unfit: true, says: "" }, 1, "the new version does not run on this machine"],
    [
      "that says it is another one",
      { says: "0.1.0" },
      1,
      "says that it is 0.1.0, which is not what was signed",
    ],
  ])("changes nothing for a version %s", async (_, mark, expected, reason) => {
    using here = machine();
    const { code, err } = await here.run(["--from", here.release("1.1.0", mark)]);
    expect(code).toBe(expected as 1);
    expect(err).toContain(reason);
    expect([here.version(), here.left()]).toEqual(["1.0.0", ["runegate"]]);
  });

  test("asks for a key where none is compiled in", async () => {
    using here = machine();
    const folder = here.release("1.1.0");
    const none = { keys: "# none yet\n" };
    expect((await here.run(["--from", folder], none)).code).toBe(
      "usage: no key is compiled in, so say who must have signed it: --public-key KEY.",
    );
    expect((await here.run(["--from", folder, "--public-key", signer.publicKey], none)).code).toBe(0);
  });
  test("takes a key of one's own, as text or file, in place of those compiled in", async () => {
    using here = machine();
    const own = createSigner();
    const ours = here.release("1.1.0", {}, own);
    writeFileSync(join(here.folder, "own.pub"), `untrusted comment: own\n${own.publicKey}\n`);
    expect((await here.run(["--from", ours])).err).toContain("another key than those trusted here");
    const theirs = here.release("1.2.0");
    const withOwn = ["--public-key", own.publicKey];
    expect((await here.run(["--from", theirs, ...withOwn])).err).toContain("another key");
    expect(here.version()).toBe("1.0.0");
    expect((await here.run(["--from", ours, "--public-key", join(here.folder, "own.pub")])).code).toBe(0);
    expect(here.version()).toBe("1.1.0");
  });
  test.each([
    ["neither --from nor --back", [], "upgrade takes one of --from, --back and --switch-over."],
    ["both", ["--back", "--from", "x"], "upgrade takes one of --from, --back and --switch-over."],
    [
      "a key that is none",
      ["--from", "RELEASE", "--public-key", "RWxyz"],
      "--public-key RWxyz is neither a key of minisign's nor a file that can be read.",
    ],
  ])("is a mistake with %s", async (_, args, message) => {
    using here = machine();
    const words = args.map((word) => (word === "RELEASE" ? here.release("1.1.0") : word));
    expect((await here.run(words)).code).toBe(`usage: ${message}`);
  });
  test.each(["/usr/bin/runegate", "/usr/lib/runegate/runegate"])("leaves %s to its package", async (path) => {
    using here = machine();
    const { code, err } = await here.run(["--from", here.release("1.1.0")], { path });
    expect(code).toBe(1);
    expect(err).toContain("belongs to a package");
  });
  test("takes away what one that was killed has left, and nothing else", async () => {
    using here = machine();
    writeFileSync(join(here.folder, "bin/.runegate.0123456789ab.tmp"), "");
    writeFileSync(join(here.folder, "bin/.other.tmp"), "");
    const folder = here.release("1.1.0");
    await here.run(["--from", folder, "--dry-run"]);
    expect(here.left()).toEqual([".other.tmp", ".runegate.0123456789ab.tmp", "runegate"]);
    await here.run(["--from", folder]);
    expect(here.left()).toEqual([".other.tmp", "runegate", "runegate.previous"]);
  });
  test("says in a line what the file system does not let it do", async () => {
    using here = machine();
    const folder = here.release("1.1.0");
    const { code, err } = await here.run(["--from", folder], { path: join(here.folder, "none/runegate") });
    expect([code, err]).toEqual([1, expect.stringMatching(/^runegate upgrade: ENOENT: [^\n]*none'\.$/)]);
  });
  test("is one at a time, and waits for no install.sh", async () => {
    using here = machine();
    const held = openSync(join(here.folder, "bin"), "r");
    expect(openLibc()?.lock(held)).toBe(true);
    const folder = here.release("1.1.0");
    expect((await here.run(["--from", folder])).err).toContain("another upgrade or install.sh is at work");
    closeSync(held);
    expect((await here.run(["--from", folder])).code).toBe(0);
  });
});

describe("runegate upgrade --back", () => {
  test("goes back, and forth again, without a release", async () => {
    using here = machine();
    await here.run(["--from", here.release("1.1.0")]);
    expect((await here.run(["--back"])).code).toBe(0);
    expect([here.version(), here.version("runegate.previous")]).toEqual(["1.0.0", "1.1.0"]);
    expect((await here.run(["--back"])).code).toBe(0);
    expect([here.version(), here.left()]).toEqual(["1.1.0", ["runegate", "runegate.previous"]]);
  });
  test("has nothing to go back to at first", async () => {
    using here = machine();
    const { code, err } = await here.run(["--back"]);
    expect([code, err]).toEqual([
      1,
      "runegate upgrade: there is no version before to go back to: /bin/runegate.previous",
    ]);
  });
  test("is done by the version before, where the present one does not run", async () => {
    using here = machine();
    await here.run(["--from", here.release("1.1.0")]);
    const { code, out } = await here.run(["--back"], { path: `${here.path}.previous` });
    expect([code, out]).toEqual([0, expect.stringContaining("/bin/runegate is 1.0.0 now")]);
    expect([here.version(), here.left()]).toEqual(["1.0.0", ["runegate", "runegate.previous"]]);
  });
  test("stays where the version before would not start any more", async () => {
    using here = machine();
    await here.run(["--from", here.release("1.1.0")]);
    writeFileSync(`${here.path}.previous`, script("1.0.0", { check: 78 }));
    chmodSync(`${here.path}.previous`, 0o755);
    expect((await here.run(["--back"])).code).toBe(78);
    expect([here.version(), existsSync(`${here.path}.previous`)]).toEqual(["1.1.0", true]);
  });
});
