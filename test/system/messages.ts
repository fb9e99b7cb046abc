/** What the test and the process that plays the world around the machine (`outside.ts`) say to each other. */

export type ToOutside =
  | { readonly kind: "visit"; readonly cookie: string }
  | { readonly kind: "leave" }
  | { readonly kind: "echo"; readonly cookie: string; readonly text: string };

/** Pebble: the URL of its directory, what its server is trusted by and what its certificates are, PEM. */
export type Authority = { readonly directory: string; readonly server: string; readonly root: string };

export type FromOutside =
  | { readonly kind: "up"; readonly authority?: Authority }
  | { readonly kind: "mail"; readonly to: readonly string[]; readonly raw: string }
  /** The first visitors have been answered. */
  | { readonly kind: "visiting" }
  | { readonly kind: "left"; readonly failures: readonly string[] }
  | { readonly kind: "echoed"; readonly text: string };
