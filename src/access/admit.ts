import type { Identified, Principal, Proof, Rejected } from "../identity/principal.ts";
import type { Awaitable } from "../store/records.ts";
import { decide, type Question, type Verdict } from "./decision.ts";
import type { Route } from "./route.ts";

/** What a request shows of who sent it, without anything of how it came. */
export type Credentials = {
  /** The values of one of Runegate's own cookies, each once. */
  readonly cookies: { valuesOf(name: string): readonly string[] };
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** The public origin of the host that was asked, as configuration has it. */
  readonly origin: string;
  /** Of whom it came from: an IP address in normal form, or `unix`. */
  readonly client: { readonly ip: string };
};

/** One way of proving who one is, added by the room that knows it. */
export type Authenticator = {
  readonly kind: Proof["kind"];
  /** What it recognizes decides alone on every route, those that take no such proof included. */
  readonly strict?: true;
  /**
   * Undefined: nothing of this kind was shown. `refused` is final: a credential that is recognized decides alone. Answers at
   * once when the store does.
   * @param route that it is for; undefined for what is Runegate's own.
   * @throws {StoreUnavailable}
   */
  authenticate(
    shown: Credentials,
    route: Route | undefined,
  ): Awaitable<Principal | Rejected | "refused" | undefined>;
  /**
   * Who holds a proof, as they are now, for what it opened; undefined once it is no longer good.
   * @param used whether its user did something meanwhile.
   * @throws {StoreUnavailable}
   */
  alive(id: string, used: boolean): Awaitable<Principal | undefined>;
  /** Tells of proofs that end by an order, as soon as this process learns of it. Called once in the life of a process. */
  onEnded(listener: (id: string) => void): void;
};

/** One that opens nothing that lasts: each request of the management API is answered at once. */
export type ApiAuthenticator = Omit<Authenticator, "alive" | "onEnded">;

/** The question that inline proxying, WebSockets and every edge ask. */
export type Admit = {
  /**
   * Who it is, as far as the route takes their word; without one, by any proof there is.
   * @throws {StoreUnavailable}
   */
  identify(route: Route | undefined, shown: Credentials): Awaitable<Identified>;
  decide(question: Question): Verdict;
};

/** @throws if two go by one name, or one by the operator's: what they open could not be told apart. */
export function createAdmit(authenticators: readonly ApiAuthenticator[]): Admit {
  const kinds = new Set(["operator", ...authenticators.map(({ kind }) => kind)]);
  if (kinds.size <= authenticators.length) throw new Error("a kind of proof belongs to one room");

  function identifyFrom(first: number, route: Route | undefined, shown: Credentials): Awaitable<Identified> {
    for (let i = first; i < authenticators.length; i++) {
      const authenticator = authenticators[i];
      if (authenticator === undefined) continue;
      if (route?.proofs?.has(authenticator.kind) === false && authenticator.strict !== true) continue;
      const who = authenticator.authenticate(shown, route);
      // Not awaited needlessly: a memory store answers at once, and every turn of the event loop costs.
      if (who instanceof Promise) {
        return who.then((later) => later ?? identifyFrom(i + 1, route, shown));
      }
      if (who !== undefined) return who;
    }
    return undefined;
  }

  return {
    identify: (route, shown) => identifyFrom(0, route, shown),
    decide,
  };
}
