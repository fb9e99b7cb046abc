import type { Principal, Proof } from "../identity/principal.ts";
import type { BasedTarget } from "../net/endpoint.ts";
import type { HostHeader } from "../net/host.ts";
import type { Binding } from "./binding.ts";
import type { People } from "./people.ts";

/** One of the applications: where it is, for whom, and how it is spoken to. A value, made from configuration alone. */
export type Route = {
  /** In logs, the audit and what applications are told. */
  readonly name: string;
  /** In normal form, without a port; `*.example.org` for one label in its place; undefined for whatever host asks. */
  readonly host: string | undefined;
  /** What lies below it is this route's: `/`, or without a slash at its end. */
  readonly path: string;
  readonly stripPath: boolean;
  /** None where some edge passes requests on, and asks here only whether they may. */
  readonly targets: readonly BasedTarget[];
  readonly balance: "sticky" | "round_robin" | "first";
  readonly health: HealthCheck | undefined;

  /** Undefined for everybody who may sign in. */
  readonly allow: People | undefined;
  /** Wins over `allow`. */
  readonly deny: People | undefined;
  /** Whether who has signed in and may not use it may ask for it (`RUNEGATE_DYNAMIC_USERS`). */
  readonly requestAccess: boolean;
  /** Who decides then; undefined for administrators. */
  readonly approvers: People | undefined;
  /** Open to whoever comes: a path, or with `/*` at its end what lies below it. As browsers see it. */
  readonly publicPaths: readonly string[];
  readonly publicMethods: ReadonlySet<string>;
  /** Undefined for all there are. */
  readonly methods: ReadonlySet<string> | undefined;
  readonly corsPreflight: boolean;
  /** Milliseconds since signing in, after which it has to be done again for this route. */
  readonly maxAge: number | undefined;
  /** The same for milliseconds in which the session was not used, whenever that was. */
  readonly idle: number | undefined;
  /** Where a session must come from to count here. */
  readonly bind: Binding;
  /** Which proofs count here; undefined for all there are. */
  readonly proofs: ReadonlySet<Proof["kind"]> | undefined;
  /** Said to whoever comes while it is closed; administrators go through. */
  readonly maintenance: string | undefined;
  /** Whether an administrator may use it as somebody else, and change something. */
  readonly impersonation: "deny" | "read_only" | "allow";

  readonly identity: "headers" | "jwt" | "both" | "none";
  /** Further names for what the application is told. */
  readonly identityNames: ReadonlyMap<IdentityFact, string>;
  /** For tokens about who is asking; undefined for the public origin and path. */
  readonly audience: string | undefined;
  /** By lower-case name; `${email}`, `${user}` and `${groups}` stand for who is asking. */
  readonly setHeaders: ReadonlyMap<string, string>;
  readonly removeHeaders: ReadonlySet<string>;
  readonly setResponseHeaders: ReadonlyMap<string, string>;
  readonly removeResponseHeaders: ReadonlySet<string>;
  readonly hostHeader: HostHeader;

  readonly webSocket: boolean;
  /** Origins whose pages may open WebSockets to it; undefined for its own. */
  readonly webSocketOrigins: "*" | ReadonlySet<string> | undefined;
  /** Milliseconds, as is the next. */
  readonly connectTimeout: number;
  readonly responseTimeout: number;
  /** Bytes; undefined is unlimited. */
  readonly maxBody: number | undefined;
  readonly tls: TargetTls | undefined;

  /** For the page of applications. */
  readonly title: string;
  readonly icon: string | undefined;
  readonly hidden: boolean;
};

/**
 * Whether it takes a new sign-in: the last one is too long ago, or its session has been left alone for too long since.
 * @param now wall clock, in milliseconds.
 */
export function isTooOld({ maxAge, idle }: Route, { provenAt, rested = 0 }: Principal, now: number): boolean {
  return (maxAge !== undefined && now - provenAt >= maxAge) || (idle !== undefined && rested >= idle);
}

/** Its name for the log: one alone needs none. */
export function loggedName({ host, name }: Route): string | undefined {
  return host === undefined ? undefined : name;
}

export type IdentityFact = "user" | "email" | "groups" | "name";

export type HealthCheck = {
  readonly path: string;
  /** Milliseconds, as is the next. */
  readonly interval: number;
  readonly timeout: number;
  /** So many failures in a row, or successes, until it is believed. */
  readonly downAfter: number;
  readonly upAfter: number;
  readonly status: { readonly from: number; readonly to: number };
};

/** How a target proves itself, and we to it. PEM. */
export type TargetTls = {
  readonly ca: string | undefined;
  readonly serverName: string | undefined;
  readonly clientCert: string | undefined;
  readonly clientKey: string | undefined;
  readonly verify: boolean;
};
