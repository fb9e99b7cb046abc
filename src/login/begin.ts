import type { Client } from "../edge/client.ts";
import type { Hooks } from "../hooks/hooks.ts";
import type { Address } from "../identity/address.ts";
import type { Method } from "../identity/principal.ts";
import type { Audit } from "../observe/audit.ts";
import { agentOf } from "../session/device.ts";
import type { Found, Sessions } from "../session/session.ts";
import type { NewSession } from "../session/start.ts";
import { REDEEMED } from "./audit.ts";

/** The request that signs in, and where it leads. */
export type SigningIn = {
  readonly client: Pick<Client, "ip" | "host">;
  /** Its id, as in the log. */
  readonly request: string;
  readonly next: string | undefined;
};

export type Started = Awaited<ReturnType<Sessions["start"]>>;

/**
 * What every way in ends with: a session of whoever has proved who they are, in place of those that their browser had before.
 * @throws {OnHold} and {StoreUnavailable}
 */
export function createBegin(settings: {
  readonly sessions: Pick<Sessions, "start" | "end">;
  readonly known: { add(email: Address): Promise<void> };
  readonly hooks: Pick<Hooks, "tell">;
  readonly audit: Audit;
}) {
  const { sessions, known, hooks, audit } = settings;

  return async (
    who: Omit<NewSession, "ip"> & { readonly method: Method },
    by: SigningIn,
    before: readonly Pick<Found, "record">[],
  ): Promise<Started> => {
    const { ip } = by.client;
    const started = await sessions.start({ ...who, ip });
    // Before anybody has its cookie.
    await hooks.tell("sign_in", { ...who, ...by, login: started.record.id });
    await known.add(who.email);
    for (const { record } of before) {
      // The new session stands; the old one, if it cannot be ended now, runs out by itself.
      await sessions.end(record.id).catch(() => {});
    }
    audit(REDEEMED, {
      ...{ subject: who.email, client: ip, agent: agentOf(who.userAgent), by: who.method },
      session: started.record.id,
    });
    return started;
  };
}
