import type { AdminScreen } from "../admin/screen.ts";
import type { House } from "../house.ts";
import { DAY } from "../option/values.ts";
import { actForm, bdi, pageLinks, searchForm, statusOf, tableOf, timeOf, withNote } from "../pages/tables.ts";
import { concat, type Html, type Value } from "../pages/template.ts";
import { type ApiKey, endOf } from "./record.ts";
import type { ApiKeys, KeyStatus } from "./service.ts";

const PAGE = 50;
const SOON = 7 * DAY;

/** All API keys, those first that somebody should look at: unused, then ending soon. Disabling one, and ending it. */
export function keyScreen({ apiKeys }: Pick<House, "apiKeys">): AdminScreen {
  return {
    id: "keys",
    label: "Keys",
    notices: {
      disabled: "It opens nothing any more.",
      enabled: "It is good again.",
      ended: "It is ended for good.",
    },

    async show({ query, now }) {
      const owner = query.get("owner")?.trim().toLowerCase() ?? "";
      const all = (await apiKeys.list(owner === "" ? undefined : owner)).map((key) => ({
        key,
        status: apiKeys.statusOf(key),
      }));
      all.sort((a, b) => urgencyOf(a, now) - urgencyOf(b, now) || a.key.expiresAt - b.key.expiresAt);
      const from = /^\d{1,6}$/.test(query.get("cursor") ?? "") ? Number(query.get("cursor")) : 0;
      return concat([
        searchForm([
          { name: "owner", label: "Whose", value: owner, hint: "ada@example.org or service:backup" },
        ]),
        tableOf({
          caption: owner === "" ? "API keys, unused and ending ones first" : `API keys of ${owner}`,
          columns: ["Key", "Owner", "Opens", "State", "Last used", "Made", "Ends", "What to do"],
          rows: all.slice(from, from + PAGE).map((one) => rowOf(one, now)),
          empty: "There are none.",
          live: "keys",
        }),
        pageLinks(query, from + PAGE < all.length ? `${from + PAGE}` : undefined),
      ]);
    },

    acts: {
      disable: ({ admin }, fields) => update(apiKeys, admin, fields, true),
      enable: ({ admin }, fields) => update(apiKeys, admin, fields, false),
      async end({ admin }, { id = "" }) {
        const ended = await apiKeys.revoke(id, { name: admin, isAdmin: true });
        return ended === undefined ? { error: GONE } : { done: "ended" };
      },
    },
  };
}

const GONE = "There is no such key any more.";

async function update(
  apiKeys: ApiKeys,
  admin: string,
  { id = "" }: Readonly<Record<string, string>>,
  disabled: boolean,
) {
  const done = await apiKeys.update(id, { disabled }, { name: admin, isAdmin: true });
  if ("refused" in done)
    return { error: done.refused === "not_found" ? GONE : "That cannot be done with this key." };
  return { done: disabled ? "disabled" : "enabled" };
}

type Shown = { readonly key: ApiKey; readonly status: KeyStatus };

/** Smaller first. */
function urgencyOf({ key, status }: Shown, now: number): number {
  if (status === "unused") return 0;
  if (status === "active") return isEnding(key, now) ? 1 : 2;
  return status === "disabled" ? 3 : 4;
}

function isEnding({ expiresAt }: ApiKey, now: number): boolean {
  return expiresAt - now < SOON;
}

function rowOf({ key, status }: Shown, now: number): Value[] {
  const { id, owner, description, routes, usedAt, usedFrom, createdAt, createdBy } = key;
  const end = endOf(key);
  const name = description ?? id;
  return [
    description === null ? bdi(id) : withNote(bdi(description), bdi(id)),
    bdi(owner),
    routes.includes("*") ? "all applications of theirs" : bdi(routes.join(", ")),
    stateOf(status, isEnding(key, now)),
    usedAt === null ? "never" : withNote(timeOf(usedAt, now), bdi(usedFrom ?? "")),
    createdBy === owner ? timeOf(createdAt, now) : withNote(timeOf(createdAt, now), bdi(createdBy)),
    end === undefined ? "never" : timeOf(end, now),
    buttonsFor(id, `${name} of ${owner}`, status),
  ];
}

function stateOf(status: KeyStatus, ends: boolean): Html {
  if (status === "active") return ends ? statusOf("ends soon", "warning") : statusOf("active", "good");
  return statusOf(status, status === "unused" ? "warning" : "bad");
}

function buttonsFor(id: string, which: string, status: KeyStatus): Html {
  const isDisabled = status === "disabled";
  const label = isDisabled ? "Enable" : "Disable";
  const toggle = actForm({
    ...{ act: isDisabled ? "enable" : "disable", fields: { id } },
    ...{ label, name: `${label} ${which}` },
  });
  const end = actForm({
    ...{ act: "end", fields: { id }, label: "End", name: `End ${which}` },
    confirm: `End ${which} for good? What uses it gets in no more, and it cannot be undone.`,
  });
  return concat(status === "expired" ? [end] : [toggle, end]);
}
