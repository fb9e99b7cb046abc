/** Content-Security-Policy of Runegate's own pages: what a page may load and do. */

const DIRECTIVES = {
  "default-src": "'none'",
  "style-src": "'self'",
  "script-src": "'self'",
  "img-src": "'self'",
  "connect-src": "'self'",
  "form-action": "'self'",
  "base-uri": "'none'",
  "frame-ancestors": "'none'",
} as const;

/** Origins by what may be loaded from them. */
export type Sources = {
  readonly [Directive in "style-src" | "script-src" | "connect-src" | "frame-src"]?: readonly string[];
};

/** The policy of a page that may load more than others. */
export function policyWith(more: readonly Sources[]): string {
  const directives = new Map<string, string>(Object.entries(DIRECTIVES));
  for (const [directive, origins] of more.flatMap((sources) => Object.entries(sources))) {
    directives.set(directive, [directives.get(directive) ?? [], ...origins].flat().join(" "));
  }
  return [...directives].map((one) => one.join(" ")).join("; ");
}

export const PAGE_POLICY = policyWith([]);
