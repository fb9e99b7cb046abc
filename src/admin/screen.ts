import type { Arrival } from "../edge/arrival.ts";
import type { Fields } from "../edge/body.ts";
import type { Address } from "../identity/address.ts";
import type { Html } from "../pages/template.ts";
import type { Found } from "../session/session.ts";
import type { Awaitable } from "../store/records.ts";

/**
 * A screen of the admin pages, which the room that it is about adds (`Room.admin`), mostly with what is in `pages/tables.ts`. Who
 * may see it and act on it is decided before it is asked. Rooms that give the same id share a screen: what they show stands one
 * below the other, in the order of the rooms. For example:
 *
 *     admin: {
 *       id: "lamps",
 *       label: "Lamps",
 *       notices: { off: "It is off." },
 *       show: () => tableOf({ caption: "Lamps", … , actForm({ act: "off", fields: { id }, label: "Switch off" }) … }),
 *       acts: { off: async ({ admin }, { id = "" }) => ((await lamps.off(id, admin)) ? { done: "off" } : { error: "…" }) },
 *     }
 */
export type AdminScreen = {
  /** The last part of its path: lower-case letters and hyphens, empty for the overview. */
  readonly id: string;
  /** For the navigation and as heading, in English. */
  readonly label: string;
  /** To look at it takes a sign-in as recent as to act. */
  readonly recent?: true;
  /** What is said after an act, by what the act called it: `?done=` is a word that anybody may have put there. */
  readonly notices?: Readonly<Record<string, string>>;
  /** @throws {StoreUnavailable} */
  show(visit: AdminVisit): Awaitable<Html>;
  /** What its forms may do, by the value of their field `do`. */
  readonly acts?: Readonly<Record<string, AdminAct>>;
};

/**
 * Does what a form asks for, for somebody who signed in lately. What it does is in the audit before it is done
 * (`House.auditFirst`), by this act or by the verb that it shares with the API and the command line.
 * @throws {Refusal} @throws {StoreUnavailable} 503, and nothing is done.
 */
export type AdminAct = (visit: AdminVisit, fields: Fields) => Awaitable<AdminDone>;

/** What is said then: one of the screen's notices, why nothing was done, or where else to go. */
export type AdminDone = { readonly done: string } | { readonly error: string } | { readonly go: string };

/** An administrator on one of the screens. */
export type AdminVisit = {
  readonly arrival: Arrival;
  /** Their session. */
  readonly found: Found;
  /** Their address, for the audit. */
  readonly admin: Address;
  /** Of the address of the page. */
  readonly query: URLSearchParams;
  /** Wall clock, in milliseconds. */
  readonly now: number;
};
