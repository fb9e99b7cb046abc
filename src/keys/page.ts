import keySource from "../../static/key.html" with { type: "text" };
import madeSource from "../../static/key-made.html" with { type: "text" };
import sectionSource from "../../static/key-section.html" with { type: "text" };
import keysSource from "../../static/keys.html" with { type: "text" };
import { type Language, said, say, type Text } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { documentOf, timeAt } from "../pages/pages.ts";
import { ACCOUNT_PATH, KEYS_PATH } from "../pages/paths.ts";
import { concat, type Html, plain, template } from "../pages/template.ts";
import { type ApiKey, endOf } from "./record.ts";
import type { Created, KeyStatus } from "./service.ts";

/** The pages for keys: a list with a form, a key that was just made, and what the page of the account says of them. */

const LIMITS = ["methods", "paths", "networks", "rate"] as const;
const keysTemplate = template(keysSource, [
  ...(["error", "done", "keys", "again", "action", "routes", "lives", "limits", "description"] as const),
  ...([...LIMITS, "email", "account"] as const),
]);
const keyTemplate = template(keySource, [
  ...(["id", "name", "opens", "made", "used", "network", "ends"] as const),
  ...(["status", "going", "disabled", "again", "action"] as const),
]);
const madeTemplate = template(madeSource, ["title", "token", "curl", "until", "action"]);
const sectionTemplate = template(sectionSource, ["count", "href"]);
const optionTemplate = plain('<option value="{{value}}"{{#if chosen}} selected{{/if}}>{{label}}</option>', [
  "value",
  "label",
  "chosen",
]);
const routeTemplate = plain(
  '<label class="check"><input type="checkbox" name="route-{{name}}" value="on"{{#if chosen}} checked{{/if}}> {{title}}</label>\n',
  ["name", "title", "chosen"],
);

export type KeysShown = {
  readonly email: string;
  readonly keys: readonly { readonly key: ApiKey; readonly status: KeyStatus }[];
  readonly titleOf: (route: string) => string;
  /** Names and titles of the applications that a key may open. */
  readonly routes: readonly { readonly name: string; readonly title: string }[];
  readonly lives: readonly (readonly [value: string, label: Text])[];
  /** Where to sign in again, if that is needed to make one. */
  readonly again: string | undefined;
  readonly error?: Text | undefined;
  readonly done?: Text | undefined;
  /** What was sent and is to be mended. */
  readonly sent?: Readonly<Record<string, string>>;
};

export function keysPage(look: Look, shown: KeysShown): string {
  const { language } = look;
  const { email, keys, routes, lives, again, error = "", done = "", sent = {} } = shown;
  const isChosen = (name: string) => sent.do !== "create" || sent[`route-${name}`] !== undefined;
  const content = keysTemplate(language, {
    ...{ email, again, action: KEYS_PATH, account: ACCOUNT_PATH },
    ...{ error: say(language, error), done: say(language, done) },
    keys: concat(keys.map(({ key, status }) => article(language, key, status, shown))),
    routes: concat(routes.map((one) => routeTemplate({ ...one, chosen: isChosen(one.name) ? "yes" : "" }))),
    lives: concat(
      lives.map(([value, label]) =>
        optionTemplate({
          ...{ value, label: say(language, label) },
          chosen: value === (sent.life ?? "90d") ? "yes" : "",
        }),
      ),
    ),
    description: sent.description,
    limits: LIMITS.some((name) => sent[name]) ? "yes" : "",
    ...{ methods: sent.methods, paths: sent.paths, networks: sent.networks, rate: sent.rate },
  });
  return documentOf(look, said("keys.title"), content, { wide: true });
}

function article(language: Language, key: ApiKey, status: KeyStatus, { again, titleOf }: KeysShown): Html {
  const { id, description, createdAt, usedAt, usedFrom } = key;
  const end = endOf(key);
  return keyTemplate(language, {
    ...{ id, name: description ?? id, again, action: KEYS_PATH },
    opens: opensOf(language, key, titleOf),
    status: say(language, said(`keys.${status}`)),
    made: timeAt(language, createdAt),
    used: usedAt === null ? undefined : timeAt(language, usedAt),
    network: usedFrom ?? "?",
    ends: end === undefined ? undefined : timeAt(language, end),
    going: status === "active" || status === "unused" ? "yes" : "",
    disabled: status === "disabled" ? "yes" : "",
  });
}

function opensOf(language: Language, key: ApiKey, titleOf: KeysShown["titleOf"]): string {
  const { routes: names, methods, paths, networks, rate } = key;
  const isAll = names.includes("*");
  const routes = isAll ? say(language, said("keys.opensAll")) : names.map(titleOf).join(", ");
  const limits: Text[] = [
    methods === null ? [] : methods.join(", "),
    paths === null ? [] : wordsFor(paths),
    networks === null ? [] : said("keys.from", { networks: networks.join(", ") }),
    rate === null ? [] : said("keys.perMinute", { count: `${rate}` }),
  ].flat();
  if (limits.length === 0) return routes;
  const words = limits.map((one) => say(language, one)).join("; ");
  return say(language, said("keys.opensLimited", { routes, limits: words }));
}

function wordsFor(list: readonly string[]): Text {
  const paths = list.join(", ");
  return list.some((one) => one.endsWith("/*")) ? said("keys.below", { paths }) : said("keys.at", { paths });
}

/** @param curl what to try it with, for a shell. */
export function madePage(
  look: Look,
  title: Text,
  { token, key }: Created,
  curl: string,
  now: number,
): string {
  const { language } = look;
  const until = key.previousUntil > now ? timeAt(language, key.previousUntil) : undefined;
  const shown = { title: say(language, title), token, curl, until, action: KEYS_PATH };
  return documentOf(look, title, madeTemplate(language, shown), { wide: true });
}

/** @param count how many keys there are. */
export function keySection({ language }: Look, count: number): Html {
  return sectionTemplate(language, { count: count === 0 ? undefined : `${count}`, href: KEYS_PATH });
}
