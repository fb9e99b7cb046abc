import { isTooOld } from "../access/route.ts";
import { routeFor } from "../access/routes.ts";
import { type ExtraHeaders, Refusal, SIGN_IN } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { cutTarget } from "../edge/target.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { type Said, said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { describeDevice, recognizeDevice } from "../session/device.ts";
import type { Found } from "../session/session.ts";
import type { Started } from "./begin.ts";
import { landingAt, onwardFrom, partsOf, safeDestination } from "./next.ts";
import type { Asker } from "./service.ts";

/** What the pages of a login all ask of a visit: who it is, where they are going, and whether this is the host for it. */
export function createVisits({
  options,
  routes,
  sessions,
  sessionCookie,
  devices,
  keptPosts,
  clock,
}: Pick<House, "options" | "routes" | "sessions" | "sessionCookie" | "devices" | "keptPosts" | "clock">) {
  const landingOf = ({ origin }: Arrival) => landingAt(routes, origin, options.landingPath);
  const isHome = ({ origin }: Arrival) => origin === routes.home.origin;

  /** A path here, or a URL on another host. */
  const nextOf = (arrival: Arrival, input: string | undefined | null) =>
    safeDestination(input, arrival.origin, landingOf(arrival), arrival.isOwn, routes.siteAt);

  const destination = (arrival: Arrival, next: string | undefined | null) =>
    onwardFrom(arrival.origin, nextOf(arrival, next));

  return {
    isHome,
    nextOf,
    landingOf,
    findSession: async (arrival: Arrival) => sessions.find(sessionCookie.read(arrival), arrival),

    /** Where to send the browser of somebody who is signed in here. */
    destination,

    /** The same for whoever has just signed in, by way of what they were about to send. */
    onward: (arrival: Arrival, next: string | undefined) =>
      keptPosts.onward(arrival, destination(arrival, next)),

    /** What the browser of somebody who has just signed in is to keep. */
    async cookiesOf(arrival: Arrival, { cookie, record }: Started): Promise<ExtraHeaders> {
      const lines = [
        ...sessionCookie.issue(cookie, record.brief),
        ...(await devices.signedIn(arrival, record)),
      ];
      const own: ExtraHeaders = lines.map((line) => ["Set-Cookie", line]);
      return [...own, ...keptPosts.remember(record.email as Address)];
    },

    /** What to show of being kept signed in, as it was answered, if that is asked here. */
    keepOf: (answered = false) => (options.remember === "ask" ? answered : undefined),

    /** Why the application that `next` is in wants another sign-in than this one, if it does. */
    async problemWith(found: Found, next: string, arrival: Arrival): Promise<Said | undefined> {
      const { origin, path } = partsOf(next, arrival.origin);
      const site = routes.siteAt(origin);
      const route = site && routeFor(site, cutTarget(path, 0).path);
      if (route === undefined) return undefined;
      if (isTooOld(route, found.principal, clock.now())) return said("login.tooOld");
      const counts = await sessions.find(sessionCookie.read(arrival), arrival, route.bind);
      return counts === undefined ? said("login.strayed") : undefined;
    },

    /** What signs in is for the host where people do so: what it gives is good on every host. @throws {Refusal} */
    stayHome(arrival: Arrival): void {
      if (isHome(arrival)) return;
      throw new Refusal({
        status: 421,
        error: "wrong_host",
        title: said("link.elsewhereTitle"),
        message: said("link.elsewhere", { origin: routes.home.origin }),
        action: SIGN_IN,
      });
    },
  };
}

export type Visits = ReturnType<typeof createVisits>;

export function askerOf({ id, client, request }: Arrival, look: Look): Asker {
  const device = describeDevice(look.language, recognizeDevice(request.headers.get("user-agent")));
  return { client, request: id, device, look };
}
