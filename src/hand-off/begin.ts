import type { Routes } from "../access/routes.ts";
import type { Clock, Random } from "../clock.ts";
import { redirect } from "../edge/answer.ts";
import type { SignIn } from "../edge/sign-in.ts";
import { bindingOf } from "../login/ticket.ts";
import { KEPT, loginHref, nextToSend, OWN_PREFIX } from "../pages/paths.ts";
import type { Tickets } from "../secret/ticket.ts";
import type { SessionCookie } from "../session/cookie.ts";
import { BINDING_BYTES, type BindingCookie, REQUEST_SECONDS } from "./cookie.ts";
import { HAND_OFF_REQUEST } from "./ticket.ts";

/** Where a hand-off begins: whoever is not signed in is sent to where people sign in. */

export const REQUEST_PATH = `${OWN_PREFIX}/handoff`;
/** The URL with a request or a ticket is told to nobody. */
export const NO_REFERRER = ["Referrer-Policy", "no-referrer"] as const;

export function createSignIn(settings: {
  readonly routes: Routes;
  /** For the host where people sign in. */
  readonly tickets: Tickets;
  readonly bindingCookie: BindingCookie;
  readonly sessionCookie: SessionCookie;
  readonly clock: Clock;
  readonly random: Random;
}): SignIn {
  const { bindingCookie, sessionCookie, random } = settings;
  const { home } = settings.routes;
  const draw = () => Buffer.from(random.bytes(BINDING_BYTES)).toString("base64url");

  return (arrival, status, next, again, kept) => {
    if (arrival.origin === home.origin) return redirect(status, loginHref(next, again, kept));
    // Sent again if it is there already, so that it lasts; one serves all tabs.
    const binding = bindingCookie.read(arrival) ?? draw();
    const issuedAt = settings.clock.now();
    const request = settings.tickets.sign(HAND_OFF_REQUEST, {
      app: arrival.origin,
      bind: bindingOf(binding),
      next: nextToSend(next),
      again,
      jti: draw(),
      issuedAt,
      expiresAt: issuedAt + REQUEST_SECONDS * 1000,
    });
    // A single one, and nobody is signed in: it is dead.
    const dead = !again && sessionCookie.read(arrival).length === 1 ? sessionCookie.expire() : [];
    const cookies = [bindingCookie.line(binding), ...dead];
    const note = kept === undefined ? "" : `&${KEPT}=${kept}`;
    return redirect(status, `${home.origin}${REQUEST_PATH}?request=${request}${note}`, [
      NO_REFERRER,
      ...cookies.map((line) => ["Set-Cookie", line] as const),
    ]);
  };
}
