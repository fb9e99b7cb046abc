import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { systemRandom } from "../clock.ts";

/** Replacing files that hold secrets. */

export type Existing = {
  /** Where the file really is, so that a symbolic link stays one. */
  readonly path: string;
  readonly before: Buffer;
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
};

const OWNER_ONLY = 0o600;

/** A file that is not there is empty, and is to be its owner's alone. */
export function readExisting(named: string): Existing {
  try {
    const path = realpathSync(named);
    const { mode, uid, gid } = statSync(path);
    return { path, before: readFileSync(path), mode: mode & 0o777, owner: { uid, gid } };
  } catch (error) {
    if (!isSystemError(error) || error.code !== "ENOENT") throw error;
    return { path: named, before: Buffer.alloc(0), mode: OWNER_ONLY, owner: undefined };
  }
}

/** Whoever reads the file meanwhile, or after a crash, sees the old content or the new, never a part. */
export function replaceFile({ path, mode, owner }: Omit<Existing, "before">, content: Uint8Array): void {
  const temporary = `${path}.${Buffer.from(systemRandom.bytes(6)).toString("hex")}.tmp`;
  const file = openSync(temporary, "wx", OWNER_ONLY);
  try {
    try {
      for (let written = 0; written < content.length; ) written += writeSync(file, content, written);
      // Owner first: changing it may clear mode bits (chown(2)).
      if (owner !== undefined && process.geteuid?.() === 0) fchownSync(file, owner.uid, owner.gid);
      fchmodSync(file, mode);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

export function isSystemError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "errno" in error && "code" in error;
}
