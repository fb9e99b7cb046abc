import { json, page } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { hasBody, readFields } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import type { EdgeOptions } from "../edge/options.ts";
import type { PostGuard } from "../edge/origin.ts";
import { type OwnRoutes, ownRoutes } from "../edge/own.ts";
import { loginCookieLine } from "../login/cookie.ts";
import type { Audit } from "../observe/audit.ts";
import { loggedOutPage, logoutPage } from "../pages/pages.ts";
import type { SessionCookie } from "./cookie.ts";
import type { Sessions } from "./session.ts";

/** `/session` and `/logout`. */
export function sessionRoutes(
  settings: Pick<EdgeOptions, "secureCookie"> & {
    readonly sessions: Sessions;
    readonly sessionCookie: SessionCookie;
    readonly guardPost: PostGuard;
    readonly audit: Audit;
  },
): OwnRoutes {
  const { sessions, sessionCookie, guardPost, audit } = settings;
  const forgetLogin = loginCookieLine("", 0, settings.secureCookie);

  async function whoAmI(arrival: Arrival): Promise<Response> {
    const found = await sessions.find(arrival.cookies.sessions);
    if (found === undefined) {
      const nobody = { email: null, created_at: null, expires_at: null, idle_expires_at: null };
      return json({ authenticated: false, ...nobody });
    }
    return json({
      authenticated: true,
      email: found.record.email,
      created_at: iso(found.record.createdAt),
      expires_at: iso(found.record.expiresAt),
      idle_expires_at: iso(found.idleExpiresAt),
    });
  }

  async function showLogout(arrival: Arrival): Promise<Response> {
    const found = await sessions.find(arrival.cookies.sessions);
    return page(logoutPage(found === undefined ? {} : { email: found.record.email }));
  }

  async function logout(arrival: Arrival): Promise<Response> {
    // A page elsewhere could otherwise sign people out at will.
    const foreign = guardPost(arrival);
    if (foreign !== undefined) return foreign;
    if (hasBody(arrival.request)) await readFields(arrival.request);
    // All of them: whoever signs out means to be signed out, whichever cookie was planted beside theirs.
    for (const { record } of await sessions.findAll(arrival.cookies.sessions)) {
      await sessions.end(record.id);
      audit({ event: "logged_out", email: record.email, session: record.id });
    }
    const lines = [...sessionCookie.expire(), forgetLogin];
    const headers = lines.map((line) => ["Set-Cookie", line] as const);
    if (isNavigation(arrival.request.headers)) return page(loggedOutPage(), 200, headers);
    return json({ message: "Signed out." }, 200, headers);
  }

  return ownRoutes("session", [
    { path: "/session", handlers: { GET: whoAmI } },
    { path: "/logout", also: ["/logout"], handlers: { GET: showLogout, POST: logout } },
  ]);
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
