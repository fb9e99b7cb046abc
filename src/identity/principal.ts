import type { Network } from "../net/ip.ts";
import type { Address } from "./address.ts";

/** How somebody proved who they are. Open streams, caches and the audit go by kind and id. */
export type Proof = {
  /** `session`, or what else the room is called that knows it; `operator` is whoever may open the control socket. */
  readonly kind: string;
  /** Tells apart those of a kind: for a session its store id (a keyed hash of its cookie). */
  readonly id: string;
};

export type Subject = { readonly email: Address } | { readonly service: string };

/** Whoever is let through, and how they proved who they are. */
export type Principal = {
  readonly subject: Subject;
  /** Names, in alphabetical order. */
  readonly groups: ReadonlySet<string>;
  readonly proof: Proof;
  /** When they signed in, or showed what stands for that. */
  readonly provenAt: number;
  /** The operator who acts in their name. */
  readonly actor?: Address;
  /** Whether they may look and change nothing. */
  readonly readOnly?: true;
  /** Longest time since then, up to now, in which they did nothing, in milliseconds; undefined where that does not count. */
  readonly rested?: number;
  /** By what they signed in, of several ways that a proof may have begun. */
  readonly method?: Method;
  /** Names of applications that an administrator has opened to them, besides those whose lists have them. */
  readonly granted?: ReadonlySet<string> | undefined;
  /** They could sign in, and no list of configuration has them: what is open to anyone who may sign in is not to them. */
  readonly unlisted?: true;
  /** For what their proof is good, where that is less than what they may do. */
  readonly scope?: Scope;
};

/** Each undefined where nothing is limited by it. */
export type Scope = {
  /** Names of applications. */
  readonly routes: ReadonlySet<string> | undefined;
  readonly methods: ReadonlySet<string> | undefined;
  /** Each a path or, with `/*` at its end, what lies below it. As browsers see it. */
  readonly paths: readonly string[] | undefined;
  /** Clients that it may come from: one network of each list. */
  readonly networks: readonly (readonly Network[])[];
};

/** The ways to begin a session. */
const METHODS = ["link", "code", "passkey", "oidc", "approval"] as const;

export type Method = (typeof METHODS)[number];

export function isMethod(word: unknown): word is Method {
  return METHODS.some((method) => method === word);
}

export const NO_GROUPS: ReadonlySet<string> = new Set();

/**
 * Who a request proved to be from; undefined where nobody tried, and where somebody did in vain, `refused`, or what is to be said
 * of it.
 */
export type Identified = Principal | Rejected | "refused" | undefined;

/** A credential that was recognized and is not taken: nothing that stands beside it is looked at, and nothing is open by it. */
export type Rejected = KeyRejected | { readonly rejected: "impersonation_ended" };

export type KeyRejected = {
  readonly rejected: "invalid_key" | "several_keys" | "rate_limited";
  /** How long to wait, where that helps. */
  readonly retryAfterMs?: number;
};

export function isPrincipal(who: Identified): who is Principal {
  return typeof who === "object" && !("rejected" in who);
}

export function isRejected(who: Identified): who is Rejected {
  return typeof who === "object" && "rejected" in who;
}

/** What the application calls them. No address looks like a service. */
export function nameOf({ subject }: Pick<Principal, "subject">): string {
  return "email" in subject ? subject.email : `service:${subject.service}`;
}

/** What the log calls them. */
export function loggedAs(who: Principal): string {
  return who.actor === undefined ? nameOf(who) : `${who.actor} as ${nameOf(who)}`;
}

/** More than that would not fit into a header that every application takes. What somebody may do goes by all. */
const MOST_TOLD = 50;

/** As applications are told of them: the first in alphabetical order. */
export function groupsTold(groups: Principal["groups"]): readonly string[] {
  return [...groups].slice(0, MOST_TOLD);
}

/** The same, as headers list them. */
export function groupsText(groups: Principal["groups"]): string {
  return groups.size === 0 ? "" : groupsTold(groups).join(",");
}

/** Whether what was made for some groups is right for others. */
export function sameGroups(some: Principal["groups"], others: Principal["groups"]): boolean {
  // Mostly they are the very same set.
  return some === others || groupsText(some) === groupsText(others);
}
