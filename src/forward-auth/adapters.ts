import { type Describe, forwardedRequest, originalRequest, prefixedRequest } from "../edge/described.ts";
import { isBelow } from "../edge/target.ts";
import { OWN_PREFIX } from "../pages/paths.ts";

/** The edges there are, told apart by the path they ask. What differs is where they describe a request, and what they take for an answer. */
export type Adapter = {
  /** For the log. */
  readonly name: string;
  readonly path: string;
  readonly describe: Describe;
  /** The edge looks at the status alone, and asks `challenge` for what to tell the visitor. */
  readonly bare: boolean;
  /** The edge has asked about this request before. */
  readonly second: boolean;
  /** Whether the edge's word for the visitor's scheme is all there is of it, and has to be good. */
  readonly namesProto: boolean;
};

const FORWARDED = { describe: forwardedRequest, bare: false, second: false, namesProto: true } as const;
const ORIGINAL = { describe: originalRequest, namesProto: false } as const;
const ENVOY = `${OWN_PREFIX}/check/envoy`;

export const ADAPTERS: readonly Adapter[] = [
  { name: "nginx", path: `${OWN_PREFIX}/check/nginx`, ...ORIGINAL, bare: true, second: false },
  // What nginx answers with where a check has said no (`error_page`).
  { name: "challenge", path: `${OWN_PREFIX}/challenge`, ...ORIGINAL, bare: false, second: true },
  ...["traefik", "caddy", "haproxy"].map((name) => ({
    name,
    path: `${OWN_PREFIX}/check/${name}`,
    ...FORWARDED,
  })),
  { name: "envoy", path: ENVOY, ...FORWARDED },
];

/** For whatever lies below its path, and on the listener for checks alone. */
export const PREFIXED: Adapter = {
  ...FORWARDED,
  name: "envoy",
  path: ENVOY,
  describe: prefixedRequest(ENVOY),
};

/**
 * Which of them asks on a path.
 * @param checksAlone whether that came where nothing else is answered.
 */
export function adapterOf(path: string, checksAlone: boolean): Adapter | undefined {
  const adapter = ADAPTERS.find((one) => one.path === path);
  return adapter ?? (checksAlone && isBelow(path, PREFIXED.path) ? PREFIXED : undefined);
}
