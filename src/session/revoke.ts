import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { SESSION_REVOKED } from "./audit.ts";
import type { SessionRecord } from "./record.ts";

/** Who ended it, for the audit, by whose session it was: `user` for their own. */
type Actor = (email: string) => string;

type RevokeHouse = Pick<House, "sessions" | "audit" | "auditFirst">;

/**
 * Ends sessions, and tells of each. What somebody does to the session of another is recorded before it is done.
 * @returns how many were still there
 * @throws {StoreUnavailable}
 */
export async function revoke(
  { sessions, audit, auditFirst }: RevokeHouse,
  records: readonly Pick<SessionRecord, "id" | "email">[],
  actor: Actor,
): Promise<number> {
  let ended = 0;
  for (const { id, email } of records) {
    const facts = { subject: email, session: id, actor: actor(email) };
    const isOwn = facts.actor === "user";
    if (!isOwn) await auditFirst(SESSION_REVOKED, facts);
    if (!(await sessions.end(id))) continue;
    ended++;
    if (isOwn) audit(SESSION_REVOKED, facts);
  }
  return ended;
}

/** Ends all of an address, those that begin meanwhile included. @returns how many there were */
export async function revokeAll(house: RevokeHouse, email: Address, actor: Actor): Promise<number> {
  const by = actor(email);
  const before = by === "user" ? 0 : await revoke(house, await house.sessions.list(email), actor);
  const ended = await house.sessions.endAll(email);
  for (const id of ended) house.audit(SESSION_REVOKED, { subject: email, session: id, actor: by });
  return before + ended.length;
}
