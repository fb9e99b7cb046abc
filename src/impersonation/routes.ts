import { lateHandlers, ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import { SECOND } from "../option/values.ts";
import { ACTING_PATH, OWN_PREFIX } from "../pages/paths.ts";
import { actingAuthenticator } from "./authenticator.ts";

const SWEEP_EVERY_MS = 5 * SECOND;

/** An administrator acts as somebody else in one application. All but the proof and its end is loaded at first use. */
export function impersonationRoom(house: House): Room {
  const { impersonations, actingCookie, routes, clock } = house;
  const name = "impersonation";
  // Its cookie is ours also where it is worth nothing.
  const cookies = [actingCookie];
  let timer: ReturnType<typeof setInterval> | undefined;

  /** By what was configured before, one that goes on may look ended. */
  function replaced(): void {
    clearInterval(timer);
    timer = undefined;
  }

  async function stop(): Promise<void> {
    replaced();
    await impersonations.counted();
  }

  const always: Room = {
    ...{ name, cookies },
    account: {
      id: "activity",
      async show(visitor) {
        const { viewsSection } = await import("./account.ts");
        return viewsSection(visitor, impersonations, routes, clock);
      },
    },
    api: async () => (await import("./api.ts")).impersonationApi(house),
  };
  // What was going on before it was switched off is ended, and told of.
  if (!impersonations.isUsed) return { ...always, start: () => void impersonations.sweep(), stop };
  const by = lateHandlers(
    atFirstUse(async () => (await import("./handlers.ts")).createActingHandlers(house)),
  );
  const below = ACTING_PATH.slice(OWN_PREFIX.length);
  return {
    ...ownRoutes(name, [
      { path: below, handlers: { GET: by("show") } },
      { path: `${below}/open`, handlers: { GET: by("open") } },
      { path: `${below}/ticket`, handlers: { GET: by("ticket") } },
      { path: `${below}/finish`, handlers: { GET: by("finish") } },
      { path: `${below}/end`, handlers: { POST: by("end") } },
    ]),
    ...always,
    admin: async () => (await import("./screen.ts")).impersonationScreen(house),
    authenticators: [actingAuthenticator(impersonations, actingCookie)],
    start() {
      void impersonations.sweep();
      timer ??= setInterval(impersonations.sweep, SWEEP_EVERY_MS);
      timer.unref();
    },
    replaced,
    stop,
  };
}
