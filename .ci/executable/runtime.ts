import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { locked } from "./lockfile.ts";
import { runtimePackage, type Target, thisMachine } from "./targets.ts";

/**
 * The Bun that an executable for `target` is made of: the one that runs this where that fits, else the same version
 * from npm, kept under `node_modules/.cache`.
 *
 * `bun build --compile` would fetch it by itself, but compare it with nothing. Here it is installed by a lock file with
 * the integrity that the project's own has for it, and what differs is not installed.
 */
export async function runtimeFor(target: Target, root: string, say: (line: string) => void): Promise<string> {
  if (target === thisMachine()) return process.execPath;
  const name = runtimePackage(target);
  const cache = join(root, "node_modules/.cache/runegate-build");
  const kept = join(cache, `${name.replace("/", "-")}-${Bun.version}`);
  if (existsSync(kept)) return kept;
  say(`${target}: fetching ${name} ${Bun.version}`);
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "fetch-"));
  try {
    const dependencies = { [name]: Bun.version };
    writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
    writeFileSync(
      join(folder, "bun.lock"),
      JSON.stringify({
        lockfileVersion: 1,
        workspaces: { "": { dependencies } },
        packages: { [name]: locked(name, Bun.version).entry },
      }),
    );
    await install(folder);
    // The last step, so that another build finds it whole or not at all.
    renameSync(join(folder, "node_modules", name, "bin/bun"), kept);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return kept;
}

/** With a cache of its own: what lies in the common one was compared with other lock files. */
async function install(folder: string): Promise<void> {
  const anyMachine = ["--os=*", "--cpu=*", "--libc=*"];
  const command = ["install", "--frozen-lockfile", "--ignore-scripts", "--no-progress", ...anyMachine];
  const child = Bun.spawn([process.execPath, ...command, `--cache-dir=${join(folder, "cache")}`], {
    cwd: folder,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [said, code] = await Promise.all([child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`The runtime cannot be fetched: ${said.trim()}`);
}
