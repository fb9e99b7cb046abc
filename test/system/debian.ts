import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";

/** Debian as an administrator finds it on a new server: the release of this machine, from where its apt gets it. */

const PACKAGES = [
  ...["systemd", "systemd-sysv", "dbus", "procps", "iproute2"],
  ...["nginx-light", "curl", "openssl", "ca-certificates"],
];

/** Counted up when the same packages are to be unpacked in another way. */
const RECIPE = 1;

/** Debootstrap takes a minute or two where the network is fast. */
const BUILD_MS = 8 * 60_000;

const ABANDONED_MS = 24 * 60 * 60_000;

/** Outside of the repository; a cache that may be deleted at any time. */
export const CACHE = join(process.env.XDG_CACHE_HOME ?? "/var/cache", "runegate-test");

/**
 * Unpacks a fresh root file system, built once and then kept as a tarball.
 * @returns its folder, which belongs to the caller.
 */
export async function unpackDebian(): Promise<string> {
  removeAbandoned();
  const tarball = await tarballOfDebian();
  const folder = mkdtempSync(join(CACHE, "machine-"));
  await run(
    ["tar", "-C", folder, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xf", tarball],
    60_000,
  );
  return folder;
}

/** What a test that was killed could not take away. */
function removeAbandoned(): void {
  if (!existsSync(CACHE)) return;
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    const age = Date.now() - statSync(path).mtimeMs;
    if (/^(machine|build)-/.test(name) && age > ABANDONED_MS) rmSync(path, { recursive: true });
  }
}

async function tarballOfDebian(): Promise<string> {
  const { mirror, release } = await sourceOfApt();
  const key = Bun.hash([RECIPE, process.arch, release, ...PACKAGES].join(" ")).toString(16);
  const tarball = join(CACHE, `${release}-${key}.tar`);
  if (existsSync(tarball)) return tarball;

  mkdirSync(CACHE, { recursive: true });
  const workshop = mkdtempSync(join(CACHE, "build-"));
  try {
    const root = join(workshop, "root");
    const proxy = await said(["apt-config", "shell", "proxy", "Acquire::http::Proxy"]);
    const address = /^proxy='(.+)'$/m.exec(proxy)?.[1];
    console.log(`Building a Debian ${release} with ${PACKAGES.join(", ")}: once, for later runs too.`);
    await run(
      ["debootstrap", "--variant=minbase", `--include=${PACKAGES.join(",")}`, release, root, mirror],
      BUILD_MS,
      address === undefined ? {} : { http_proxy: address, https_proxy: address },
    );
    // What the build needed of this machine's is none of the new machine's business.
    for (const name of ["etc/resolv.conf", "etc/apt/sources.list", "etc/machine-id"]) {
      rmSync(join(root, name), { force: true });
    }
    const built = join(workshop, "built.tar");
    const without = ["--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./dev/*"];
    await run(
      ["tar", "-C", root, "--numeric-owner", "--xattrs", "--xattrs-include=*", ...without, "-cf", built, "."],
      60_000,
    );
    renameSync(built, tarball);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
  return tarball;
}

/** @throws if apt's sources have nothing for the release this machine runs. */
async function sourceOfApt(): Promise<{ mirror: string; release: string }> {
  const release = /^VERSION_CODENAME="?(\w+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  const targets = await said(["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(SITE)"]);
  const mirror = new RegExp(`^${release} main (\\S+)$`, "m").exec(targets)?.[1];
  if (release === undefined || mirror === undefined) {
    throw new Error(`apt's sources name no mirror for ${release ?? "the release of this machine"}`);
  }
  return { mirror, release };
}

async function said(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  const text = await child.stdout.text();
  await child.exited;
  return text;
}

async function run(command: string[], withinMs: number, env: Record<string, string> = {}): Promise<void> {
  const child = Bun.spawn(command, {
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
    timeout: withinMs,
    killSignal: "SIGKILL",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) === 0) return;
  const end = `${out}${err}`.split("\n").slice(-15).join("\n");
  throw new Error(`${command[0]} ended with ${child.signalCode ?? child.exitCode}:\n${end}`);
}
