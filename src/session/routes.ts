import { timeOf } from "../api/list.ts";
import { json } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ownRoutes } from "../edge/own.ts";
import type { Room } from "../house.ts";
import { type SessionHouse, sessionApi } from "./api.ts";
import { sessionAuthenticator } from "./authenticator.ts";

/** Sessions as a proof of who one is, and `/session`, which tells a page who that is. */
export function sessionRoom(house: SessionHouse): Room {
  const { sessions, sessionCookie } = house;

  async function whoAmI(arrival: Arrival): Promise<Response> {
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
    authenticators: [sessionAuthenticator(sessions, sessionCookie)],
    cookies: [sessionCookie],
  };
}
