import { ADMINS } from "../access/people.ts";
import type { AdminDone, AdminScreen, AdminVisit } from "../admin/screen.ts";
import { Refusal } from "../edge/answer.ts";
import type { Fields } from "../edge/body.ts";
import type { House } from "../house.ts";
import { addressIn } from "../identity/address.ts";
import { DAY } from "../option/values.ts";
import { adminPath } from "../pages/paths.ts";
import {
  actForm,
  bdi,
  hint,
  linkTo,
  pageLinks,
  searchForm,
  statusOf,
  tableOf,
  timeOf,
  withNote,
} from "../pages/tables.ts";
import { concat, type Html, plain, type Value } from "../pages/template.ts";
import { isDomain } from "./people.ts";
import type { Grant } from "./record.ts";
import type { Asked } from "./request.ts";
import { untilIn } from "./until.ts";

const PAGE = 50;

const LIVES = [
  ["8h", "8 hours"],
  ["7d", "a week"],
  ["30d", "30 days"],
  ["", "good (no end)"],
] as const;

const letIn = plain(
  `<section aria-labelledby="let-in"><h2 id="let-in">Let somebody in</h2>
<form method="post" class="search"><input type="hidden" name="do" value="let-in">
<div><label for="who">Address, or @domain</label><input id="who" name="who" value="{{who}}" required maxlength="300" autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="bob@partner.example"></div>
<div><label for="route">To</label><select id="route" name="route">{{routes}}</select></div>
<div><label for="until">For</label><select id="until" name="until">{{lives}}</select></div>
<div><label for="mail">Mail with a link</label><select id="mail" name="mail"><option value="yes">send one</option><option value="no">send none</option></select></div>
<div><label for="reason">Note</label><input id="reason" name="reason" maxlength="500" autocomplete="off"></div>
<button class="small" type="submit">Let in</button>
</form></section>
`,
  ["who", "routes", "lives"],
);
const option = plain('<option value="{{value}}"{{#if chosen}} selected{{/if}}>{{label}}</option>', [
  ...(["value", "label", "chosen"] as const),
]);

type ScreenHouse = Pick<
  House,
  "people" | "accessRequests" | "policy" | "routes" | "sessions" | "apiKeys" | "options"
>;

/** Who may sign in and by what, letting people in and out, and who asks for access. */
export function peopleScreen(house: ScreenHouse): AdminScreen {
  const { people, accessRequests, policy, routes, sessions, apiKeys, options } = house;
  const titleOf = (name: string) => routes.all.find((one) => one.name === name)?.title ?? name;

  /** What somebody was given, or denied, in words. */
  function wordsFor({ effect, routes: names, groups, until, grantedBy, reason }: Grant, now: number): Value {
    const what = bdi([...names.map(titleOf), ...groups.map((name) => `group ${name}`)].join(", "));
    const why = bdi(reason === "" ? `by ${grantedBy}` : `by ${grantedBy}: ${reason}`);
    if (effect === "deny") return withNote(statusOf("shut out", "bad"), why);
    if (until !== null && until <= now) return withNote(statusOf("ended", "warning"), what);
    return withNote(given({ what, until: until === null ? "" : timeOf(until, now) }), why);
  }

  function allowedBy(who: string, theirs: readonly Grant[], now: number): Value {
    const email = isDomain(who) ? undefined : addressIn(who);
    const standing = email && policy.standingOf({ email });
    const isListed = email !== undefined && standing?.unlisted !== true && policy.allows(email);
    const groups = [...(standing?.groups ?? [])].join(", ");
    const lines = theirs.map((grant) => line({ text: wordsFor(grant, now) }));
    if (!isListed) return lines.length > 0 ? concat(lines) : "nothing";
    const listed = groups === "" ? "configuration" : withNote("configuration", bdi(groups));
    return concat([line({ text: listed }), ...lines]);
  }

  function isAdmin(who: string): boolean {
    const email = isDomain(who) ? undefined : addressIn(who);
    return email !== undefined && policy.standingOf({ email }).groups.has(ADMINS);
  }

  async function rowOf(who: string, theirs: readonly Grant[], now: number): Promise<Value[]> {
    const email = isDomain(who) ? undefined : addressIn(who);
    const [signedIn, keys] =
      email === undefined ? [[], []] : await Promise.all([sessions.list(email), apiKeys.list(email)]);
    const last = Math.max(...signedIn.map(({ provenAt }) => provenAt));
    const going = keys.filter((key) => ["active", "unused"].includes(apiKeys.statusOf(key)));
    const query = `email=${encodeURIComponent(who)}`;
    const countAt = (screen: string, name: string, count: number) =>
      count === 0 ? "none" : linkTo(`${adminPath(screen)}?${name}=${encodeURIComponent(who)}`, `${count}`);
    return [
      linkTo(`?${query}`, bdi(who)),
      allowedBy(who, theirs, now),
      signedIn.length === 0 ? "not signed in" : timeOf(last, now),
      countAt("sessions", "email", signedIn.length),
      countAt("keys", "owner", going.length),
      people.isOpen ? buttonsFor(who, theirs, isAdmin(who)) : "",
    ];
  }

  function requestRow({ id, email, route, reason, ip, askedAt }: Asked, now: number): Value[] {
    const about = `${email}, ${titleOf(route)}`;
    const button = (label: string, until: string) =>
      actForm({ act: "approve", fields: { id, until }, label, name: `${label}: ${about}` });
    return [
      bdi(email),
      bdi(titleOf(route)),
      reason === "" ? "nothing was said" : bdi(reason),
      withNote(timeOf(askedAt, now), bdi(ip)),
      concat([
        ...[button("8 hours", "8h"), button("A week", "7d"), button("For good", "")],
        actForm({ act: "refuse", fields: { id }, label: "Refuse", name: `Refuse: ${about}` }),
      ]),
    ];
  }

  async function requestsOf({ found, now }: AdminVisit): Promise<Html> {
    const open = await accessRequests.list(found.principal);
    return tableOf({
      caption: "Who asks for access",
      columns: ["Person", "Application", "What for", "Asked", "Answer"],
      rows: open.map((one) => requestRow(one, now)),
      empty: "Nobody waits for your answer.",
      live: "requests",
    });
  }

  function letInForm(query: URLSearchParams): Html {
    return letIn({
      who: query.get("email") ?? "",
      routes: concat(routes.all.map(({ name, title }) => option({ value: name, label: title, chosen: "" }))),
      lives: concat(
        LIVES.map(([value, label]) => option({ value, label, chosen: value === "7d" ? "yes" : "" })),
      ),
    });
  }

  async function show(visit: AdminVisit): Promise<Html> {
    const { query, now } = visit;
    const wanted = query.get("email")?.trim().toLowerCase() ?? "";
    const grants = Map.groupBy(await people.list(), ({ who }) => who);
    const everybody = [...new Set<string>([...policy.named, ...grants.keys()])].sort();
    const somebody = addressIn(wanted);
    const fitting = everybody.filter((who) => who.includes(somebody ?? wanted));
    // Whom only a domain lets in is in no list.
    const found = somebody === undefined || fitting.includes(somebody) ? fitting : [somebody, ...fitting];
    const after = query.get("cursor") ?? "";
    const rest = after === "" ? found : found.filter((who) => who > after);
    const shown = rest.slice(0, PAGE);
    const rows = await Promise.all(shown.map((who) => rowOf(who, grants.get(who) ?? [], now)));
    const table = tableOf({
      caption: "Who is named, let in or shut out",
      columns: ["Person", "Allowed by", "Last sign-in", "Sessions", "Keys", "What to do"],
      rows,
      empty: "Nobody of that name.",
      live: "people",
    });
    const search = searchForm(
      [{ name: "email", label: "Who", value: wanted, hint: "ada@example.org" }],
      wanted === "" && options.allowAnyEmail
        ? "Any address may sign in, whether or not it is named."
        : undefined,
    );
    const links = pageLinks(query, rest.length > PAGE ? shown.at(-1) : undefined);
    if (!people.isOpen) return concat([hint(OFF), search, table, links]);
    return concat([await requestsOf(visit), letInForm(query), search, table, links]);
  }

  /** What is wrong with what was sent is said on the page. */
  const acting =
    (act: (visit: AdminVisit, fields: Fields) => Promise<AdminDone>) =>
    async (visit: AdminVisit, fields: Fields): Promise<AdminDone> => {
      try {
        return await act(visit, fields);
      } catch (error) {
        if (error instanceof Refusal) return { error: error.message };
        throw error;
      }
    };

  return {
    id: "people",
    label: "People",
    notices: {
      invited: "They are let in, and a mail with a link is on its way to them.",
      unmailed: "They are let in. No mail was sent: too much waits.",
      allowed: "They are let in.",
      week: "What they were given ends in a week.",
      removed: "What they were given is ended, and so are their sessions and keys.",
      listed:
        "Their sessions and keys are ended. Configuration, or what their domain was given, lets them in again: shut them out.",
      denied: "They are shut out and signed out.",
      lifted: "They are not shut out any more.",
      granted: "They have access now, and a mail says so to them.",
      refused: "They are refused, and a mail says so to them.",
    },
    show,
    acts: {
      "let-in": acting(async ({ admin, now }, { who = "", route = "", until = "", mail, reason = "" }) => {
        const wanted = { who, routes: [route], until: untilIn(until || null, now), reason };
        if (mail === "no" || isDomain(who)) {
          await people.allow(wanted, admin);
          return { done: "allowed" };
        }
        return { done: (await people.invite(wanted, admin)).isMailed ? "invited" : "unmailed" };
      }),
      week: acting(async ({ admin, now }, { who = "" }) => {
        const changed = await people.setEnd(who, now + 7 * DAY, admin);
        return changed > 0 ? { done: "week" } : { error: "Nothing was given to them that has not ended." };
      }),
      remove: acting(async ({ admin }, { who = "" }) => {
        const { isStillAllowed } = await people.remove(who, admin);
        return { done: isStillAllowed ? "listed" : "removed" };
      }),
      deny: acting(async ({ admin }, { who = "" }) => {
        await people.deny(who, "", admin);
        return { done: "denied" };
      }),
      lift: acting(async ({ admin }, { who = "" }) =>
        (await people.lift(who, admin)) ? { done: "lifted" } : { error: "They are not shut out." },
      ),
      approve: acting(async ({ found, now }, { id = "", until = "" }) => {
        await accessRequests.approve(id, untilIn(until || null, now) ?? null, found.principal);
        return { done: "granted" };
      }),
      refuse: acting(async ({ found }, { id = "" }) => {
        await accessRequests.refuse(id, found.principal);
        return { done: "refused" };
      }),
    },
  };
}

const OFF =
  "People are in configuration alone. With RUNEGATE_DYNAMIC_USERS=true, they are let in and out here.";
const line = plain("<div>{{text}}</div>", ["text"]);
const given = plain("{{what}}{{#if until}}, until {{until}}{{/if}}", ["what", "until"]);

/** @param isAdmin who is taken out of configuration, and shut out nowhere else. */
function buttonsFor(who: string, theirs: readonly Grant[], isAdmin: boolean): Html {
  const fields = { who };
  const isDenied = theirs.some(({ effect }) => effect === "deny");
  const hasGrant = theirs.some(({ effect }) => effect === "allow");
  const week = actForm({ act: "week", fields, label: "A week from now", name: `A week from now: ${who}` });
  const lift = actForm({ act: "lift", fields, label: "Let back in", name: `Let back in: ${who}` });
  const remove = actForm({
    ...{ act: "remove", fields, label: "Remove", name: `Remove: ${who}` },
    confirm: `End what was given to ${who}, and their sessions and keys?`,
  });
  const deny = actForm({
    ...{ act: "deny", fields, label: "Shut out", name: `Shut out: ${who}` },
    confirm: `Shut ${who} out, whatever lets them in?`,
  });
  return concat([...(hasGrant ? [week] : []), remove, ...(isAdmin ? [] : [isDenied ? lift : deny])]);
}
