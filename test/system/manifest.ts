import { type Dirent, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** Every file of a file system: what it is, whose, with which permissions, and a digest of what is in it, by path. */
export type Manifest = ReadonlyMap<string, string>;

/** What a system holds in memory, or throws away by itself. */
const VOLATILE = new Set(["/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp"]);

export function manifestOf(root: string): Manifest {
  const manifest = new Map<string, string>();
  function read(folder: string): void {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (VOLATILE.has(path)) continue;
      manifest.set(path, describe(join(root, path), entry));
      if (entry.isDirectory()) read(path);
    }
  }
  read("/");
  return manifest;
}

function describe(path: string, entry: Dirent): string {
  const { uid, gid, mode } = lstatSync(path);
  const content = entry.isSymbolicLink()
    ? `to ${readlinkSync(path)}`
    : entry.isFile()
      ? Bun.hash(readFileSync(path)).toString(16)
      : "";
  return `${uid}:${gid} ${mode.toString(8)} ${content}`.trim();
}

/** @returns one line a difference, for people: `+ /path`, `- /path`, or `! /path` with what it was and is. */
export function differences(before: Manifest, after: Manifest): string[] {
  const lines: string[] = [];
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const was = before.get(path);
    const is = after.get(path);
    if (was === undefined) lines.push(`+ ${path}`);
    else if (is === undefined) lines.push(`- ${path}`);
    else if (was !== is) lines.push(`! ${path}: ${was} → ${is}`);
  }
  return lines.sort();
}
