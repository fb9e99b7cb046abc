import type { AdminScreen } from "../admin/screen.ts";
import type { House, Room } from "../house.ts";
import { type Address, addressIn } from "../identity/address.ts";
import { parseIp } from "../net/ip.ts";
import { DAY } from "../option/values.ts";
import { adminPath } from "../pages/paths.ts";
import {
  bdi,
  factsOf,
  hint,
  jsonOf,
  linkTo,
  pageLinks,
  searchForm,
  statusOf,
  tableOf,
  timeOf,
  withNote,
} from "../pages/tables.ts";
import { concat, type Html, type Value } from "../pages/template.ts";
import type { AuditEntry } from "./entry.ts";
import type { AuditFilter } from "./find.ts";

const PAGE = 50;

/** The screen alone; the API of the audit is another room's. */
export function activityRoom(house: Pick<House, "auditTrail" | "routes">): Room {
  return { name: "activity", admin: activityScreen(house) };
}

/** What happened: searched by person, event, application, time and client; one event in full. */
function activityScreen({ auditTrail, routes }: Pick<House, "auditTrail" | "routes">): AdminScreen {
  async function one(id: string, now: number): Promise<Html> {
    const entry = await auditTrail.get(id);
    const back = hint(linkTo(adminPath("activity"), "All activity"));
    if (entry === undefined) return concat([back, hint("There is no such event, or it is too long ago.")]);
    return concat([back, factsOf(factsFrom(entry, now)), jsonOf("The whole event", entry)]);
  }

  async function all(query: URLSearchParams, now: number): Promise<Html> {
    const { filter, problem } = filterIn(query);
    const cursor = query.get("cursor") ?? undefined;
    const { items, next } =
      problem === undefined
        ? await auditTrail.find(filter, { cursor, limit: PAGE })
        : { items: [], next: undefined };
    return concat([
      searchForm(
        fieldsFor(
          query,
          routes.all.map(({ name }) => name),
        ),
        problem,
      ),
      tableOf({
        caption: "What happened, newest first",
        columns: ["When", "What", "Whom", "By", "Application", "From"],
        rows: items.map((entry) => rowOf(entry, now)),
        empty: next === undefined ? "Nothing was found." : "Nothing was found up to here.",
        live: "activity",
      }),
      pageLinks(query, next),
    ]);
  }

  return {
    id: "activity",
    label: "Activity",
    recent: true,
    show: ({ query, now }) => {
      const id = query.get("id");
      return id === null ? all(query, now) : one(id, now);
    },
  };
}

const OUTCOMES = ["ok", "refused", "failed"] as const;

function fieldsFor(query: URLSearchParams, routes: readonly string[]) {
  const field = (name: string, label: string, more: object = {}) => ({
    ...{ name, label, value: query.get(name)?.trim() ?? "" },
    ...more,
  });
  const choice = (words: readonly string[]) => ({
    options: [["", "any"] as const, ...words.map((word) => [word, word] as const)],
  });
  return [
    field("email", "Person", { hint: "ada@example.org" }),
    field("event", "Event", { hint: "mail_given_up" }),
    field("outcome", "Outcome", choice(OUTCOMES)),
    field("route", "Application", choice(routes)),
    field("client", "From address", { hint: "203.0.113.7" }),
    field("since", "Since (UTC)", { type: "date" }),
    field("until", "Until (UTC)", { type: "date" }),
  ];
}

function filterIn(query: URLSearchParams): { readonly filter: AuditFilter; readonly problem?: string } {
  const given = (name: string) => query.get(name)?.trim() || undefined;
  const [email, client, since, until] = ["email", "client", "since", "until"].map(given);
  const address: Address | undefined = email === undefined ? undefined : addressIn(email);
  const [from, to] = [since, until].map((text) => (text === undefined ? undefined : dayIn(text)));
  const filter = {
    ...{ email: address, client, event: given("event"), outcome: given("outcome"), route: given("route") },
    since: from,
    until: to === undefined ? undefined : to + DAY - 1,
  };
  if (email !== undefined && address === undefined) return { filter, problem: "That is no mail address." };
  if (client !== undefined && parseIp(client) === undefined)
    return { filter, problem: "That is no IP address." };
  if ([from, to].some((day) => Number.isNaN(day))) return { filter, problem: "That is no day." };
  return { filter };
}

/** @returns when it begins, in milliseconds since the epoch; NaN for what is no day. */
function dayIn(text: string): number {
  return /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
}

function rowOf(entry: AuditEntry, now: number): Value[] {
  const { id, time, route, client } = entry;
  return [
    linkTo(`?id=${encodeURIComponent(id)}`, timeOf(Date.parse(time), now)),
    whatOf(entry),
    whomOf(entry),
    byOf(entry),
    route === null ? "" : bdi(route),
    client === null
      ? ""
      : client.agent === null
        ? bdi(client.ip)
        : withNote(bdi(client.ip), bdi(client.agent)),
  ];
}

function whatOf({ event, outcome, reason }: AuditEntry): Value {
  const name = bdi(event);
  const what = outcome === "ok" ? name : concat([name, SPACE, statusOf(outcome, "warning")]);
  return reason === null ? what : withNote(what, bdi(reason));
}

const SPACE = bdi(" ");

function whomOf({ subject }: AuditEntry): Value {
  if (subject === null) return "";
  if ("service" in subject) return bdi(`service:${subject.service}`);
  return linkTo(`?email=${encodeURIComponent(subject.email)}`, bdi(subject.email));
}

function byOf({ actor }: AuditEntry): Value {
  const { kind, email, service, key } = actor;
  const who = email ?? service ?? key;
  return who === undefined ? kind : withNote(bdi(who), kind);
}

function factsFrom(entry: AuditEntry, now: number): [string, Value][] {
  const { id, time, host, request, details } = entry;
  const [, , whom, by, application, from] = rowOf(entry, now);
  const facts: [string, Value | null][] = [
    ["What", whatOf(entry)],
    ["When", timeOf(Date.parse(time), now)],
    ["Whom", whom],
    ["By", by],
    ["Application", application],
    ["Host", host === null ? "" : bdi(host)],
    ["From", from],
    ["Request", request === null ? "" : bdi(request)],
    ...Object.entries(details).map(([name, value]): [string, Value] => [name, bdi(value)]),
    ["Id", bdi(id)],
  ];
  return facts.filter((fact): fact is [string, Value] => fact[1] !== "" && fact[1] !== undefined);
}
