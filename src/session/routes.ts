import { timeOf } from "../api/list.ts";
import { failure, json } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { isPrincipal, isRejected, nameOf } from "../identity/principal.ts";
import { rejection } from "../limits/answer.ts";
import { type SessionHouse, sessionApi } from "./api.ts";
import { sessionAuthenticator } from "./authenticator.ts";
import { sessionScreen } from "./screen.ts";

/** Sessions as a proof of who one is, and `/session`, which tells a page who that is. */
export function sessionRoom(house: SessionHouse & Pick<House, "keyProof">): Room {
  const { options, sessions, sessionCookie, keyProof } = house;

  /** A key opens nothing else of Runegate's own, and decides alone here too. */
  async function whoseKey(arrival: Arrival): Promise<Response | undefined> {
    const who = options.apiKeys ? await keyProof(arrival) : undefined;
    if (isRejected(who)) return failure(arrival, rejection(who));
    if (!isPrincipal(who)) return undefined;
    const { subject, proof } = who;
    return json({
      ...{ authenticated: true, email: "email" in subject ? subject.email : null, user: nameOf(who) },
      ...{ key: proof.id, created_at: null, expires_at: null, idle_expires_at: null },
    });
  }

  async function whoAmI(arrival: Arrival): Promise<Response> {
    const byKey = await whoseKey(arrival);
    if (byKey !== undefined) return byKey;
    const found = await sessions.find(sessionCookie.read(arrival), arrival);
    if (found === undefined) {
      const nobody = { email: null, created_at: null, expires_at: null, idle_expires_at: null };
      return json({ authenticated: false, ...nobody });
    }
    return json({
      authenticated: true,
      email: found.record.email,
      created_at: timeOf(found.record.createdAt),
      expires_at: timeOf(found.record.expiresAt),
      idle_expires_at: timeOf(found.idleExpiresAt),
    });
  }

  return {
    ...ownRoutes("session", [{ path: "/session", handlers: { GET: whoAmI } }]),
    api: () => sessionApi(house),
    admin: sessionScreen(house),
    authenticators: [sessionAuthenticator(sessions, sessionCookie)],
    cookies: [sessionCookie],
  };
}
