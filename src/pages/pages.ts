import confirmSource from "../../static/confirm.html" with { type: "text" };
import errorSource from "../../static/error.html" with { type: "text" };
import goOnSource from "../../static/go-on.html" with { type: "text" };
import keepSource from "../../static/keep.html" with { type: "text" };
import layoutSource from "../../static/layout.html" with { type: "text" };
import loggedOutSource from "../../static/logged-out.html" with { type: "text" };
import loginSource from "../../static/login.html" with { type: "text" };
import logoutSource from "../../static/logout.html" with { type: "text" };
import mailSource from "../../static/mail.html" with { type: "text" };
import mailboxSource from "../../static/mailbox.html" with { type: "text" };
import sentSource from "../../static/sent.html" with { type: "text" };
import { assetPath } from "./assets.ts";
import { said, say, spoken, type Text } from "./language.ts";
import type { Look } from "./look.ts";
import { loginHref } from "./paths.ts";
import { concat, type Html, plain, template, toText } from "./template.ts";

/**
 * Runegate's own pages. Each function gives a complete document; all text is escaped on its way in. They work without
 * script and under a Content-Security-Policy that allows nothing but this origin's own files.
 */

const layout = template(layoutSource, [
  ...(["title", "content", "wide", "style", "script", "logo", "icon", "tag", "direction"] as const),
]);
const login = template(loginSource, ["next", "email", "error", "notice", "keep", "waysIn"]);
const keepTemplate = template(keepSource, ["checked"]);
const sent = template(sentSource, [
  ...(["email", "lifetime", "minutes", "error", "goOn", "again", "mailbox", "before"] as const),
]);
const confirm = template(confirmSource, ["email", "token", "isoTime", "utcTime", "from", "again", "keep"]);
const goOn = template(goOnSource, ["href", "host"]);
const logout = template(logoutSource, ["email"]);
const loggedOut = template(loggedOutSource, []);
const failure = template(errorSource, [
  "status",
  "title",
  "message",
  "requestId",
  "actionHref",
  "actionLabel",
  "seconds",
]);
const mailbox = template(mailboxSource, ["mails", "still"]);
const mail = template(mailSource, ["to", "subject", "text", "html", "isoTime", "utcTime", "link", "code"]);

/**
 * Asks for an address. `next` is left out of the form when empty.
 * @param shown.keep whether the browser is to be kept signed in, as it was answered; undefined where that is not asked.
 */
export function loginPage(
  look: Look,
  shown: {
    next: string;
    email?: string | undefined;
    error?: Text | undefined;
    notice?: Text | undefined;
    keep?: boolean | undefined;
    waysIn?: readonly Html[];
  },
): string {
  const { language } = look;
  const [error, notice] = [say(language, shown.error ?? ""), say(language, shown.notice ?? "")];
  const keep = keepBox(look, shown.keep);
  const waysIn = concat(shown.waysIn ?? []);
  const content = login(language, { email: "", ...shown, error, notice, keep, waysIn });
  return documentOf(look, said("login.title"), content);
}

function keepBox({ language }: Look, checked: boolean | undefined): Html | undefined {
  return checked === undefined ? undefined : keepTemplate(language, { checked: flag(checked) });
}

/**
 * Says that a mail may be on its way, without telling whether it is, and takes its code. With script, it goes on to
 * `next` by itself once the link was opened in another tab.
 * @param shown.mailbox whether mail is in the development mailbox, to which the page then leads.
 * @param shown.before when whoever signs in again did so before, as `/session` says it.
 */
export function sentPage(
  look: Look,
  shown: {
    email: string;
    expiryMinutes: number;
    error?: Text | undefined;
    next: string;
    mailbox?: boolean | undefined;
    before?: string | undefined;
  },
): string {
  const { language } = look;
  const minutes = `${shown.expiryMinutes}`;
  const lifetime = spoken(language, { amount: shown.expiryMinutes, unit: "minute" });
  const error = say(language, shown.error ?? "");
  const { next, before } = shown;
  const again = loginHref(next, before !== undefined);
  // The login page knows the way to other hosts, and to the landing path.
  const goOn = next.startsWith("/") ? next : loginHref(next);
  const values = { before, ...shown, error, minutes, lifetime, again, goOn, mailbox: flag(shown.mailbox) };
  return documentOf(look, said("code.title"), sent(language, values));
}

/** After a form, for what is on another host. The page goes on by itself, if it may. */
export function goOnPage(look: Look, { href }: { href: string }): string {
  return documentOf(look, said("goOn.title"), goOn(look.language, { href, host: new URL(href).host }));
}

/**
 * For a link opened in another browser than the one that asked.
 * @param shown.requestedAt milliseconds since the Unix epoch
 * @param shown.from where the link was asked for, in words
 */
export function confirmPage(
  look: Look,
  shown: {
    email: string;
    token: string;
    requestedAt: number;
    from: string;
    next?: string | undefined;
    keep?: boolean | undefined;
  },
): string {
  const again = loginHref(shown.next ?? "");
  const keep = keepBox(look, shown.keep);
  const content = confirm(look.language, { ...shown, ...moment(shown.requestedAt), again, keep });
  return documentOf(look, said("confirm.title"), content);
}

/** The button that signs out; without `email`, word that nobody is signed in. */
export function logoutPage(look: Look, { email }: { email?: string | undefined }): string {
  return documentOf(look, said("logout.title"), logout(look.language, { email }));
}

export function loggedOutPage(look: Look): string {
  return documentOf(look, said("loggedOut.title"), loggedOut(look.language, {}));
}

/**
 * @param shown.requestId what a visitor can quote and an operator find in the log
 * @param shown.retrySeconds after how long the page is asked for again by itself, which its `message` advises to do
 */
export function errorPage(
  look: Look,
  shown: {
    status: number;
    title: Text;
    message: Text;
    requestId: string;
    action?: { href: string; label: Text } | undefined;
    retrySeconds?: number | undefined;
  },
): string {
  const { language } = look;
  const content = failure(language, {
    title: say(language, shown.title),
    message: say(language, shown.message),
    requestId: shown.requestId,
    status: `${shown.status}`,
    actionHref: shown.action?.href,
    actionLabel: say(language, shown.action?.label ?? ""),
    seconds: shown.retrySeconds?.toString(),
  });
  return documentOf(look, shown.title, content);
}

/** One mail of the development mailbox. */
export type MailboxMail = {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** A whole document. It is shown in a frame without script, forms, and an origin. */
  readonly html?: string | undefined;
  /** When it was queued, milliseconds since the Unix epoch. */
  readonly at: number;
  /** The login link in the text, if there is one. */
  readonly link?: string | undefined;
  /** The login code in the text, as shown: XXXX-XXXX. */
  readonly code?: string | undefined;
};

/**
 * The development mailbox, newest mail first, in whatever order they are given.
 * @param still whether it is loaded again only when asked to.
 */
export function mailboxPage(
  look: Look,
  { mails, still }: { mails: readonly MailboxMail[]; still?: boolean },
): string {
  const { language } = look;
  const newestFirst = mails.toSorted((a, b) => b.at - a.at);
  const articles = newestFirst.map(({ to, subject, text, html, at, link, code }) =>
    mail(language, { to, subject, text, html: html && LEAVE_FRAME + html, ...moment(at), link, code }),
  );
  const content = mailbox(language, { mails: concat(articles), still: flag(still) });
  return documentOf(look, said("mailbox.title"), content, "wide");
}

/** The link in a mail leads out of the frame that the mail is shown in. */
const LEAVE_FRAME = '<!doctype html><base target="_top">';

/** For `#if`. */
function flag(value: boolean | undefined): string {
  return value === true ? "yes" : "";
}

/** A page of its own content in the frame that all have. */
export function documentOf(look: Look, title: Text, content: Html, wide?: "wide"): string {
  const { language } = look;
  const document = layout(language, {
    title: say(language, title),
    tag: language.tag,
    direction: language.direction,
    content,
    wide,
    style: assetPath("style.css"),
    script: assetPath("app.js"),
    logo: assetPath("logo.svg"),
    icon: assetPath("icon.png"),
  });
  return toText(document);
}

const time = plain('<time class="short" datetime="{{isoTime}}">{{utcTime}}</time>', ["isoTime", "utcTime"]);

/** A time, milliseconds since the Unix epoch, that is shown in the browser's own zone where script runs. */
export function timeAt(at: number): Html {
  return time(moment(at));
}

function moment(at: number): { isoTime: string; utcTime: string } {
  const date = new Date(at);
  return { isoTime: date.toISOString(), utcTime: date.toUTCString().replace("GMT", "UTC") };
}
