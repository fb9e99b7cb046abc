import { readFileSync, statSync } from "node:fs";
import type { Finding } from "./finding.ts";
import { MIB } from "./values.ts";

/** Reading configuration files, and telling in words why one could not be read. */

/** Secrets and settings are small; a large file is the wrong file. */
const MAX_BYTES = MIB;

export type ReadFile =
  | { readonly kind: "read"; readonly text: string; readonly mode: number; readonly uid: number }
  | { readonly kind: "missing" }
  | { readonly kind: "failed"; readonly problem: string; readonly remedy: string };

/** Reads a whole UTF-8 file. `mode` has the permission bits only. */
export function readTextFile(path: string): ReadFile {
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
