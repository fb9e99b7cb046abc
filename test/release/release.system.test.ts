import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "../build/support.ts";
import { good } from "../support/made.ts";
import { needs } from "../support/needs.ts";
import { type Checkout, checkoutAt, type Keys, makeKeys } from "./checkout.ts";

setDefaultTimeout(300_000);

/** `npm run release` for this machine, twice: what is in it, and that it is the same bytes. */

const VERSION = "0.9.0";
const CPU = process.arch === "x64" ? { deb: "amd64", rpm: "x86_64" } : { deb: "arm64", rpm: "aarch64" };
const TARGET = `linux-${process.arch}`;
const DEB = `runegate_${VERSION}_${CPU.deb}.deb`;
const RPM = `runegate-${VERSION}-1.${CPU.rpm}.rpm`;
const IMAGE = `runegate-image-${VERSION}-${CPU.deb}.tar`;

const able = ["go", "minisign", "dpkg-deb", "rpm", "buildah"].every((name) => needs(name) !== undefined);

describe.skipIf(!able)("npm run release", () => {
  const place = mkdtempSync(join(tmpdir(), "runegate-release-"));
  const one = join(place, "one");
  let checkout: Checkout;
  let keys: Keys;

  beforeAll(async () => {
    keys = await makeKeys(join(place, "keys"));
    checkout = await checkoutAt(join(place, "source"), VERSION);
    const env = { RUNEGATE_RELEASE_KEY: keys.secret, TZ: "UTC" };
    const { code, stdout, stderr } = await checkout.release(["--target", TARGET, "--outdir", one], env);
    if (code !== 0) throw new Error(stderr);
    expect(stdout).toContain("signed, by a key that is not in deploy/release-keys.pub");
  });
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  const read = (name: string) => readFileSync(join(one, name), "utf8");

  test("makes all that is published, with a line for each in SHA256SUMS", async () => {
    const names = readdirSync(one).sort();
    expect(names).toEqual(
      [
        ...["CHANGELOG-0.9.0.md", "SHA256SUMS", "SHA256SUMS.minisig", "THIRD-PARTY-LICENSES"],
        ...[RPM, "runegate-deploy-0.9.0.tar.gz", IMAGE, `runegate-${TARGET}`, "runegate.cdx.json", DEB],
      ].sort(),
    );
    const summed = read("SHA256SUMS")
      .trim()
      .split("\n")
      .map((line) => line.slice(66));
    expect(summed).toEqual(names.filter((name) => !name.startsWith("SHA256SUMS")));
    await good(["sh", "-c", `cd ${one} && sha256sum --check --strict --quiet SHA256SUMS`]);
    expect(read("CHANGELOG-0.9.0.md")).toBe("## 0.9.0, 2026-12-01\n\n- Something new.\n");
  });

  test("is signed so that minisign and the executable itself say who and what", async () => {
    const verify = ["minisign", "-V", "-Q", "-H", "-p", keys.public, "-m", join(one, "SHA256SUMS")];
    expect(await good(verify)).toBe("runegate 0.9.0 commit 0123456789ab\n");
    const executable = join(one, `runegate-${TARGET}`);
    const said = await good([executable, "upgrade", "--from", one, "--public-key", keys.public, "--dry-run"]);
    expect(said).toContain("The signature is good: version 0.9.0 of commit 0123456789ab.");
    expect(JSON.parse(await good([executable, "version", "--json"]))).toMatchObject({
      ...{ version: VERSION, commit: "0123456789ab", target: TARGET },
    });
  });

  test("the .deb has what Debian wants to know, and its configuration files", async () => {
    const field = (name: string) => good(["dpkg-deb", "--field", join(one, DEB), name]);
    expect([await field("Version"), await field("Architecture")]).toEqual([`${VERSION}-1\n`, `${CPU.deb}\n`]);
    const control = join(place, "control");
    await good(["dpkg-deb", "--control", join(one, DEB), control]);
    expect(readdirSync(control).sort()).toEqual(
      ["conffiles", "control", "md5sums", "postinst", "postrm", "preinst", "prerm"].sort(),
    );
    expect(readFileSync(join(control, "conffiles"), "utf8")).toBe("/etc/runegate/config/email.toml\n");
    const listed = await good(["dpkg-deb", "--contents", join(one, DEB)]);
    expect(listed).toMatch(/^-rwxr-xr-x root\/root .* \.\/usr\/lib\/runegate\/runegate$/m);
    expect(listed).toMatch(/^-rw-r----- root\/root .* \.\/etc\/runegate\/config\/email\.toml$/m);
    expect(listed).toContain("./usr/bin/runegate -> ../lib/runegate/runegate");
    expect(listed).not.toMatch(/^-rws|^-..s|\.\/opt\//m);
  });

  test("the .rpm has the same files, and scripts that know its numbers", async () => {
    const ask = (...args: string[]) => good(["rpm", "-qp", "--nosignature", ...args, join(one, RPM)]);
    expect(await ask("--queryformat", "%{VERSION}-%{RELEASE} %{ARCH} %{LICENSE}")).toBe(
      `0.9.0-1 ${CPU.rpm} MIT`,
    );
    const files = (await ask("-l")).trim().split("\n");
    const listed = await good(["dpkg-deb", "--contents", join(one, DEB)]);
    const inDeb = [...listed.matchAll(/ \.(\/[^\s]*[^/\s])(?: -> \S+)?$/gm)].map(([, path = ""]) => path);
    const owned = files.filter((path) => !/^\/etc\/runegate(\/config)?$/.test(path));
    expect(owned).toEqual(inDeb.filter((path) => !/lintian|changelog\.Debian/.test(path)).sort());
    expect(await ask("--configfiles")).toBe("/etc/runegate/config/email.toml\n");
    const scripts = [...(await ask("--scripts")).matchAll(/^(\w+) scriptlet/gm)].map(([, name]) => name);
    expect(scripts).toEqual(["preinstall", "postinstall", "preuninstall", "postuninstall"]);
    await good(["rpm", "--checksig", "--nosignature", join(one, RPM)]);
  });

  test("the image has the executable, its user, and the health check", async () => {
    const [manifest] = JSON.parse(await good(["tar", "-xOf", join(one, IMAGE), "manifest.json"]));
    expect(manifest.RepoTags).toEqual(["localhost/runegate:0.9.0"]);
    const config = JSON.parse(await good(["tar", "-xOf", join(one, IMAGE), manifest.Config]));
    expect([config.os, config.architecture, config.config.User]).toEqual(["linux", CPU.deb, "65532:65532"]);
    expect(config.config.Healthcheck.Test).toEqual(["CMD", "/runegate", "health"]);
    const layers = await Promise.all(
      (manifest.Layers as string[]).map((layer) =>
        good(["sh", "-c", `tar -xOf ${join(one, IMAGE)} ${layer} | tar -tv --numeric-owner`]),
      ),
    );
    expect(layers.join("")).toMatch(/^-rwxr-xr-x 0\/0 .* runegate$/m);
    expect(layers.join("")).toMatch(/libc\.so\.6$/m);
    const storage = ["--root", join(place, "storage"), "--runroot", join(place, "run")];
    await good(["buildah", ...storage, "pull", "--quiet", `docker-archive:${join(one, IMAGE)}`]);
    await good(["buildah", ...storage, "rmi", "--all", "--force"]);
  });

  test("the deploy folder is whole, and nobody's files", async () => {
    const listed = await good(["tar", "-tvzf", join(one, "runegate-deploy-0.9.0.tar.gz"), "--numeric-owner"]);
    expect(listed).toMatch(/^-rwxr-xr-x 0\/0 .* runegate-0\.9\.0\/deploy\/install\.sh$/m);
    expect(listed.split("\n").filter((line) => line !== "" && !line.includes(" 0/0 "))).toEqual([]);
    expect(listed).not.toMatch(/^-r?w?.......w|\.\./m);
  });

  test("the bill of materials names every part with its license, and npm's hash", () => {
    const bill = JSON.parse(read("runegate.cdx.json"));
    expect([bill.bomFormat, bill.specVersion, bill.metadata.component.version]).toEqual([
      ...["CycloneDX", "1.6", VERSION],
    ]);
    const libraries = bill.components.filter(({ type }: { type: string }) => type === "library");
    expect(libraries.length).toBeGreaterThan(5);
    for (const { name, licenses, hashes } of libraries) {
      expect([name, licenses.length, hashes?.[0]?.content?.length]).toEqual([name, 1, 128]);
    }
  });

  test("gives the same bytes again, elsewhere and at another time of day, also without a key", async () => {
    const moved = join(place, "moved/elsewhere");
    const again = await checkoutAt(moved, VERSION);
    const two = join(place, "two");
    const env = { TZ: "Asia/Tokyo", LC_ALL: "C.UTF-8", HOME: place };
    const { code, stdout, stderr } = await again.release(["--target", TARGET, "--outdir", two], env);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("NOT SIGNED");
    const digests = (folder: string) =>
      Object.fromEntries(readdirSync(folder).map((name) => [name, sha256(readFileSync(join(folder, name)))]));
    const { "SHA256SUMS.minisig": _, ...unsigned } = digests(one);
    expect(digests(two)).toEqual(unsigned);
  });

  describe("refuses at once", () => {
    async function refused(args: string[], env: Record<string, string>, expected: number): Promise<string> {
      const outdir = join(place, "never");
      const { code, stderr } = await checkout.release(["--outdir", outdir, ...args], env);
      expect([code, readdirSync(place).includes("never")]).toEqual([expected, false]);
      return stderr;
    }
    test("a version that the changelog says nothing about", async () => {
      checkout.edit("CHANGELOG.md", (text) => text.replace("## 0.9.0, ", "## 0.9.0-rc.1, "));
      expect(await refused([], {}, 1)).toContain('CHANGELOG.md has no section "## 0.9.0"');
      checkout.edit("CHANGELOG.md", (text) => text.replace("## 0.9.0-rc.1, ", "## 0.9.0, "));
    });
    test("to sign what was not committed", async () => {
      const env = { RUNEGATE_RELEASE_KEY: keys.secret, RUNEGATE_COMMIT: "0123456789ab-modified" };
      expect(await refused([], env, 1)).toContain("Only what is committed is signed");
    });
    test("a secret key that lies in the checkout, and one that is not there", async () => {
      const inside = join(checkout.path, "key");
      writeFileSync(inside, "");
      expect(await refused([], { RUNEGATE_RELEASE_KEY: inside }, 1)).toContain("must not be in the checkout");
      expect(await refused([], { RUNEGATE_RELEASE_KEY: "/nowhere" }, 1)).toContain("There is no /nowhere");
    });
    test("what it does not know", async () => {
      expect(await refused(["--target", "linux-x86"], {}, 64)).toContain("There is no linux-x86.");
      expect(await refused(["--without", "apk"], {}, 64)).toContain("There is no apk.");
    });
    test("a folder that holds something else", async () => {
      const { code, stderr } = await checkout.release(["--outdir", join(place, "keys")]);
      expect([code, readdirSync(join(place, "keys")).length]).toEqual([1, 2]);
      expect(stderr).toContain("holds something else than a release");
    });
  });

  test("fails where it signs with another key than the one that is compiled in", async () => {
    checkout.edit(
      "deploy/release-keys.pub",
      (text) => text + readFileSync(keys.public, "utf8").split("\n")[1],
    );
    const other = await makeKeys(join(place, "other"));
    const args = ["--target", TARGET, ...["deb", "rpm", "image"].flatMap((what) => ["--without", what])];
    const outdir = join(place, "three");
    const wrong = await checkout.release([...args, "--outdir", outdir], {
      RUNEGATE_RELEASE_KEY: other.secret,
    });
    expect([wrong.code, readdirSync(place).filter((name) => name.startsWith("three"))]).toEqual([1, []]);
    expect(wrong.stderr).toContain("made with another key than those trusted here");

    const right = await checkout.release([...args, "--outdir", outdir], {
      RUNEGATE_RELEASE_KEY: keys.secret,
    });
    expect([right.code, right.stdout]).toEqual([0, expect.stringMatching(/\] signed\n/)]);
    const executable = join(outdir, `runegate-${TARGET}`);
    expect(await good([executable, "upgrade", "--from", outdir, "--dry-run"])).toContain(
      "The signature is good",
    );
  });
});
