import codeSource from "../../static/code.html" with { type: "text" };
import confirmSource from "../../static/confirm.html" with { type: "text" };
import errorSource from "../../static/error.html" with { type: "text" };
import goOnSource from "../../static/go-on.html" with { type: "text" };
import keepSource from "../../static/keep.html" with { type: "text" };
import keptSource from "../../static/kept.html" with { type: "text" };
import languageSource from "../../static/language.html" with { type: "text" };
import languagesSource from "../../static/languages.html" with { type: "text" };
import layoutSource from "../../static/layout.html" with { type: "text" };
import linkSource from "../../static/link.html" with { type: "text" };
import loggedOutSource from "../../static/logged-out.html" with { type: "text" };
import loginSource from "../../static/login.html" with { type: "text" };
import logoutSource from "../../static/logout.html" with { type: "text" };
import mailSource from "../../static/mail.html" with { type: "text" };
import mailboxSource from "../../static/mailbox.html" with { type: "text" };
import timeSource from "../../static/time.html" with { type: "text" };
import { assetPath } from "./assets.ts";
import { inUtc, type Language, said, say, type Text } from "./language.ts";
import { findLanguage, LANGUAGES } from "./languages.ts";
import type { Look } from "./look.ts";
import { ACTING_PATH, loginHref } from "./paths.ts";
import { concat, type Html, marked, plain, template, toText } from "./template.ts";

/**
 * Runegate's own pages. Each function gives a complete document; all text is escaped on its way in. They work without
 * script and under a Content-Security-Policy that allows nothing but this origin's own files.
 */

const layout = template(layoutSource, [
  ...(["title", "content", "wide", "style", "script", "logo", "icon", "tag", "direction"] as const),
  ...(["app", "host", "sign", "signingIn", "contact", "styles", "menu", "refresh", "acting"] as const),
]);
const languageMenu = template(languagesSource, ["language", "back", "choices"]);
const languageChoice = plain(languageSource, ["tag", "direction", "name", "current"]);
const login = template(loginSource, [
  "next",
  "email",
  "error",
  "notice",
  "kept",
  "underWay",
  "keep",
  "beforeAsk",
  "waysIn",
]);
const keepTemplate = template(keepSource, ["checked"]);
const code = template(codeSource, [
  ...([
    "state",
    "heading",
    "notice",
    "waiting",
    "email",
    "sender",
    "subject",
    "until",
    "secondsLeft",
  ] as const),
  ...([
    "refusing",
    "mailbox",
    "letters",
    "error",
    "againSeconds",
    "askAt",
    "another",
    "message",
    "next",
    "label",
  ] as const),
]);
const link = template(linkSource, [
  "title",
  "message",
  "who",
  "email",
  "next",
  "label",
  "requestId",
  "status",
]);
const styleSheet = plain(`<link rel="stylesheet" href="{{href}}">\n`, ["href"]);
const mailLink = plain(`<a href="mailto:{{address}}">{{address}}</a>`, ["address"]);
const time = plain(timeSource, ["isoTime", "short", "utcTime"]);
const confirm = template(confirmSource, [
  ...(["email", "token", "isoTime", "utcTime", "from", "again", "who", "error", "keep"] as const),
]);
const goOn = template(goOnSource, ["href", "host"]);
const kept = template(keptSource, ["target", "fields", "id", "next"]);
const field = plain("<li>{{name}}</li>\n", ["name"]);
const logout = template(logoutSource, ["email"]);
const loggedOut = template(loggedOutSource, ["note"]);
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
 * Asks for an address. `next` is left out of the form when empty; `underWay` is the address, masked, of a login that is.
 * @param shown.keep whether the browser is to be kept signed in, as it was answered; undefined where that is not asked.
 */
export function loginPage(
  look: Look,
  shown: {
    next: string;
    email?: string | undefined;
    error?: Text | undefined;
    notice?: Text | undefined;
    kept?: Text | undefined;
    underWay?: string | undefined;
    keep?: boolean | undefined;
    beforeAsk?: readonly Html[];
    waysIn?: readonly Html[];
  },
): string {
  const { language } = look;
  const [error, notice] = [say(language, shown.error ?? ""), say(language, shown.notice ?? "")];
  const kept = say(language, shown.kept ?? "");
  const content = login(language, {
    ...{ email: "", underWay: "", ...shown, error, notice, kept },
    keep: keepBox(look, shown.keep),
    beforeAsk: concat(shown.beforeAsk ?? []),
    waysIn: concat(shown.waysIn ?? []),
  });
  return documentOf(look, said("login.title"), content, { signingIn: true });
}

function keepBox({ language }: Look, checked: boolean | undefined): Html | undefined {
  return checked === undefined ? undefined : keepTemplate(language, { checked: flag(checked) });
}

/** A login under way, as its page shows it. Times are milliseconds since the Unix epoch. */
export type CodePage = {
  readonly state: "waiting" | "used_up" | "used" | "expired";
  readonly email: string;
  /** Empty for the landing path. */
  readonly next: string;
  readonly now: number;
  readonly expiresAt: number;
  readonly triesLeft: number;
  /** When the mail may be sent again; undefined if not at all: then there may be a new one at `askAt`. */
  readonly againAt: number | undefined;
  readonly askAt: number;
  readonly use: { readonly at: number | undefined; readonly device: string } | undefined;
  /** Whom the mail is from; undefined where none leaves the machine. */
  readonly sender: string | undefined;
  readonly subject: string;
  readonly letters: boolean;
  /** Whether mail is in the development mailbox, to which the page then leads. */
  readonly mailbox: boolean;
  /** The domain of the address, if mail to it has come back lately. */
  readonly refusing?: string | undefined;
  readonly tries: number;
  readonly error?: Text | undefined;
  readonly notice?: Text | undefined;
};

/**
 * Says that a mail may be on its way, without telling whether it is, and takes its code; or that the login has come to an end. With
 * script, it changes by itself when the login does.
 */
export function codePage(look: Look, shown: CodePage): string {
  const { language } = look;
  const { state, email, now, expiresAt, use, againAt } = shown;
  const words = {
    waiting: [said("code.heading"), "", said("code.sendNew")],
    used_up: [said("code.heading"), said("code.usedUp"), said("code.sendNew")],
    used: [said("link.usedTitle"), "", said("code.sendNew")],
    expired: [said("link.expiredTitle"), "", said("link.sendAnother", { email })],
  } as const;
  const [heading, message, label] = words[state];
  const wrong = shown.triesLeft < shown.tries && said("code.wrongTries", { count: `${shown.triesLeft}` });
  const error = shown.error ?? (state === "waiting" && shown.notice === undefined && wrong) ?? "";
  const content = code(language, {
    state,
    heading: say(language, heading),
    notice: say(language, shown.notice ?? ""),
    waiting: flag(state === "waiting"),
    email,
    sender: shown.sender,
    subject: shown.subject,
    until: clockTime(language, expiresAt, now),
    // Not the times themselves: a visitor's clock may be wrong.
    secondsLeft: secondsTo(expiresAt, now),
    refusing: shown.refusing,
    mailbox: flag(shown.mailbox),
    letters: flag(shown.letters),
    error: say(language, error || ""),
    againSeconds: againAt === undefined ? "" : secondsTo(againAt, now),
    askAt: clockTime(language, shown.askAt, now),
    another: loginHref(shown.next),
    message:
      state === "expired"
        ? marked(language, "link.expired", { time: clockTime(language, expiresAt, now) })
        : state === "used"
          ? usedAt(look, use, now)
          : say(language, message),
    next: shown.next,
    label: say(language, label),
  });
  return documentOf(look, heading, content, { signingIn: true });
}

function usedAt({ language }: Look, use: CodePage["use"], now: number): Html | string {
  if (use?.at === undefined) return say(language, said("link.usedSometime"));
  return marked(language, "link.used", { time: clockTime(language, use.at, now), device: use.device });
}

/** Why a link does not sign in, and the way on. */
export function linkPage(
  look: Look,
  shown: {
    readonly outcome: "used" | "expired" | "withdrawn" | "not_ours";
    /** Whom it was for; undefined where nobody knows. */
    readonly email: string | undefined;
    readonly next: string;
    /** Who is signed in instead. */
    readonly who: string | undefined;
    readonly expiresAt: number;
    readonly use: CodePage["use"];
    /** How often it was good, if not once. */
    readonly uses?: number | undefined;
    readonly now: number;
    readonly requestId: string;
  },
): string {
  const { language } = look;
  const { outcome, email, who, now } = shown;
  const titles = {
    used: said("link.usedTitle"),
    expired: said("link.expiredTitle"),
    withdrawn: said("link.failed"),
    not_ours: said("link.notOurs"),
  } as const;
  const message =
    outcome === "used"
      ? shown.uses === undefined
        ? usedAt(look, shown.use, now)
        : say(language, said("link.usedAll", { count: `${shown.uses}` }))
      : outcome === "expired"
        ? marked(language, "link.expired", { time: clockTime(language, shown.expiresAt, now) })
        : say(language, said(outcome === "withdrawn" ? "link.withdrawn" : "link.notOursHow"));
  const way = said(who === undefined ? "link.sendAnother" : "link.switch", { email: email ?? "" });
  const { next, requestId } = shown;
  const values = {
    title: say(language, titles[outcome]),
    message,
    who,
    email,
    next,
    requestId,
    status: "401",
  };
  const content = link(language, { ...values, label: say(language, way) });
  return documentOf(look, titles[outcome], content, { signingIn: true });
}

/** After a form, for what is on another host. The page goes on by itself, if it may. */
export function goOnPage(look: Look, { href }: { href: string }): string {
  return documentOf(look, said("goOn.title"), goOn(look.language, { href, host: new URL(href).host }));
}

/**
 * For a link opened in another browser than the one that asked.
 * @param shown.requestedAt milliseconds since the Unix epoch
 * @param shown.from where the link was asked for, in words
 * @param shown.who who is signed in already, if that is somebody else
 */
export function confirmPage(
  look: Look,
  shown: {
    email: string;
    token: string;
    requestedAt: number;
    from: string;
    next?: string | undefined;
    who?: string | undefined;
    error?: Text | undefined;
    keep?: boolean | undefined;
  },
): string {
  const { language } = look;
  const again = loginHref(shown.next ?? "");
  const error = say(language, shown.error ?? "");
  const content = confirm(language, {
    ...{ who: "", ...shown, ...moment(language, shown.requestedAt), again, error },
    keep: keepBox(look, shown.keep),
  });
  return documentOf(look, said("confirm.title"), content, { signingIn: true });
}

/**
 * What somebody was about to send, and the two things to do with it.
 * @param shown.post undefined where it was somebody else's.
 */
export function keptPage(
  look: Look,
  shown: {
    readonly post:
      | { readonly id: string; readonly target: string; readonly fields: readonly string[] }
      | undefined;
    readonly next: string;
  },
): string {
  const { post, next } = shown;
  const fields = concat((post?.fields ?? []).map((name) => field({ name })));
  const content = kept(look.language, { target: post?.target, id: post?.id, fields, next });
  return documentOf(look, said("kept.title"), content);
}

/** The button that signs out; without `email`, word that nobody is signed in. */
export function logoutPage(look: Look, { email }: { email?: string | undefined }): string {
  return documentOf(look, said("logout.title"), logout(look.language, { email }));
}

/** @param note what else has ended, for an administrator who acted as somebody else */
export function loggedOutPage(look: Look, note?: string): string {
  return documentOf(look, said("loggedOut.title"), loggedOut(look.language, { note }));
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
    mail(language, {
      to,
      subject,
      text,
      html: html && LEAVE_FRAME + html,
      ...moment(language, at),
      link,
      code,
    }),
  );
  const content = mailbox(language, { mails: concat(articles), still: flag(still) });
  return documentOf(look, said("mailbox.title"), content, { wide: true });
}

/** The link in a mail leads out of the frame that the mail is shown in. */
const LEAVE_FRAME = '<!doctype html><base target="_top">';

/** For `#if`. */
function flag(value: boolean | undefined): string {
  return value === true ? "yes" : "";
}

/** A page of its own content in the frame that all have. */
export function documentOf(
  look: Look,
  title: Text,
  content: Html,
  {
    wide = false,
    signingIn = false,
    refresh,
  }: {
    readonly wide?: boolean;
    readonly signingIn?: boolean;
    /** Seconds after which it is loaded again, where there is no script that looks whether that is of use. */
    readonly refresh?: number;
  } = {},
): string {
  const { language, app, host, sign, contact, logo, styles } = look;
  const document = layout(language, {
    title: say(language, title),
    tag: language.tag,
    direction: language.direction,
    content,
    app,
    // Said once where the application goes by its host.
    host: host === app ? "" : host,
    sign,
    signingIn: flag(signingIn),
    contact: contact === undefined ? "" : contactOf(contact),
    menu: menuOf(look),
    acting: look.acting ? ACTING_PATH : "",
    styles: concat(styles.map((href) => styleSheet({ href }))),
    wide: flag(wide),
    refresh: refresh?.toString(),
    style: assetPath("style.css"),
    script: assetPath("app.js"),
    logo: logo ?? assetPath("logo.svg"),
    icon: assetPath("icon.png"),
  });
  return toText(document);
}

function menuOf({ language, back }: Look): Html | undefined {
  if (back === undefined) return undefined;
  const choices = LANGUAGES.map(({ tag, direction, name }) =>
    languageChoice({ tag, direction, name, current: flag(tag === language.tag) }),
  );
  const { name = "" } = findLanguage(language.tag) ?? {};
  return languageMenu(language, { language: name, back, choices: concat(choices) });
}

function contactOf(contact: string): Html | string {
  return /^[^\s@]+@[^\s@]+$/.test(contact) ? mailLink({ address: contact }) : contact;
}

export function secondsTo(at: number, now: number): string {
  return String(Math.max(0, Math.ceil((at - now) / 1000)));
}

const HALF_A_DAY = 12 * 60 * 60_000;

/** A time of day, or of some other day with its date. A script makes it the visitor's own. */
export function clockTime(language: Language, at: number, now: number): Html {
  const isNear = Math.abs(at - now) < HALF_A_DAY;
  const isoTime = new Date(at).toISOString();
  return time({
    isoTime,
    short: flag(isNear),
    utcTime: inUtc(language, at, isNear ? "time" : "date and time"),
  });
}

/** A time, milliseconds since the Unix epoch, with its date. A script makes it the visitor's own. */
export function timeAt(language: Language, at: number): Html {
  return time({ ...moment(language, at), short: "" });
}

function moment(language: Language, at: number): { isoTime: string; utcTime: string } {
  return { isoTime: new Date(at).toISOString(), utcTime: inUtc(language, at) };
}
