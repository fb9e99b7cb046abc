import accessSource from "../../static/access.html" with { type: "text" };
import requestSource from "../../static/request.html" with { type: "text" };
import requestsSource from "../../static/requests.html" with { type: "text" };
import { type Said, said, say, type Text } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { clockTime, documentOf } from "../pages/pages.ts";
import { ACCOUNT_PATH } from "../pages/paths.ts";
import { concat, marked, template } from "../pages/template.ts";
import type { Asked } from "./request.ts";

/** The page of somebody who asks for an application, and the one of whoever decides. */

const access = template(accessSource, ["heading", "error", "message", "href", "route", "reason"]);
const requests = template(requestsSource, ["done", "requests", "email", "account"]);
const request = template(requestSource, ["wants", "reason", "ip", "asked", "id"]);

export type Standing = "new" | "waiting" | "granted" | "refused";

const HEADINGS: Readonly<Record<Standing, Said>> = {
  new: said("ask.title"),
  waiting: said("ask.waitingTitle"),
  granted: said("ask.grantedTitle"),
  refused: said("ask.refusedTitle"),
};
const MESSAGES = {
  new: "ask.how",
  waiting: "ask.waiting",
  granted: "ask.granted",
  refused: "ask.refused",
} as const;

/**
 * @param shown.name of the application, for the form
 * @param shown.href where it is
 * @param shown.reason what was sent and is to be mended
 */
export function askPage(
  look: Look,
  shown: {
    readonly state: Standing;
    readonly email: string;
    readonly name: string;
    readonly title: string;
    readonly href: string;
    readonly error?: Text;
    readonly reason?: string;
  },
): string {
  const { language } = look;
  const { state, email, name, title: route, href, error, reason } = shown;
  const content = access(language, {
    heading: say(language, HEADINGS[state]),
    message: marked(language, MESSAGES[state], { email, route }),
    error: error && say(language, error),
    href: state === "granted" ? href : undefined,
    // Who was refused may ask again, as often as the limits let them.
    route: state === "new" || state === "refused" ? name : undefined,
    reason,
  });
  return documentOf(look, HEADINGS[state], content);
}

export function requestsPage(
  look: Look,
  shown: {
    readonly email: string;
    readonly open: readonly Asked[];
    readonly titleOf: (route: string) => string;
    readonly done: Text | undefined;
    readonly now: number;
  },
): string {
  const { language } = look;
  const { email, open, titleOf, done, now } = shown;
  const articles = open.map(({ id, email: who, route, reason, ip, askedAt }) =>
    request(language, {
      ...{ id, reason, ip, asked: clockTime(language, askedAt, now) },
      wants: marked(language, "decide.wants", { email: who, route: titleOf(route) }),
    }),
  );
  const content = requests(language, {
    ...{ email, account: ACCOUNT_PATH, requests: concat(articles), done: done && say(language, done) },
  });
  return documentOf(look, said("decide.title"), content, { wide: true });
}
