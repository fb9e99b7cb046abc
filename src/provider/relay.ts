import type { Route } from "../access/route.ts";
import type { Clock } from "../clock.ts";
import type { Principal } from "../identity/principal.ts";
import { createRecencyMap } from "../store/memory/recency-map.ts";

/** Access tokens of a client, passed on to an application that is proxied, in `X-Forwarded-Access-Token`. */
export type TokenRelay = {
  /** Undefined for an application that gets none. */
  of(route: Route): RouteRelay | undefined;
};

export type RouteRelay = {
  /** To be waited for where it is not undefined: none is at hand. @throws {StoreUnavailable} */
  prepare(principal: Principal | undefined): Promise<void> | undefined;
  /** The one that is at hand. Costs a look in a map. */
  token(principal: Principal | undefined): string | undefined;
};

export type Relayed = {
  /** Undefined for somebody who may not use the client. */
  readonly token: string | undefined;
  readonly madeAt: number;
  readonly until: number;
};

const MOST_TOKENS = 10_000;

/**
 * @param clients by the name of the application.
 * @param mint a token of a client, for somebody by their session.
 */
export function createTokenRelay(
  clients: ReadonlyMap<string, string>,
  mint: (client: string, session: string) => Promise<Relayed>,
  clock: Clock,
): TokenRelay {
  const kept = createRecencyMap<Relayed>();
  /** Under way. */
  const coming = new Map<string, Promise<void>>();

  function renew(key: string, client: string, session: string): Promise<void> {
    const known = coming.get(key);
    if (known !== undefined) return known;
    const made = mint(client, session)
      .then((one) => {
        kept.set(key, one);
        while (kept.size > MOST_TOKENS) kept.delete(kept.oldest()?.key ?? "");
      })
      .finally(() => coming.delete(key));
    coming.set(key, made);
    return made;
  }

  return {
    of({ name }) {
      const client = clients.get(name);
      if (client === undefined) return undefined;
      return {
        prepare(principal) {
          if (!isPerson(principal)) return undefined;
          const session = principal.proof.id;
          const key = `${session} ${client}`;
          const known = kept.get(key);
          const now = clock.now();
          if (known === undefined || now < known.madeAt || now >= known.until)
            return renew(key, client, session);
          // This request has one that is good for long enough, and does not wait for the next.
          if (now - known.madeAt >= (known.until - known.madeAt) / 2)
            void renew(key, client, session).catch(() => {});
          return undefined;
        },
        token(principal) {
          if (!isPerson(principal)) return undefined;
          const known = kept.get(`${principal.proof.id} ${client}`);
          return known !== undefined && clock.now() < known.until ? known.token : undefined;
        },
      };
    },
  };
}

/** By a session of their own: neither a program, nor an administrator who acts as somebody else. */
function isPerson(principal: Principal | undefined): principal is Principal {
  return principal?.proof.kind === "session" && principal.actor === undefined;
}
