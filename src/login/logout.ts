import { json, page } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody, readFields } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { loggedOutPage, logoutPage } from "../pages/pages.ts";
import { createSignOut } from "./sign-out.ts";

/** `/logout`: a page with a button, and the end of the session. */
export function logoutRoom(
  house: Pick<House, "sessions" | "sessionCookie" | "guardPost"> & Parameters<typeof createSignOut>[0],
): Room {
  const { sessions, sessionCookie, guardPost } = house;
  const signOut = createSignOut(house);

  async function show(arrival: Arrival): Promise<Response> {
    const found = await sessions.find(sessionCookie.read(arrival), arrival);
    return page(
      logoutPage(arrival.lookOf(arrival), found === undefined ? {} : { email: found.record.email }),
    );
  }

  async function logout(arrival: Arrival): Promise<Response> {
    // A page elsewhere could otherwise sign people out at will.
    guardPost(arrival);
    if (hasBody(arrival)) await readFields(arrival.request);
    const { headers, note } = await signOut(arrival);
    if (isNavigation(arrival.request.headers))
      return page(loggedOutPage(arrival.lookOf(arrival), note), 200, headers);
    return json({ message: "Signed out." }, 200, headers);
  }

  return ownRoutes("logout", [{ path: "/logout", also: ["/logout"], handlers: { GET: show, POST: logout } }]);
}
