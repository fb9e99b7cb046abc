import type { Arrival } from "../edge/arrival.ts";
import type { Html } from "../pages/template.ts";
import type { Awaitable } from "../store/records.ts";

/**
 * Another way to sign in than by mail, which the room that has it adds to the login page (`Room.wayIn`), below the form.
 * @param next where to go afterwards, already through `safeDestination`; empty where nothing in particular was asked for.
 */
export type WayIn = (arrival: Arrival, next: string) => Awaitable<Html>;
