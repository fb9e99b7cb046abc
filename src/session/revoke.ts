import type { Address } from "../identity/address.ts";
import type { Audit } from "../observe/audit.ts";
import { SESSION_REVOKED } from "./audit.ts";
import type { SessionRecord } from "./record.ts";
import type { Sessions } from "./session.ts";

type Ending = { readonly sessions: Pick<Sessions, "end" | "endAll">; readonly audit: Audit };

/** Who ended it, for the audit, by whose session it was. */
type Actor = (email: string) => string;

/**
 * Ends sessions, and tells of each that was still there to be ended.
 * @returns how many there were
 * @throws {StoreUnavailable}
 */
export async function revoke(
  { sessions, audit }: Ending,
  records: readonly Pick<SessionRecord, "id" | "email">[],
  actor: Actor,
): Promise<number> {
  let ended = 0;
  for (const { id, email } of records) {
    if (!(await sessions.end(id))) continue;
    ended++;
    audit(SESSION_REVOKED, { subject: email, session: id, actor: actor(email) });
  }
  return ended;
}

/** Ends all of an address in one step, those that begin meanwhile included. @returns how many there were */
export async function revokeAll({ sessions, audit }: Ending, email: Address, actor: Actor): Promise<number> {
  const ended = await sessions.endAll(email);
  for (const id of ended) audit(SESSION_REVOKED, { subject: email, session: id, actor: actor(email) });
  return ended.length;
}
