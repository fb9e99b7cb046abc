import accountSource from "../../static/account.html" with { type: "text" };
import sectionSource from "../../static/account-section.html" with { type: "text" };
import sessionSource from "../../static/account-session.html" with { type: "text" };
import sessionsSource from "../../static/account-sessions.html" with { type: "text" };
import applicationSource from "../../static/application.html" with { type: "text" };
import startSource from "../../static/start.html" with { type: "text" };
import { documentOf, moment } from "../pages/pages.ts";
import { concat, type Html, template } from "../pages/template.ts";
import { describeDevice } from "../session/device.ts";
import { type SessionRecord, shortId } from "../session/record.ts";
import type { Found } from "../session/session.ts";

/** The pages of whoever is signed in. */

const start = template(startSource, ["email", "applications"]);
const application = template(applicationSource, ["href", "title", "icon", "host"]);
const account = template(accountSource, [
  ...(["email", "groups", "since", "until", "idleUntil", "notice", "sections"] as const),
]);
const section = template(sectionSource, ["id", "heading", "content"]);
const sessions = template(sessionsSource, ["rows", "more", "others"]);
const session = template(sessionSource, ["id", "device", "place", "since", "seen", "isThis"]);
const time = template('<time class="short" datetime="{{isoTime}}">{{utcTime}}</time>', [
  "isoTime",
  "utcTime",
]);

const timeAt = (at: number) => time(moment(at));

/** @param host where it is, for telling applications of one name apart */
export type ApplicationTile = { href: string; title: string; icon: string | undefined; host: string };

/** The applications that somebody may use. */
export function startPage(shown: { email: string; applications: readonly ApplicationTile[] }): string {
  const applications = concat(shown.applications.map(application));
  return documentOf("Applications", start({ email: shown.email, applications }), "wide");
}

export type ShownSection = { readonly id: string; readonly heading: string; readonly content: Html };

/** @param shown.done what was done by a form of the page before this one, by a name that anybody may have put there */
export function accountPage(shown: {
  found: Found;
  sections: readonly ShownSection[];
  done: string | null;
}): string {
  const { record, principal, idleExpiresAt } = shown.found;
  const content = account({
    email: record.email,
    groups: [...principal.groups].join(", "),
    since: timeAt(record.createdAt),
    until: timeAt(record.expiresAt),
    idleUntil: idleExpiresAt < record.expiresAt ? timeAt(idleExpiresAt) : undefined,
    notice: NOTICES.get(shown.done ?? ""),
    sections: concat(shown.sections.map(section)),
  });
  return documentOf("Your account", content, "wide");
}

const NOTICES: ReadonlyMap<string, string> = new Map([
  ["none", "There was nothing left to sign out."],
  ["one", "Signed out there."],
  ["several", "Signed out everywhere else."],
]);

/** @param count how many others there are, shown or not */
export function sessionsPart(own: SessionRecord, others: readonly SessionRecord[], count: number) {
  const hidden = count - others.length;
  const rows = [rowOf(own, true), ...others.map((one) => rowOf(one, false))];
  const content = sessions({
    rows: concat(rows),
    more: hidden === 0 ? undefined : `And ${hidden} more.`,
    others: count === 0 ? undefined : "yes",
  });
  return { heading: "Where you are signed in", content };
}

function rowOf({ id, userAgent, ip, createdAt, seenAt }: SessionRecord, isThis: boolean): Html {
  return session({
    id: shortId(id),
    device: describeDevice(userAgent),
    place: ip,
    since: timeAt(createdAt),
    seen: isThis ? undefined : timeAt(seenAt),
    isThis: isThis ? "yes" : undefined,
  });
}
