import { accountPage, sessionsPart, startPage } from "../../src/account/pages.ts";
import { approvePage, decidedPage, enterCodePage, screenPage } from "../../src/approval/pages.ts";
import type { Approval } from "../../src/approval/record.ts";
import { devicesPart, notMeDonePage, notMePage } from "../../src/devices/pages.ts";
import { askedMail, endsSoonMail, grantedMail, invitedMail, refusedMail } from "../../src/grants/mails.ts";
import { askPage, requestsPage, type Standing } from "../../src/grants/pages.ts";
import { parseAddress } from "../../src/identity/address.ts";
import type { Principal } from "../../src/identity/principal.ts";
import { keySection, keysPage, madePage } from "../../src/keys/page.ts";
import type { ApiKey } from "../../src/keys/record.ts";
import { renderLoginMail } from "../../src/mail/message.ts";
import { renderNotice } from "../../src/mail/notice.ts";
import { type Said, said } from "../../src/pages/language.ts";
import type { Look } from "../../src/pages/look.ts";
import {
  type CodePage,
  codePage,
  confirmPage,
  errorPage,
  goOnPage,
  keptPage,
  linkPage,
  loggedOutPage,
  loginPage,
  logoutPage,
  mailboxPage,
} from "../../src/pages/pages.ts";
import { passkeysPart } from "../../src/passkeys/pages.ts";
import type { SessionRecord } from "../../src/session/record.ts";

/** Every page and mail in each of its states, as somebody might see it. What is not ours to say comes from {@link SAMPLE}. */

const AT = Date.UTC(2026, 2, 14, 9, 26, 53);
const DAY = 24 * 60 * 60_000;

export const SAMPLE = {
  email: parseAddress("ada.lovelace@example.org"),
  other: "charles@example.org",
  device: "Firefox · Windows",
  host: "grafana.example.org",
  title: "Grafana",
  sender: "login@example.org",
  id: "r7x-1c",
  token: "rgk_4f0c19ab2e_81b7d8c6a0",
  curl: "curl -H 'Authorization: Bearer rgk_4f0c19ab2e_81b7d8c6a0' 'https://grafana.example.org/'",
  path: "/wiki/edit",
  field: "comment",
  phone: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Version/17.4 Mobile Safari/604.1",
} as const;

const { email } = SAMPLE;
const use = { at: AT, device: SAMPLE.device };

const SESSION: SessionRecord = {
  ...{
    id: "s",
    email,
    createdAt: AT,
    provenAt: AT,
    expiresAt: AT + 14 * DAY,
    seenAt: AT + DAY,
    rested: 0,
    method: "link",
  },
  ...{ groups: "", brief: false, bound: "", ip: "2001:db8::7334", userAgent: SAMPLE.phone, seal: "" },
};

const KEY: ApiKey = {
  ...{ id: "4f0c19ab2e", previousUntil: AT + DAY, owner: email, description: "4711", createdAt: AT },
  ...{ createdBy: email, expiresAt: AT + 90 * DAY, disabledAt: null, disabledBy: null, routes: ["grafana"] },
  ...{ methods: ["GET"], paths: [`${SAMPLE.path}/*`], networks: ["10.0.0.0/8"], rate: 60, warned: false },
  ...{ usedAt: AT, usedFrom: "203.0.113.0/24" },
};

const APPROVAL: Approval = {
  ...{
    browser: "b",
    next: "/",
    ip: "203.0.113.4",
    userAgent: SAMPLE.phone,
    askedAt: AT,
    expiresAt: AT + 300_000,
  },
  ...{ number: "42", numbers: "17 42 88", state: "waiting", email: "", session: "", keep: false, seal: "" },
};

export function pagesIn(look: Look): Record<string, string> {
  const code = (changes: Partial<CodePage> = {}) =>
    codePage(look, {
      ...{ state: "waiting", email, next: "/a?b=1&c", now: AT, expiresAt: AT + 900_000 },
      ...{ triesLeft: 5, tries: 5, againAt: AT, askAt: AT + 300_000, use: undefined },
      ...{ sender: SAMPLE.sender, subject: "•••• ••••", letters: false, mailbox: false, ...changes },
    });
  const refused = (changes: Partial<Parameters<typeof linkPage>[1]>) =>
    linkPage(look, {
      ...{ outcome: "expired", email, next: "/a", who: undefined, expiresAt: AT, use: undefined },
      ...{ now: AT + 60_000, requestId: SAMPLE.id, ...changes },
    });
  const error = (changes: Partial<Parameters<typeof errorPage>[1]> = {}) =>
    errorPage(look, {
      ...{ status: 404, title: said("notFound.title"), message: said("notFound.message") },
      ...{ requestId: SAMPLE.id, action: { href: "/", label: said("error.start") }, ...changes },
    });
  const keys = (changes: Partial<Parameters<typeof keysPage>[1]> = {}) =>
    keysPage(look, {
      ...{ email, keys: [], titleOf: () => SAMPLE.title, again: undefined },
      routes: [{ name: "grafana", title: SAMPLE.title }],
      lives: [
        ["7d", said("keys.lifeWeek")],
        ["90d", said("keys.lifeQuarter")],
      ],
      ...changes,
    });
  const screen = (state: "waiting" | "shown" | "expired") =>
    screenPage(look, {
      ...{ state, code: "ABCD2345", number: "42", expiresAt: AT + 300_000, next: "/", now: AT },
      ...{ address: SAMPLE.host, qr: undefined },
    } as Parameters<typeof screenPage>[1]);
  const ask = (state: Standing, more: { error?: Said; reason?: string } = {}) =>
    askPage(look, { state, email, name: "grafana", title: SAMPLE.title, href: "/", ...more });
  const others = [SESSION, { ...SESSION, userAgent: "" }, { ...SESSION, userAgent: "Mozilla/5.0" }];
  const account = (done: string | null, mayAdd: boolean) =>
    accountPage(look, {
      found: {
        principal: { groups: new Set(["4711"]) } as unknown as Principal & {
          subject: { email: typeof email };
        },
        ...{ record: SESSION, idleExpiresAt: AT + DAY },
      },
      sections: [
        { id: "sessions", ...sessionsPart(look, SESSION, others, 7, done) },
        {
          ...{ id: "passkeys", heading: said("passkeys.heading") },
          content: passkeysPart(look, {
            passkeys: [false, true].map((synced) => ({
              ...{ id: "p", expiresAt: AT, version: 0 },
              record: {
                ...{ email, user: "", publicKey: "", counter: 0, synced, name: SAMPLE.device },
                ...{ createdAt: AT, usedAt: synced ? AT : 0, seal: "" },
              },
            })),
            ...{ again: mayAdd ? undefined : "/", device: SAMPLE.device },
          }),
        },
        { id: "keys", heading: said("keys.heading"), content: keySection(look, 2) },
        {
          ...{ id: "devices", heading: said("devices.heading") },
          content: devicesPart(
            look,
            [0, 1].map((n) => ({
              ...{ id: `d${n}`, expiresAt: AT, version: 0 },
              record: { email, device: `${n}`, seenAt: AT, userAgent: SAMPLE.phone },
            })),
            ...(["0", true] as const),
          ),
        },
      ],
    });
  return {
    login: loginPage(look, { next: "/a", keep: false }),
    "login, after a mistake": loginPage(look, {
      ...{ next: "/a", email: "ada", error: said("address.not_one_at"), keep: true },
    }),
    "login, under way": loginPage(look, {
      ...{ next: "", underWay: SAMPLE.email, notice: said("login.strayed") },
      kept: said("login.kept", { lifetime: { amount: 15, unit: "minute" } }),
    }),
    code: code(),
    "code, to the mailbox": code({ mailbox: true, letters: true, refusing: SAMPLE.host }),
    "code, tries left": code({ triesLeft: 1 }),
    "code, sent again": code({ againAt: undefined, notice: said("code.sentAgain") }),
    "code, used up": code({ state: "used_up", triesLeft: 0 }),
    "code, expired": code({ state: "expired", now: AT + 900_000 }),
    "code, used": code({ state: "used", use }),
    "code, used, nobody knows when": code({ state: "used", use: { at: undefined, device: "" } }),
    "link, used": refused({ outcome: "used", use }),
    "link, used by somebody else": refused({ outcome: "used", who: SAMPLE.other }),
    "link, expired": refused({ outcome: "expired" }),
    "link, expired long ago": refused({ outcome: "expired", now: AT + 3 * DAY }),
    "link, not ours": refused({ outcome: "not_ours", email: undefined }),
    "link, withdrawn": refused({ outcome: "withdrawn", email: undefined }),
    confirm: confirmPage(look, {
      ...{ email, token: "t", requestedAt: AT, from: `203.0.113.4, ${SAMPLE.device}`, who: SAMPLE.other },
      ...{ error: said("code.wrong"), keep: false },
    }),
    "go on": goOnPage(look, { href: `https://${SAMPLE.host}/a` }),
    kept: keptPage(look, { post: { id: "i", target: SAMPLE.path, fields: [SAMPLE.field] }, next: "/" }),
    "kept, somebody else's": keptPage(look, { post: undefined, next: "/" }),
    logout: logoutPage(look, { email }),
    "logout, nobody": logoutPage(look, {}),
    "logged out": loggedOutPage(look),
    start: startPage(look, {
      ...{ email },
      applications: [{ href: "/", title: SAMPLE.title, icon: "📈", host: SAMPLE.host }],
    }),
    "start, nothing": startPage(look, { email, applications: [] }),
    account: account(null, true),
    "account, something done": account("several", false),
    keys: keys({
      keys: (["active", "unused", "disabled", "expired"] as const).map((status) => ({ key: KEY, status })),
      done: said("keys.doneEnabled", { name: "4711" }),
    }),
    "keys, after a mistake": keys({
      error: said("keyRefused.rate", { most: "1000" }),
      sent: { do: "create", methods: "GET", rate: "0" },
      keys: [{ key: { ...KEY, routes: ["*"], usedAt: null, paths: null }, status: "active" }],
    }),
    "keys, to sign in for": keys({ again: "/" }),
    "keys, no application": keys({ routes: [] }),
    "key made": madePage(
      look,
      said("keyMade.title"),
      { token: SAMPLE.token, key: KEY } as never,
      SAMPLE.curl,
      AT,
    ),
    "ask for access": ask("new"),
    "ask for access, too often": ask("new", { error: said("ask.tooMany"), reason: "4711" }),
    "ask for access, waiting": ask("waiting"),
    "ask for access, granted": ask("granted"),
    "ask for access, refused": ask("refused"),
    "requests for access": requestsPage(look, {
      ...{ email: SAMPLE.other, titleOf: () => SAMPLE.title, done: said("decide.granted"), now: AT },
      open: ["4711", ""].map((reason) => ({
        ...{ id: `r${reason}`, email, route: "grafana", reason, ip: "2001:db8::7334", askedAt: AT },
        ...{ state: "open" as const, decidedBy: "", told: [] },
      })),
    }),
    "requests for access, none": requestsPage(look, {
      ...{
        email: SAMPLE.other,
        titleOf: () => SAMPLE.title,
        open: [],
        now: AT,
        done: said("decide.refused"),
      },
    }),
    "a phone's code": enterCodePage(look, said("approve.old")),
    "approve a screen": approvePage(look, {
      ...{ approval: APPROVAL, email, code: "ABCD-2345", ip: "198.51.100.7", now: AT, asksKeep: true },
      target: { app: SAMPLE.title, host: SAMPLE.host },
    }),
    "a screen approved": decidedPage(look, "approved"),
    "a screen denied": decidedPage(look, "denied"),
    "a screen, wrong number": decidedPage(look, "wrong_number"),
    "a screen": screen("waiting"),
    "a screen, to be approved": screen("shown"),
    "a screen, too late": screen("expired"),
    "not me": notMePage(look, { email, token: "t" }),
    "not me, done": notMeDonePage(look, { email }),
    mailbox: mailboxPage(look, {
      mails: [{ to: email, subject: "4711", text: "4711", at: AT, link: "/a", code: "1234 5678" }],
    }),
    "mailbox, empty": mailboxPage(look, { mails: [], still: true }),
    error: error(),
    "error that passes": error({
      ...{ status: 502, title: said("application.awayTitle"), message: said("application.away") },
      ...{ retrySeconds: 10, action: { href: "", label: said("error.tryAgain") } },
    }),
    "error, of a limit": error({
      ...{ status: 429, title: said("limit.title") },
      message: said("limit.client", { time: { amount: 90, unit: "second" } }),
    }),
  };
}

/** As HTML. */
export function mailsIn(look: Look): Record<string, string> {
  const login = renderLoginMail(look, undefined, {
    ...{ to: email, loginUrl: `https://${SAMPLE.host}/auth?token=t`, code: "1234 5678", expiryMinutes: 15 },
    ...{ fromIp: "203.0.113.4", device: SAMPLE.device },
  });
  const notice = renderNotice(look, {
    ...{ subject: said("newDevice.subject", { app: look.app }), heading: said("newDevice.heading") },
    ...{ opening: said("newDevice.opening", { email }), at: AT, where: `203.0.113.0/24, ${SAMPLE.device}` },
    closing: said("newDevice.closing"),
    link: { url: `https://${SAMPLE.host}/not-me`, label: said("newDevice.button") },
  });
  const url = `https://${SAMPLE.host}/`;
  const access = { what: SAMPLE.title, at: AT, url };
  const more = {
    invited: invitedMail(look, { email, at: AT, url }),
    "ends soon": endsSoonMail(look, access),
    asked: askedMail(look, { count: 3, at: AT, url }),
    granted: grantedMail(look, { ...access, until: AT + DAY }),
    "granted for good": grantedMail(look, { ...access, until: null }),
    refused: refusedMail(look, access),
  };
  const others = Object.entries(more).map(([name, { html }]) => [`mail: ${name}`, html ?? ""]);
  return { "mail: login": login.html, "mail: notice": notice.html ?? "", ...Object.fromEntries(others) };
}
