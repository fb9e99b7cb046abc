import actingSource from "../../static/acting.html" with { type: "text" };
import endedSource from "../../static/acting-ended.html" with { type: "text" };
import { MINUTE, SECOND } from "../option/values.ts";
import { ENGLISH } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { clockTime, documentOf } from "../pages/pages.ts";
import { type Html, plain } from "../pages/template.ts";
import type { Impersonation } from "./record.ts";

/** What administrators see of it on the host of the application. They are in English alone. */

const acting = plain(actingSource, ["email", "about", "isReadOnly", "href", "route", "control"]);
const about = plain(
  "<p>In <strong>{{route}}</strong> until {{until}} (<strong>{{left}}</strong> left), because: <bdi>{{reason}}</bdi></p>\n",
  ["route", "until", "left", "reason"],
);
const ended = plain(endedSource, ["href", "control"]);

type Shown = {
  readonly one: Impersonation;
  /** Of the application. */
  readonly title: string;
  readonly isReadOnly: boolean;
  readonly now: number;
  /** Where the application is, on this host. */
  readonly href: string;
  /** Where it was begun. */
  readonly control: string;
};

export function actingPage(look: Look, { one, title, isReadOnly, now, href, control }: Shown): string {
  const { email } = one;
  const content = acting({
    ...{ email, route: title, href, control },
    about: aboutOf(one, title, now),
    isReadOnly: isReadOnly ? "yes" : "",
  });
  return documentOf({ ...look, language: ENGLISH, back: undefined }, `Viewing as ${email}`, content);
}

export function endedPage(look: Look, shown: { readonly href: string; readonly control: string }): string {
  const content = ended(shown);
  return documentOf({ ...look, language: ENGLISH, back: undefined }, "You are yourself again", content);
}

/** Where, until when and why. */
export function aboutOf({ reason, endsAt }: Impersonation, title: string, now: number): Html {
  return about({ route: title, until: clockTime(ENGLISH, endsAt, now), left: leftOf(endsAt, now), reason });
}

/** Minutes and seconds. */
export function leftOf(endsAt: number, now: number): string {
  const left = Math.max(0, endsAt - now);
  const seconds = Math.floor((left % MINUTE) / SECOND);
  return `${Math.floor(left / MINUTE)}:${`${seconds}`.padStart(2, "0")}`;
}
