import accountSource from "../../static/account.html" with { type: "text" };
import sectionSource from "../../static/account-section.html" with { type: "text" };
import sessionSource from "../../static/account-session.html" with { type: "text" };
import sessionsSource from "../../static/account-sessions.html" with { type: "text" };
import applicationSource from "../../static/application.html" with { type: "text" };
import startSource from "../../static/start.html" with { type: "text" };
import { type Said, said, say } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { documentOf, timeAt } from "../pages/pages.ts";
import { concat, type Html, plain, template } from "../pages/template.ts";
import { describeDevice, recognizeDevice } from "../session/device.ts";
import { type SessionRecord, shortId } from "../session/record.ts";
import type { Found } from "../session/session.ts";
import type { ShownSection } from "./section.ts";

/** The pages of whoever is signed in. */

const start = template(startSource, ["email", "applications"]);
const application = plain(applicationSource, ["href", "title", "icon", "host"]);
const account = template(accountSource, [
  ...(["email", "groups", "since", "until", "idleUntil", "notice", "sections"] as const),
]);
const section = template(sectionSource, ["id", "heading", "content"]);
const sessions = template(sessionsSource, ["rows", "more", "others"]);
const session = template(sessionSource, ["id", "device", "place", "since", "seen", "isThis", "isApproved"]);
/** @param host where it is, for telling applications of one name apart */
export type ApplicationTile = { href: string; title: string; icon: string | undefined; host: string };

/** The applications that somebody may use. */
export function startPage(
  look: Look,
  shown: { email: string; applications: readonly ApplicationTile[] },
): string {
  const applications = concat(shown.applications.map((one) => application(one)));
  const content = start(look.language, { email: shown.email, applications });
  return documentOf(look, said("start.title"), content, { wide: true });
}

export function accountPage(
  look: Look,
  shown: { found: Found; sections: readonly (ShownSection & { readonly id: string })[] },
): string {
  const { language } = look;
  const { record, principal, idleExpiresAt } = shown.found;
  const notice = shown.sections.find((one) => one.notice !== undefined)?.notice;
  const parts = shown.sections.map(({ id, heading, content }) =>
    section(language, { id, heading: say(language, heading), content }),
  );
  const content = account(language, {
    email: record.email,
    groups: [...principal.groups].join(", "),
    since: timeAt(language, record.createdAt),
    until: timeAt(language, record.expiresAt),
    idleUntil: idleExpiresAt < record.expiresAt ? timeAt(language, idleExpiresAt) : undefined,
    notice: notice && say(language, notice),
    sections: concat(parts),
  });
  return documentOf(look, said("account.title"), content, { wide: true });
}

const NOTICES: ReadonlyMap<string, Said> = new Map([
  ["none", said("account.endedNone")],
  ["one", said("account.endedOne")],
  ["several", said("account.endedSeveral")],
]);

/** @param count how many others there are, shown or not */
export function sessionsPart(
  look: Look,
  own: SessionRecord,
  others: readonly SessionRecord[],
  count: number,
  done: string | null,
): ShownSection {
  const { language } = look;
  const hidden = count - others.length;
  const rows = [rowOf(look, own, true), ...others.map((one) => rowOf(look, one, false))];
  const content = sessions(language, {
    rows: concat(rows),
    more: hidden === 0 ? undefined : say(language, said("sessions.more", { count: `${hidden}` })),
    others: count === 0 ? undefined : "yes",
  });
  return { heading: said("sessions.heading"), content, notice: NOTICES.get(done ?? "") };
}

function rowOf({ language }: Look, one: SessionRecord, isThis: boolean): Html {
  return session(language, {
    id: shortId(one.id),
    device: describeDevice(language, recognizeDevice(one.userAgent)),
    place: one.ip,
    since: timeAt(language, one.createdAt),
    seen: isThis ? undefined : timeAt(language, one.seenAt),
    isThis: isThis ? "yes" : undefined,
    isApproved: one.method === "approval" ? "yes" : undefined,
  });
}
