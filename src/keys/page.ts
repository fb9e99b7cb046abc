import keySource from "../../static/key.html" with { type: "text" };
import madeSource from "../../static/key-made.html" with { type: "text" };
import keysSource from "../../static/keys.html" with { type: "text" };
import type { Look } from "../pages/look.ts";
import { documentOf } from "../pages/pages.ts";
import { KEYS_PATH, START_PATH } from "../pages/paths.ts";
import { concat, type Html, plain } from "../pages/template.ts";
import { type ApiKey, endOf } from "./record.ts";
import type { Created, KeyStatus } from "./service.ts";

/** The pages for keys: a list with a form, and a key that was just made. */

const LIMITS = ["methods", "paths", "networks", "rate"] as const;
const keysTemplate = plain(keysSource, [
  ...(["error", "done", "keys", "again", "action", "routes", "lives", "limits", "description"] as const),
  ...([...LIMITS, "email", "start"] as const),
]);
const keyTemplate = plain(keySource, [
  ...(["id", "name", "opens", "made", "madeIso", "used", "usedIso", "usedFrom", "ends", "endsIso"] as const),
  ...(["status", "going", "disabled", "again", "action"] as const),
]);
const madeTemplate = plain(madeSource, ["title", "token", "curl", "until", "untilIso", "action"]);
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
  readonly lives: readonly (readonly [value: string, label: string])[];
  /** Where to sign in again, if that is needed to make one. */
  readonly again: string | undefined;
  readonly error?: string | undefined;
  readonly done?: string | undefined;
  /** What was sent and is to be mended. */
  readonly sent?: Readonly<Record<string, string>>;
};

export function keysPage(look: Look, shown: KeysShown): string {
  const { email, keys, routes, lives, again, error, done, sent = {} } = shown;
  const isChosen = (name: string) => sent.do !== "create" || sent[`route-${name}`] !== undefined;
  const content = keysTemplate({
    ...{ email, error, done, again, action: KEYS_PATH, start: START_PATH },
    keys: keys.length === 0 ? "" : concat(keys.map(({ key, status }) => article(key, status, shown))),
    routes:
      routes.length === 0
        ? ""
        : concat(routes.map((one) => routeTemplate({ ...one, chosen: isChosen(one.name) ? "yes" : "" }))),
    lives: concat(
      lives.map(([value, label]) =>
        optionTemplate({ value, label, chosen: value === (sent.life ?? "90d") ? "yes" : "" }),
      ),
    ),
    description: sent.description,
    limits: LIMITS.some((name) => sent[name]) ? "yes" : "",
    ...{ methods: sent.methods, paths: sent.paths, networks: sent.networks, rate: sent.rate },
  });
  return documentOf(look, "API keys", content, { wide: true });
}

function article(key: ApiKey, status: KeyStatus, { again, titleOf }: KeysShown): Html {
  const { id, description, createdAt, usedAt, usedFrom } = key;
  const [made, used, ends] = [moment(createdAt), moment(usedAt ?? undefined), moment(endOf(key))];
  return keyTemplate({
    ...{
      id,
      name: description ?? id,
      opens: opensOf(key, titleOf),
      status: STATUSES[status],
      again,
      action: KEYS_PATH,
    },
    ...{ made: made.text, madeIso: made.iso, ends: ends.text, endsIso: ends.iso },
    ...{ used: used.text, usedIso: used.iso, usedFrom: usedFrom ?? "somewhere" },
    going: status === "active" || status === "unused" ? "yes" : "",
    disabled: status === "disabled" ? "yes" : "",
  });
}

const STATUSES: Readonly<Record<KeyStatus, string>> = {
  active: "active",
  unused: "active, not used for 90 days",
  disabled: "disabled",
  expired: "over",
};

function opensOf({ routes, methods, paths, networks, rate }: ApiKey, titleOf: KeysShown["titleOf"]): string {
  const all = routes.includes("*") ? "all that you may" : routes.map(titleOf).join(", ");
  const limits = [
    methods === null ? [] : methods.join(", "),
    paths === null ? [] : `below ${paths.join(", ")}`.replace(/^below (?!.*\*)/, "at "),
    networks === null ? [] : `from ${networks.join(", ")}`,
    rate === null ? [] : `${rate} a minute`,
  ].flat();
  return limits.length === 0 ? all : `${all}: ${limits.join("; ")}`;
}

/** @param curl what to try it with, for a shell. */
export function madePage(
  look: Look,
  title: string,
  { token, key }: Created,
  curl: string,
  now: number,
): string {
  const until = moment(key.previousUntil > now ? key.previousUntil : undefined);
  return documentOf(
    look,
    title,
    madeTemplate({ title, token, curl, until: until.text, untilIso: until.iso, action: KEYS_PATH }),
    { wide: true },
  );
}

function moment(at: number | undefined) {
  if (at === undefined) return { iso: undefined, text: undefined };
  const date = new Date(at);
  return { iso: date.toISOString(), text: date.toUTCString().replace("GMT", "UTC") };
}
