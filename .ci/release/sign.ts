import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { readPublicKeys } from "../../src/upgrade/minisign.ts";
import { openRelease, releaseNamedBy } from "../../src/upgrade/release.ts";
import { call, program } from "./call.ts";

/** Writes SHA256SUMS over everything in a folder. */
export function writeSums(folder: string): void {
  const names = readdirSync(folder).filter((name) => !name.startsWith("SHA256SUMS"));
  const lines = names.sort().map((name) => {
    const sum = new Bun.CryptoHasher("sha256").update(readFileSync(join(folder, name))).digest("hex");
    return `${sum}  ${name}\n`;
  });
  writeFileSync(join(folder, "SHA256SUMS"), lines.join(""));
}

/** Where the secret key is, checked before long work. @throws if it is where it must not be, or what is built may not be signed. */
export function checkKey(key: string, root: string, version: string, commit: string | undefined): void {
  program("minisign", "Signing takes it: apt-get install minisign");
  if (!existsSync(key)) throw new Error(`There is no ${key} (RUNEGATE_RELEASE_KEY).`);
  if (!relative(root, realpathSync(key)).startsWith("..")) {
    throw new Error("The secret key must not be in the checkout (RUNEGATE_RELEASE_KEY).");
  }
  if (commit === undefined || !/^[0-9a-f]{12}$/.test(commit)) {
    throw new Error(`Only what is committed is signed, and this is ${commit ?? "of no commit"}.`);
  }
  if (releaseNamedBy(trustedComment(version, commit)) === undefined) {
    throw new Error(`Nobody could upgrade to ${version}: a version is 1.2.3 or 1.2.3-rc.1.`);
  }
}

/** What src/upgrade/release.ts reads. */
function trustedComment(version: string, commit: string): string {
  return `runegate ${version} commit ${commit}`;
}

/**
 * Signs SHA256SUMS; minisign asks for the key's password where it has one.
 * @returns whether those who have a built executable will believe it: the key is one of deploy/release-keys.pub.
 * @throws if there are keys, and this is none of them.
 */
export async function sign(settings: {
  readonly folder: string;
  readonly root: string;
  readonly key: string;
  readonly version: string;
  readonly commit: string;
}): Promise<boolean> {
  const { folder, root, key, version, commit } = settings;
  const comments = ["-c", `signature of Runegate ${version}`, "-t", trustedComment(version, commit)];
  const sums = join(folder, "SHA256SUMS");
  await call(["minisign", "-S", "-H", "-s", key, "-m", sums, ...comments, "-x", `${sums}.minisig`], {
    open: true,
  });
  const keys = readPublicKeys(readFileSync(join(root, "deploy/release-keys.pub"), "utf8"));
  if (keys.length === 0) return false;
  await openRelease(folder, keys);
  return true;
}
