import type { Route } from "../access/route.ts";
import type { Clock } from "../clock.ts";
import type { Principal } from "../identity/principal.ts";
import { SECOND } from "../option/values.ts";
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
  /** Of the tokens that it is one of. */
  readonly family: string | undefined;
  /** Milliseconds since the Unix epoch, as the next. */
  readonly madeAt: number;
  /** When it was seen last that it is good. */
  readonly seenAt: number;
  readonly until: number;
};

/** For so long it counts as good unseen, as a session does that somebody else has ended. */
export const UNSEEN_MS = 5 * SECOND;

const MOST_TOKENS = 10_000;

/**
 * @param clients by the name of the application.
 * @param mint a token of a client, for somebody by their session: the one before, where that is good for a while yet.
 */
export function createTokenRelay(
  clients: ReadonlyMap<string, string>,
  mint: (client: string, session: string, before: Relayed | undefined) => Promise<Relayed>,
  clock: Clock,
): TokenRelay {
  const kept = createRecencyMap<Relayed>();
  /** Under way. */
  const coming = new Map<string, Promise<void>>();

  function renew(key: string, client: string, session: string): Promise<void> {
    const known = coming.get(key);
    if (known !== undefined) return known;
    const made = mint(client, session, kept.get(key))
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
          const isSeen = known !== undefined && now >= known.seenAt && now < known.seenAt + UNSEEN_MS;
          return isSeen && now < known.until ? undefined : renew(key, client, session);
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
