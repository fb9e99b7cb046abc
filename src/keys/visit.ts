import type { Route } from "../access/route.ts";
import { isRecent } from "../api/own.ts";
import { page, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { type Fields, readFields } from "../edge/body.ts";
import type { OwnHandlers } from "../edge/own.ts";
import type { House } from "../house.ts";
import { isPrincipal, nameOf, type Principal } from "../identity/principal.ts";
import { DAY, items } from "../option/values.ts";
import { said, type Text } from "../pages/language.ts";
import { KEYS_PATH, loginHref } from "../pages/paths.ts";
import { milliseconds } from "./api.ts";
import { type KeysShown, keysPage, madePage } from "./page.ts";
import type { ApiKey } from "./record.ts";
import type { KeyRefusal } from "./refusal.ts";
import { LONGEST_OVERLAP } from "./service.ts";
import type { Caller, NewKey } from "./wanted.ts";

/** `/_runegate/keys`: the keys of whoever is signed in, on the host where people sign in. Works by forms alone. */

const LIVES: readonly (readonly [string, Text, number])[] = [
  ["7d", said("keys.lifeWeek"), 7 * DAY],
  ["30d", said("keys.lifeMonth"), 30 * DAY],
  ["90d", said("keys.lifeQuarter"), 90 * DAY],
  ["366d", said("keys.lifeYear"), 366 * DAY],
];

type Visit = {
  readonly arrival: Arrival;
  readonly principal: Principal;
  readonly caller: Caller;
};

export function keyPages(
  house: Pick<House, "options" | "apiKeys" | "routes" | "signIn" | "guardPost" | "clock">,
): Required<OwnHandlers> {
  const { options, apiKeys, routes, clock } = house;
  const { apiKeyMaxTtl: longest } = options;
  const lives = LIVES.filter(([, , life]) => longest === 0 || life <= longest);

  /** By session alone: whatever else lets somebody in has no business here. @returns the way to sign in for anybody else. */
  async function visitOf(arrival: Arrival): Promise<Visit | Response> {
    const { home } = routes;
    if (arrival.origin !== home.origin) return redirect(302, home.origin + KEYS_PATH);
    const principal = await arrival.identify(arrival, "pages");
    if (!isPrincipal(principal) || principal.proof.kind !== "session")
      return house.signIn(arrival, arrival.method === "POST" ? 303 : 302, KEYS_PATH, false);
    return { arrival, principal, caller: { name: nameOf(principal), isAdmin: false } };
  }

  async function show(
    { arrival, principal, caller }: Visit,
    more: Pick<KeysShown, "error" | "done" | "sent"> = {},
  ): Promise<Response> {
    const keys = await apiKeys.list(caller.name);
    const html = keysPage(arrival.lookOf(arrival), {
      email: caller.name,
      keys: keys.map((key) => ({ key, status: apiKeys.statusOf(key) })).reverse(),
      routes: routesFor(caller.name).map(({ name, title }) => ({ name, title })),
      titleOf: (route) => routes.all.find(({ name }) => name === route)?.title ?? route,
      lives: lives.map(([value, label]) => [value, label]),
      again: isRecent(principal, clock.now()) ? undefined : loginHref(KEYS_PATH, true),
      ...more,
    });
    return page(html, more.error === undefined ? 200 : 400);
  }

  function routesFor(owner: string): readonly Route[] {
    const names = new Set(apiKeys.routesFor(owner));
    return routes.all.filter(({ name }) => names.has(name));
  }

  /** For a shell: where the first application of a key is, as far as the key may go there. */
  function commandFor(token: string, key: ApiKey): string {
    const route = routes.all.find(({ name }) => key.routes.includes(name));
    const url = (route && routes.urlOf(route)) ?? `${routes.home.origin}/`;
    const [path] = key.paths ?? [];
    const whole = path === undefined ? url : new URL(path.replace(/\*$/, ""), url).href;
    return `curl -H 'Authorization: Bearer ${token}' '${whole.replaceAll("'", "%27")}'`;
  }

  async function create(visit: Visit, fields: Fields): Promise<Response> {
    const made = await apiKeys.create(wantedIn(fields, visit.caller.name), visit.caller);
    if ("refused" in made) return show(visit, { error: made.message, sent: fields });
    return page(
      madePage(
        visit.arrival.lookOf(visit.arrival),
        said("keyMade.title"),
        made,
        commandFor(made.token, made.key),
        clock.now(),
      ),
    );
  }

  function wantedIn(fields: Fields, owner: string): NewKey {
    const list = (text = "") => items(text);
    const life = lives.find(([value]) => value === fields.life)?.[2];
    return {
      owner,
      description: fields.description,
      routes: routesFor(owner).flatMap(({ name }) => (fields[`route-${name}`] === undefined ? [] : [name])),
      ...{ methods: list(fields.methods), paths: list(fields.paths), networks: list(fields.networks) },
      rate: fields.rate === undefined || fields.rate === "" ? null : Number(fields.rate),
      ...(life === undefined ? {} : { expiresIn: life }),
    };
  }

  async function rotate(visit: Visit, { id = "", overlap = "24h" }: Fields): Promise<Response> {
    const { caller } = visit;
    const made = await apiKeys.rotate(id, milliseconds(overlap, LONGEST_OVERLAP), caller, caller.name);
    if ("refused" in made) return show(visit, { error: inWords(made) });
    return page(
      madePage(
        visit.arrival.lookOf(visit.arrival),
        said("keyMade.rotated"),
        made,
        commandFor(made.token, made.key),
        clock.now(),
      ),
    );
  }

  async function change(visit: Visit, id: string, disabled: boolean): Promise<Response> {
    const { caller } = visit;
    const changed = await apiKeys.update(id, { disabled }, caller, caller.name);
    if ("refused" in changed) return show(visit, { error: inWords(changed) });
    const word = disabled ? "keys.doneDisabled" : "keys.doneEnabled";
    return show(visit, { done: said(word, { name: nameIn(changed) }) });
  }

  async function revoke(visit: Visit, id: string): Promise<Response> {
    const { caller } = visit;
    const gone = await apiKeys.revoke(id, caller, caller.name);
    if (gone === undefined) return show(visit, { error: GONE });
    return show(visit, { done: said("keys.doneEnded", { name: nameIn(gone) }) });
  }

  return {
    async GET(arrival) {
      const visit = await visitOf(arrival);
      return visit instanceof Response ? visit : show(visit);
    },

    async POST(arrival) {
      house.guardPost(arrival);
      const visit = await visitOf(arrival);
      if (visit instanceof Response) return visit;
      const fields = await readFields(arrival.request);
      const { do: what, id = "" } = fields;
      const makes = what === "create" || what === "rotate";
      if (makes && !isRecent(visit.principal, clock.now())) return redirect(303, loginHref(KEYS_PATH, true));
      if (what === "create") return create(visit, fields);
      if (what === "rotate") return rotate(visit, fields);
      if (what === "disable" || what === "enable") return change(visit, id, what === "disable");
      if (what === "revoke") return revoke(visit, id);
      return show(visit);
    },
  };
}

const GONE = said("keys.gone");

function inWords({ refused, message }: KeyRefusal): Text {
  return refused === "not_found" ? GONE : message;
}

function nameIn({ id, description }: ApiKey): string {
  return description ?? id;
}
