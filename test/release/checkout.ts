import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root, run } from "../build/support.ts";
import { good } from "../support/made.ts";

/** Where releases are made of other versions than this checkout's, and of a commit of one's own choice. */
export type Checkout = {
  readonly path: string;
  edit(name: string, change: (text: string) => string): void;
  /** `npm run release`, in about ten seconds. */
  release(args: readonly string[], env?: Record<string, string>): ReturnType<typeof run>;
};

const COMMIT = "0123456789ab";
const DATE = "1790000000";

/** A copy of this checkout as it is, its packages included. */
export async function checkoutAt(path: string, version: string): Promise<Checkout> {
  const { stdout } = await run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
  for (const name of new Set(stdout.split("\0").filter(Boolean))) {
    if (!existsSync(join(root, name)) || /^test\//.test(name)) continue;
    mkdirSync(dirname(join(path, name)), { recursive: true });
    cpSync(join(root, name), join(path, name));
  }
  // By the same files where that can be: nobody writes to them.
  await good([
    "sh",
    "-c",
    'cp -al "$1" "$2" 2>/dev/null || cp -a "$1" "$2"',
    "sh",
    join(root, "node_modules"),
    path,
  ]);
  const checkout: Checkout = {
    path,
    edit(name, change) {
      const before = readFileSync(join(path, name), "utf8");
      const after = change(before);
      if (after === before) throw new Error(`${name} is not as expected`);
      writeFileSync(join(path, name), after);
    },
    release: (args, env = {}) =>
      run([process.execPath, ".ci/release/main.ts", ...args], {
        cwd: path,
        env: { RUNEGATE_COMMIT: COMMIT, SOURCE_DATE_EPOCH: DATE, ...env },
      }),
  };
  checkout.edit("package.json", (text) => text.replace(/"version": "[^"]+"/, `"version": "${version}"`));
  checkout.edit("CHANGELOG.md", (text) =>
    text.replace("\n## Unreleased", `\n## ${version}, 2026-12-01\n\n- Something new.\n\n## Unreleased`),
  );
  return checkout;
}

export type Keys = { readonly secret: string; readonly public: string };

/** A pair of minisign's, without a password. */
export async function makeKeys(folder: string): Promise<Keys> {
  mkdirSync(folder, { recursive: true });
  const keys = { secret: join(folder, "key"), public: join(folder, "key.pub") };
  await good(["minisign", "-G", "-W", "-s", keys.secret, "-p", keys.public]);
  return keys;
}
