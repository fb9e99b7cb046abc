import type { Arrival } from "../edge/arrival.ts";
import type { Text } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import type { Html } from "../pages/template.ts";
import type { Found } from "../session/session.ts";
import type { Awaitable } from "../store/records.ts";

/** A part of the account page, which the room that it is about adds (`Room.account`). */
export type AccountSection = {
  /** Its anchor on the page, for links that lead there: lower-case letters and hyphens. */
  readonly id: string;
  /** What the visitor sees; undefined where there is nothing for them. @throws {StoreUnavailable} */
  show(visitor: AccountVisitor): Awaitable<ShownSection | undefined>;
};

export type ShownSection = {
  readonly heading: Text;
  readonly content: Html;
  /** What was done, for the top of the page. */
  readonly notice?: Text | undefined;
};

/** Whoever looks at their account: they have a session, on the host where people sign in. */
export type AccountVisitor = {
  readonly arrival: Arrival;
  readonly found: Found;
  /** How the page is to look to them. */
  readonly look: Look;
  /** What the form that led here says was done (`?done=`): a word that anybody may have put there. */
  readonly done: string | null;
};
