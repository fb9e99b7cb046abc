import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "../build/support.ts";
import { CACHE } from "../system/debian.ts";

/** Tools that tests build or install once, and keep in a cache. */

/** @param make fills a folder. @returns its place in the cache */
export async function made(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const place = join(CACHE, name);
  if (existsSync(place)) return place;
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, "build-"));
  try {
    await make(folder);
    // The last step, so that another run finds it whole or not at all.
    renameSync(folder, place);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return place;
}

/** @throws with what it said, for a command that fails */
export async function good(command: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, { env });
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  return stdout;
}
