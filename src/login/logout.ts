import { json, page } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody, readFields } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { loggedOutPage, logoutPage } from "../pages/pages.ts";
import { LOGGED_OUT } from "../session/audit.ts";

/** `/logout`: a page with a button, and the end of the session. */
export function logoutRoom({
  sessions,
  sessionCookie,
  loginCookie,
  keptPosts,
  guardPost,
  impersonations,
  hooks,
  audit,
}: Pick<
  House,
  | "sessions"
  | "sessionCookie"
  | "loginCookie"
  | "keptPosts"
  | "guardPost"
  | "impersonations"
  | "hooks"
  | "audit"
>): Room {
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
    // All of them: whoever signs out means to be signed out, whichever cookie was planted beside theirs.
    let note: string | undefined;
    for (const { record } of await sessions.findAll(sessionCookie.read(arrival), arrival.origin)) {
      const { id: login, email, method } = record;
      // First: once it has ended, nobody would come to say so.
      await hooks.tell("sign_out", { email, method, login, client: arrival.client, request: arrival.id });
      const as = await impersonations.of(record.email as Address, record.id);
      if (as !== undefined && (await impersonations.end(as, "signed out")))
        note = `You are no longer viewing as ${as.email} either.`;
      await sessions.end(record.id);
      audit(LOGGED_OUT, { subject: record.email, session: record.id });
    }
    const lines = [...sessionCookie.expire(), loginCookie.line("", 0)];
    const own = lines.map((line) => ["Set-Cookie", line] as const);
    const headers = [...own, ...(await keptPosts.forget(arrival))];
    if (isNavigation(arrival.request.headers))
      return page(loggedOutPage(arrival.lookOf(arrival), note), 200, headers);
    return json({ message: "Signed out." }, 200, headers);
  }

  return ownRoutes("logout", [{ path: "/logout", also: ["/logout"], handlers: { GET: show, POST: logout } }]);
}
