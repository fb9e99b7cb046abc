import { isPlain } from "../edge/target.ts";
import type { Principal } from "../identity/principal.ts";
import { isInNetworks, parseIp } from "../net/ip.ts";
import type { Route } from "./route.ts";

/** What a proof is good for, where that is less than its holder may do. */

type Wanted = {
  readonly route: Route;
  readonly method: string;
  readonly path: string;
  readonly client: { readonly ip: string };
};

/** Whether a route takes such a proof, and what is wanted of it is within the limits of this one. */
export function isWithin(
  { proof, scope }: Pick<Principal, "proof" | "scope">,
  { route, method, path, client }: Wanted,
): boolean {
  if (scope === undefined) return true;
  if (route.proofs?.has(proof.kind) === false) return false;
  if (scope.routes?.has(route.name) === false || scope.methods?.has(method) === false) return false;
  if (scope.paths !== undefined && covers(scope.paths, path) === undefined) return false;
  if (scope.networks.length === 0) return true;
  const ip = parseIp(client.ip);
  return ip !== undefined && scope.networks.every((networks) => isInNetworks(ip, networks));
}

/**
 * Which of some paths is this one or, with `/*` at its end, lies above it.
 * @param path one that a server behind us might read otherwise is covered by none.
 */
export function covers(paths: readonly string[], path: string): string | undefined {
  if (!isPlain(path)) return undefined;
  return paths.find((one) => one === path || (one.endsWith("/*") && path.startsWith(one.slice(0, -1))));
}
