import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Finding } from "./finding.ts";
import { MIB } from "./values.ts";

/** Reading configuration files, and telling in words why one could not be read. */

/** Secrets and settings are small; a large file is the wrong file. */
const MAX_BYTES = MIB;

export type ReadFile =
  | { readonly kind: "read"; readonly text: string; readonly mode: number; readonly uid: number }
  | { readonly kind: "missing" }
  | { readonly kind: "failed"; readonly problem: string; readonly remedy: string };

/** Absolute paths that were looked at, with a hash of the text there: empty of a blank one, undefined where none could be read. */
export type FilesRead = Map<string, string | undefined>;

let noted: FilesRead | undefined;

/** Does `work`, which is done at once, and notes every file that it looks at by {@link readTextFile}. */
export function notingFiles<T>(files: FilesRead, work: () => T): T {
  const outer = noted;
  noted = files;
  try {
    return work();
  } finally {
    noted = outer;
  }
}

/** Whether any of these files has another text by now than when it was read. */
export function haveChanged(files: ReadonlyMap<string, string | undefined>): boolean {
  return [...files].some(([path, hash]) => hashOf(readTextFile(path)) !== hash);
}

function hashOf(read: ReadFile): string | undefined {
  if (read.kind !== "read") return undefined;
  return read.text.trim() === "" ? "" : new Bun.CryptoHasher("sha256").update(read.text).digest("base64url");
}

/** Reads a whole UTF-8 file. `mode` has the permission bits only. */
export function readTextFile(path: string): ReadFile {
  const read = tryToRead(path);
  noted?.set(resolve(path), hashOf(read));
  return read;
}

function tryToRead(path: string): ReadFile {
  try {
    const status = statSync(path);
    if (status.isDirectory()) {
      return { kind: "failed", problem: `(${path}) is a directory`, remedy: "Name a file." };
    }
    if (status.size > MAX_BYTES) {
      return { kind: "failed", problem: `(${path}) is over 1 MiB`, remedy: "Name the right file." };
    }
    const text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
    return { kind: "read", text, mode: status.mode & 0o777, uid: status.uid };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT" || code === "ENOTDIR") return { kind: "missing" };
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") {
      return { kind: "failed", problem: `(${path}) is not UTF-8 text`, remedy: "Save it as UTF-8 text." };
    }
    return {
      kind: "failed",
      problem: `(${path}) cannot be read: ${code || "unknown error"}`,
      remedy: "Check its owner and permissions.",
    };
  }
}

/**
 * A warning if others than its owner can read a file that holds secrets. Group access is fine where root owns the file:
 * that is how a service is given one it cannot change.
 */
export function readableByOthers(path: string, mode: number, uid: number): Finding | undefined {
  const group = uid === 0 ? 0 : mode & 0o040;
  if ((mode & 0o004) === 0 && group === 0) return undefined;
  return {
    option: path,
    problem: `holds a secret, and other users can read it (mode ${mode.toString(8).padStart(4, "0")})`,
    remedy: `Run: chmod 600 ${path}`,
  };
}
