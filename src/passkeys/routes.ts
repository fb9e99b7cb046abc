import { json } from "../edge/answer.ts";
import { lateHandlers, ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import type { PasskeyHandlers } from "./handlers.ts";

/**
 * Passkeys (WebAuthn): added by whoever has signed in by mail, where people sign in; good for signing in there, and for a page on
 * another host of ours that asks for one itself, to that host alone. All but this is loaded when it is first asked for.
 */
export function passkeyRoom(house: House): Room {
  const { options, routes } = house;
  const load = atFirstUse(async () => (await import("./handlers.ts")).createPasskeyHandlers(house));
  /** Switched off, too: they are still there for when they are on again. */
  const disown: Room["disown"] = async (email) => (await load()).disown(email);
  const renewSeals = async () => ({ what: "passkeys", renewed: await (await load()).renewSeals(), left: 0 });
  if (!options.passkeys) return { name: "passkeys", disown, renewSeals };
  const by =
    lateHandlers<Exclude<keyof PasskeyHandlers, "section" | "wayIn" | "disown" | "renewSeals">>(load);

  const { home } = routes;
  const origins = new Set(routes.all.flatMap((route) => originOf(routes.urlOf(route))));
  const others = [...origins].filter((origin) => origin !== home.origin);
  /** Where else the passkeys of this host may be asked for (WebAuthn §5.11, "related origins"). */
  const related = {
    chosen: "/.well-known/webauthn",
    claim: (_: unknown, origin?: string) => origin === home.origin,
    handlers: { GET: () => json({ origins: [home.origin, ...others] }) },
  };

  const own = ownRoutes("passkeys", [
    { path: "/passkeys", handlers: { POST: by("register") } },
    { path: "/passkeys/options", handlers: { POST: by("offerRegistration") } },
    { path: "/passkeys/remove", handlers: { POST: by("remove") } },
    { path: "/passkeys/sign-in", handlers: { POST: by("signIn") } },
    { path: "/passkeys/sign-in/options", handlers: { POST: by("offerSignIn") } },
    ...(others.length === 0 ? [] : [related]),
  ]);
  return {
    ...own,
    cookies: [house.bindingCookie],
    account: { id: "passkeys", show: async (visitor) => (await load()).section(visitor) },
    ...{ disown, renewSeals },
    wayIn: async (arrival, next) => (await load()).wayIn(arrival, next),
  };
}

function originOf(url: string | undefined): string[] {
  return url === undefined ? [] : [new URL(url).origin];
}
