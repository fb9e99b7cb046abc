import applicationSource from "../../static/application.html" with { type: "text" };
import confirmSource from "../../static/confirm.html" with { type: "text" };
import errorSource from "../../static/error.html" with { type: "text" };
import goOnSource from "../../static/go-on.html" with { type: "text" };
import layoutSource from "../../static/layout.html" with { type: "text" };
import loggedOutSource from "../../static/logged-out.html" with { type: "text" };
import loginSource from "../../static/login.html" with { type: "text" };
import logoutSource from "../../static/logout.html" with { type: "text" };
import mailSource from "../../static/mail.html" with { type: "text" };
import mailboxSource from "../../static/mailbox.html" with { type: "text" };
import sentSource from "../../static/sent.html" with { type: "text" };
import startSource from "../../static/start.html" with { type: "text" };
import { assetPath } from "./assets.ts";
import { loginHref } from "./paths.ts";
import { concat, type Html, template, toText } from "./template.ts";

/**
 * Runegate's own pages. Each function gives a complete document; all text is escaped on its way in. They work without
 * script and under a Content-Security-Policy that allows nothing but this origin's own files.
 */

const layout = template(layoutSource, ["title", "content", "wide", "style", "script", "logo", "icon"]);
const login = template(loginSource, ["next", "email", "error", "notice"]);
const sent = template(sentSource, [
  ...(["email", "expiry", "minutes", "error", "goOn", "again", "mailbox", "before", "refusing"] as const),
]);
const confirm = template(confirmSource, ["email", "token", "isoTime", "utcTime", "from", "again"]);
const goOn = template(goOnSource, ["href", "host"]);
const start = template(startSource, ["email", "applications"]);
const application = template(applicationSource, ["href", "title", "icon", "host"]);
const logout = template(logoutSource, ["email"]);
const loggedOut = template(loggedOutSource, []);
const failure = template(errorSource, [
  "status",
  "title",
  "message",
  "requestId",
  "actionHref",
  "actionLabel",
  "retrySeconds",
]);
const mailbox = template(mailboxSource, ["mails", "still"]);
const mail = template(mailSource, ["to", "subject", "text", "html", "isoTime", "utcTime", "link", "code"]);

/** Asks for an address. `next` is left out of the form when empty. */
export function loginPage(shown: {
  next: string;
  email?: string | undefined;
  error?: string | undefined;
  notice?: string | undefined;
}): string {
  return documentOf("Sign in", login({ email: "", error: "", notice: "", ...shown }));
}

/**
 * Says that a mail may be on its way, without telling whether it is, and takes its code. With script, it goes on to
 * `next` by itself once the link was opened in another tab.
 * @param shown.mailbox whether mail is in the development mailbox, to which the page then leads.
 * @param shown.refusing the domain of the address, if mail to it has come back lately.
 * @param shown.before when whoever signs in again did so before, as `/session` says it.
 */
export function sentPage(shown: {
  email: string;
  expiryMinutes: number;
  error?: string | undefined;
  next: string;
  mailbox?: boolean | undefined;
  before?: string | undefined;
  refusing?: string | undefined;
}): string {
  const minutes = `${shown.expiryMinutes}`;
  const expiry = minutes === "1" ? "1 minute" : `${minutes} minutes`;
  const { next, before } = shown;
  const again = loginHref(next, before !== undefined);
  // The login page knows the way to other hosts, and to the landing path.
  const goOn = next.startsWith("/") ? next : loginHref(next);
  return documentOf(
    "Check your mail",
    sent({
      error: "",
      before,
      refusing: "",
      ...shown,
      minutes,
      expiry,
      again,
      goOn,
      mailbox: flag(shown.mailbox),
    }),
  );
}

/** After a form, for what is on another host. The page goes on by itself, if it may. */
export function goOnPage({ href }: { href: string }): string {
  return documentOf("Signed in", goOn({ href, host: new URL(href).host }));
}

/** @param host where it is, for telling applications of one name apart */
export type ApplicationTile = { href: string; title: string; icon: string | undefined; host: string };

/** The applications that somebody may use. */
export function startPage(shown: { email: string; applications: readonly ApplicationTile[] }): string {
  const applications = concat(shown.applications.map(application));
  return documentOf("Applications", start({ email: shown.email, applications }), "wide");
}

/**
 * For a link opened in another browser than the one that asked.
 * @param shown.requestedAt milliseconds since the Unix epoch
 * @param shown.from where the link was asked for, in words
 */
export function confirmPage(shown: {
  email: string;
  token: string;
  requestedAt: number;
  from: string;
  next?: string | undefined;
}): string {
  const again = loginHref(shown.next ?? "");
  return documentOf("Confirm sign-in", confirm({ ...shown, ...moment(shown.requestedAt), again }));
}

/** The button that signs out; without `email`, word that nobody is signed in. */
export function logoutPage({ email }: { email?: string | undefined }): string {
  return documentOf("Sign out", logout({ email }));
}

export function loggedOutPage(): string {
  return documentOf("Signed out", loggedOut({}));
}

/**
 * @param shown.requestId what a visitor can quote and an operator find in the log
 * @param shown.retrySeconds after how long the page is asked for again by itself, which its `message` advises to do
 */
export function errorPage(shown: {
  status: number;
  title: string;
  message: string;
  requestId: string;
  action?: { href: string; label: string } | undefined;
  retrySeconds?: number | undefined;
}): string {
  const content = failure({
    ...shown,
    status: `${shown.status}`,
    actionHref: shown.action?.href,
    actionLabel: shown.action?.label,
    retrySeconds: shown.retrySeconds?.toString(),
  });
  return documentOf(shown.title, content);
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
export function mailboxPage({ mails, still }: { mails: readonly MailboxMail[]; still?: boolean }): string {
  const newestFirst = mails.toSorted((a, b) => b.at - a.at);
  const articles = newestFirst.map(({ to, subject, text, html, at, link, code }) =>
    mail({ to, subject, text, html: html && LEAVE_FRAME + html, ...moment(at), link, code }),
  );
  return documentOf("Mailbox", mailbox({ mails: concat(articles), still: flag(still) }), "wide");
}

/** The link in a mail leads out of the frame that the mail is shown in. */
const LEAVE_FRAME = '<!doctype html><base target="_top">';

/** For `#if`. */
function flag(value: boolean | undefined): string {
  return value === true ? "yes" : "";
}

/** A page of its own content in the frame that all have. */
export function documentOf(title: string, content: Html, wide?: "wide"): string {
  const document = layout({
    title,
    content,
    wide,
    style: assetPath("style.css"),
    script: assetPath("app.js"),
    logo: assetPath("logo.svg"),
    icon: assetPath("icon.png"),
  });
  return toText(document);
}

function moment(at: number): { isoTime: string; utcTime: string } {
  const date = new Date(at);
  return { isoTime: date.toISOString(), utcTime: date.toUTCString().replace("GMT", "UTC") };
}
