import screenSource from "../../static/approval.html" with { type: "text" };
import waySource from "../../static/approval-way.html" with { type: "text" };
import approveSource from "../../static/approve.html" with { type: "text" };
import codeSource from "../../static/approve-code.html" with { type: "text" };
import doneSource from "../../static/approve-done.html" with { type: "text" };
import qrSource from "../../static/qr.html" with { type: "text" };
import { shownCode } from "../login/code.ts";
import { networkOfClient } from "../net/ip.ts";
import { said, say, type Text } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { clockTime, documentOf, secondsTo } from "../pages/pages.ts";
import { loginHref } from "../pages/paths.ts";
import { pathOf, type Qr } from "../pages/qr.ts";
import { concat, type Html, plain, template } from "../pages/template.ts";
import { describeDevice, recognizeDevice } from "../session/device.ts";
import type { Approval, Decision } from "./record.ts";
import type { Standing } from "./service.ts";

/** The page of a screen that asks to be signed in, and those of the phone that approves it. */

const way = template(waySource, ["next"]);
const qr = plain(qrSource, ["label", "size", "path"]);
const screen = template(screenSource, [
  ...(["state", "secondsLeft", "heading", "qr", "address", "code", "number", "until", "message"] as const),
  ...(["next", "another"] as const),
]);
const enter = template(codeSource, ["error"]);
const approve = template(approveSource, [
  ...(["email", "device", "ip", "isNear", "asked", "target", "code", "asksKeep", "numbers"] as const),
]);
const choice = plain(`<button type="submit" name="number" value="{{number}}">{{number}}</button>\n`, [
  "number",
]);
const done = template(doneSource, ["title", "message"]);

/** Seconds, for a screen without script. */
const REFRESH = 5;

/** On the login page. */
export function phoneWayIn({ language }: Look, next: string): Html {
  return way(language, { next });
}

/**
 * @param shown.address where the phone goes, without the scheme
 * @param shown.qr of the same with the code, where that is to be shown
 */
export function screenPage(
  look: Look,
  shown: Standing & { readonly address: string; readonly qr: Qr | undefined; readonly now: number },
): string {
  const { language } = look;
  const { state, now, expiresAt, next } = shown;
  const isOpen = state === "waiting" || state === "shown";
  const heading =
    state === "waiting"
      ? said("approval.title")
      : state === "shown"
        ? said("approval.pickTitle")
        : said(state === "expired" ? "approval.expiredTitle" : "approval.deniedTitle");
  const over = said(state === "expired" ? "approval.expired" : "approval.denied");
  const content = screen(language, {
    ...{ state, heading: say(language, heading), secondsLeft: isOpen ? secondsTo(expiresAt, now) : "" },
    qr: shown.qr && drawn(look, shown.qr),
    address: shown.address,
    code: shownCode(shown.code),
    number: state === "shown" ? shown.number : undefined,
    until: isOpen ? clockTime(language, expiresAt, now) : undefined,
    message: isOpen ? undefined : say(language, over),
    ...{ next, another: loginHref(next) },
  });
  return documentOf(look, heading, content, { signingIn: true, ...(isOpen ? { refresh: REFRESH } : {}) });
}

function drawn({ language }: Look, code: Qr): Html {
  return qr({ label: say(language, said("approval.image")), size: `${code.size}`, path: pathOf(code) });
}

/** Asks for the code on the other screen. */
export function enterCodePage(look: Look, error?: Text): string {
  return documentOf(
    look,
    said("approve.title"),
    enter(look.language, { error: error && say(look.language, error) }),
  );
}

/**
 * Whose screen it is, and the choice.
 * @param shown.ip of the phone
 * @param target how what the screen is to be signed in for looks
 */
export function approvePage(
  look: Look,
  shown: {
    readonly approval: Approval;
    readonly email: string;
    readonly code: string;
    readonly ip: string;
    readonly now: number;
    readonly target: Pick<Look, "app" | "host">;
    readonly asksKeep: boolean;
  },
): string {
  const { language } = look;
  const { approval, email, code, target } = shown;
  const { ip, userAgent, askedAt } = approval;
  const content = approve(language, {
    ...{ email, code, ip, asked: clockTime(language, askedAt, shown.now) },
    device: describeDevice(language, recognizeDevice(userAgent)),
    isNear: networkOfClient(ip) === networkOfClient(shown.ip) ? "yes" : undefined,
    target: target.app === target.host ? target.app : `${target.app} (${target.host})`,
    asksKeep: shown.asksKeep ? "yes" : undefined,
    numbers: concat(approval.numbers.split(" ").map((number) => choice({ number }))),
  });
  return documentOf(look, said("approve.title"), content);
}

const DONE = {
  approved: [said("approve.doneTitle"), said("approve.done")],
  denied: [said("approve.deniedTitle"), said("approve.denied")],
  wrong_number: [said("approve.wrongTitle"), said("approve.wrong")],
} as const;

export function decidedPage(look: Look, decision: Decision): string {
  const { language } = look;
  const [title, message] = DONE[decision];
  return documentOf(
    look,
    title,
    done(language, { title: say(language, title), message: say(language, message) }),
  );
}
