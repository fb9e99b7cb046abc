import type { Target } from "./target.ts";

/** `auto`: Runegate's for visitors, the application's for users. */
export type RootPathsOption = boolean | "auto";

/**
 * Names at the root that some of Runegate's own paths have besides the reserved prefix, for older deployments and scripts.
 * An application may have pages of these names, so with `RUNEGATE_ROOT_PATHS=auto` they are the application's for whoever is
 * signed in. The rooms say which handler each one gets (`own.ts`).
 */
export const ROOT_PATHS = [
  "/login",
  "/login.html",
  "/auth",
  "/logout",
  "/health",
  "/rate_limit_info",
  "/debug/session",
  "/debug/cookies",
  "/debug/protected",
] as const;

export type RootPath = (typeof ROOT_PATHS)[number];

/**
 * Whether a request for a root path is Runegate's even where the application has that path.
 * @param origin of the host that is asked; undefined where that makes no difference.
 */
export type Claim = (target: Target, origin?: string) => boolean;

/** The root paths in force, each with what Runegate claims of it. */
export type RootPaths = ReadonlyMap<string, Claim>;

export const CLAIM_ALL: Claim = () => true;
export const CLAIM_NONE: Claim = () => false;
