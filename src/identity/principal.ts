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
  /** Longest time since then, up to now, in which they did nothing, in milliseconds; undefined where that does not count. */
  readonly rested?: number;
  /** By what they signed in, of several ways that a proof may have begun. */
  readonly method?: Method;
};

/** The ways to begin a session. */
const METHODS = ["link", "code", "passkey", "oidc"] as const;

export type Method = (typeof METHODS)[number];

export function isMethod(word: unknown): word is Method {
  return METHODS.some((method) => method === word);
}

export const NO_GROUPS: ReadonlySet<string> = new Set();

/** Who a request proved to be from; undefined where nobody tried, and `refused` where somebody did in vain. */
export type Identified = Principal | "refused" | undefined;

/** What the application and the log call them. No address looks like a service. */
export function nameOf({ subject }: Pick<Principal, "subject">): string {
  return "email" in subject ? subject.email : `service:${subject.service}`;
}
