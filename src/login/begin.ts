import type { Address } from "../identity/address.ts";
import type { Method } from "../identity/principal.ts";
import type { Audit } from "../observe/audit.ts";
import { agentOf } from "../session/device.ts";
import type { Found, Sessions } from "../session/session.ts";
import type { NewSession } from "../session/start.ts";
import { REDEEMED } from "./audit.ts";

export type Started = Awaited<ReturnType<Sessions["start"]>>;

/**
 * What every way in ends with: a session of whoever has proved who they are, in place of those that their browser had before.
 * @throws {OnHold} and {StoreUnavailable}
 */
export function createBegin(settings: {
  readonly sessions: Pick<Sessions, "start" | "end">;
  readonly known: { add(email: Address): Promise<void> };
  readonly audit: Audit;
}) {
  const { sessions, known, audit } = settings;

  return async (
    who: NewSession & { readonly method: Method },
    before: readonly Pick<Found, "record">[],
  ): Promise<Started> => {
    const started = await sessions.start(who);
    await known.add(who.email);
    for (const { record } of before) {
      // The new session stands; the old one, if it cannot be ended now, runs out by itself.
      await sessions.end(record.id).catch(() => {});
    }
    audit(REDEEMED, {
      ...{ subject: who.email, client: who.ip, agent: agentOf(who.userAgent), by: who.method },
      session: started.record.id,
    });
    return started;
  };
}
