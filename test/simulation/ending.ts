import { anyOf, ends, liveSessions, mayEnd, note, type Person, unexpected } from "./person.ts";
import { endHeldKey, judgeWay } from "./using.ts";
import { type Browser, SESSION_COOKIE, type Sent, send } from "./visitor.ts";
import type { HeldSession } from "./world.ts";

/** Each way in which a session ends before its time. */

const browserOf = ({ cookie }: HeldSession): Browser => ({ cookies: new Map([[SESSION_COOKIE, cookie]]) });

export async function logOut(person: Person): Promise<void> {
  const live = liveSessions(person);
  const held = live[person.chance.below(live.length)];
  if (held === undefined) return;
  const request = { method: "POST", client: person.client, browser: browserOf(held) };
  mayEnd([held]);
  const sent = await send(anyOf(person), "/_runegate/logout", request);
  note(person, "logs out", sent);
  ends(person, held, sent.span, sent.status === 200);
  conclude(person, held, sent, 200, "log out");
}

/** All of one's own, or all but the one that is used. */
export async function endOwn(person: Person): Promise<void> {
  const live = liveSessions(person);
  const held = live[person.chance.below(live.length)];
  if (held === undefined) return;
  const all = person.chance.oneIn(2);
  const request = { method: "DELETE", client: person.client, browser: browserOf(held) };
  const ending = all ? person.sessions : person.sessions.filter((one) => one !== held);
  mayEnd(ending);
  const sent = await send(anyOf(person), `/_runegate/api/sessions${all ? "?all=true" : ""}`, request);
  note(person, all ? "ends all own sessions" : "ends all other sessions", sent);
  for (const one of ending) ends(person, one, sent.span, sent.status === 200);
  conclude(person, held, sent, 200, all ? "end all" : "end others");
}

function conclude(person: Person, held: HeldSession, sent: Sent, wanted: number, what: string): void {
  person.world.ledger.count(`${what}: ${sent.status}`);
  // A session that this act may have ended may be over by the time that it is looked at.
  if (sent.status !== wanted) judgeWay(person, held, sent, what);
}

export async function endByAdministrator(person: Person): Promise<void> {
  const { administrator, ledger, troubles } = person.world;
  if (person.sessions.length === 0) return;
  const path = `/sessions?email=${encodeURIComponent(person.email)}`;
  mayEnd(person.sessions);
  const sent = await administrator.call(anyOf(person), "DELETE", path);
  if (sent === undefined) return;
  note(person, "an administrator ends all sessions", sent);
  for (const held of person.sessions) ends(person, held, sent.span, sent.status === 200);
  ledger.count(`administrator ends: ${sent.status}`);
  const excused = troubles.explain(sent.gateway, sent.span.from, sent.span.to);
  if (sent.status !== 200 && !excused) unexpected(person, "an administrator ends sessions", sent);
}

/** @returns whether it was done. */
export async function letIn(person: Person): Promise<boolean> {
  const { administrator, guests, ledger } = person.world;
  guests.set(person.email, Number.POSITIVE_INFINITY);
  const sent = await administrator.call(anyOf(person), "POST", "/admin/users", {
    email: person.email,
    mail: false,
  });
  if (sent !== undefined) note(person, "is let in by an administrator", sent);
  if (sent?.status === 201) ledger.count("guest let in");
  return sent?.status === 201;
}

export async function shutOut(person: Person): Promise<void> {
  const { administrator, guests, ledger } = person.world;
  mayEnd(person.sessions);
  const sent = await administrator.call(
    anyOf(person),
    "DELETE",
    `/admin/users/${encodeURIComponent(person.email)}`,
  );
  if (sent === undefined) return;
  note(person, "is shut out by an administrator", sent);
  const isDone = sent.status === 200;
  for (const held of person.sessions) ends(person, held, sent.span, isDone);
  for (const key of person.keys) endHeldKey(key, sent, isDone);
  // Links may be of no use from now on, whether or not it is done.
  person.shutOutBy = Math.min(person.shutOutBy, isDone ? sent.span.to : Number.MAX_VALUE);
  if (!isDone) return;
  ledger.count("guest shut out");
  guests.set(person.email, sent.span.to);
}
