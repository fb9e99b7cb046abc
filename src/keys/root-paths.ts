import { API_PREFIX, isBelow } from "../edge/target.ts";
import { OWN_PREFIX } from "../pages/paths.ts";

/** Where rusty-valkey-forward-auth answers at the root, so that what was written for it works unchanged. */

export const CHECK_PATH = "/forward-auth";
export const CONFIG_PATH = "/frontend/config";
export const LIVE_PATH = "/health/live";
const ANYBODYS_TOKENS = /^\/api\/users\/[^/]+\/tokens(?:\/|$)/;

const SAME = new Set([CHECK_PATH, CONFIG_PATH, "/health/ready"]);

/** Which of Runegate's own paths one at the root stands for. */
export function ownPathOf(path: string): string | undefined {
  if (SAME.has(path)) return OWN_PREFIX + path;
  if (path === "/docs") return `${API_PREFIX}${path}`;
  if (isBelow(path, "/api/me/tokens") || ANYBODYS_TOKENS.test(path)) return OWN_PREFIX + path;
  return undefined;
}
