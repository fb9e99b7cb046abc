import { existsSync, globSync, statSync } from "node:fs";
import { BenchError } from "./stage.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const BUILT = `${ROOT}dist/runegate`;

/**
 * The executable to measure: the one that was named, else `dist/runegate`, which is built where it is missing or older than
 * what it is made of.
 * @throws {BenchError} if it cannot be built.
 */
export function findExecutable(named: string | undefined, say: (text: string) => void): string {
  if (named !== undefined) return named;
  if (isCurrent()) return BUILT;
  say("building dist/runegate");
  const { exitCode, stderr } = Bun.spawnSync(["sh", `${ROOT}.ci/build`], { cwd: ROOT });
  if (exitCode === 0) return BUILT;
  throw new BenchError(`The executable cannot be built: ${stderr.toString().trim().slice(-2000)}`);
}

function isCurrent(): boolean {
  if (!existsSync(BUILT)) return false;
  const built = statSync(BUILT).mtimeMs;
  const sources = globSync(["src/**/*", "static/**/*", "bun.lock"], { cwd: ROOT });
  return sources.every((file) => statSync(`${ROOT}${file}`).mtimeMs <= built);
}
