import type { AuditEntry } from "../audit/entry.ts";
import type { House } from "../house.ts";
import type { DayPoint } from "../metrics/day.ts";
import { DAY } from "../option/values.ts";
import { adminPath } from "../pages/paths.ts";
import { bdi, factsOf, linkTo, statusOf as stateOf, tableOf } from "../pages/tables.ts";
import { concat, type Html, plain, type Value } from "../pages/template.ts";
import { chartOf } from "./chart.ts";
import type { AdminScreen } from "./screen.ts";
import { type Status, type StatusHouse, statusOf, totalOf } from "./status.ts";

const MOST_LOOKED_AT = 200;
const MOST_REASONS = 10;

const chartGrid = plain('<div class="charts" data-live id="charts">\n{{charts}}</div>\n', ["charts"]);

/** How things are: who is signed in, what waits, what is closed, what runs, and the last day in four charts. */
export function overviewScreen(house: StatusHouse & Pick<House, "auditTrail">): AdminScreen {
  return {
    id: "",
    label: "Overview",
    async show({ now }) {
      const [status, refused] = await Promise.all([
        statusOf(house),
        house.auditTrail.find({ outcome: "refused", since: now - DAY }, { limit: MOST_LOOKED_AT }),
      ]);
      return concat([factsOf(factsFrom(status), "facts"), charts(status.day), reasons(refused.items)]);
    },
  };
}

/** Why the latest were refused, what happened most often first. */
function reasons(refused: readonly AuditEntry[]): Html {
  const byReason = [...Map.groupBy(refused, ({ event, reason }) => `${event} ${reason ?? ""}`).values()];
  const counted = byReason.flatMap((all) => {
    const [first] = all;
    return first === undefined ? [] : [{ ...first, count: all.reduce((sum, one) => sum + timesOf(one), 0) }];
  });
  counted.sort((a, b) => b.count - a.count);
  const latest = refused.length === MOST_LOOKED_AT ? " (the latest of them)" : "";
  return tableOf({
    caption: `Why people were refused in the last 24 hours${latest}`,
    columns: ["What", "Why", "How often"],
    rows: counted.slice(0, MOST_REASONS).map(({ event, reason, count }) => {
      const query = new URLSearchParams({ event, outcome: "refused" });
      return [linkTo(`${adminPath("activity")}?${query}`, bdi(event)), bdi(reason ?? ""), `${count}`];
    }),
    empty: "Nobody was.",
    live: "reasons",
  });
}

/** Repetitions within a minute are one entry, which says how many. */
function timesOf({ details }: AuditEntry): number {
  return Number(details.repeated ?? 1);
}

function factsFrom({ sessions, mail, applications, store, version, day }: Status): [string, Value][] {
  const closed = applications.filter((one) => one.closed !== undefined).length;
  const down = applications.filter(({ targets, up }) => up === 0 && targets > 0).length;
  const at = (screen: string, value: Value) => linkTo(adminPath(screen), value);
  return [
    ["Sessions", at("sessions", `${sessions ?? "?"}`)],
    ["Logins of the last day", `${totalOf(day, "logins")}`],
    ["Refusals of the last day", `${totalOf(day, "refusals")}`],
    ["Mail that waits", at("mail", `${mail?.waiting ?? "?"}`)],
    ["Mail that failed", at("mail", mail?.failed ? stateOf(`${mail.failed}`, "bad") : "0")],
    ["Applications", at("routes", `${applications.length}`)],
    ["Applications down", at("routes", down > 0 ? stateOf(`${down}`, "bad") : "0")],
    ["Applications closed", at("routes", closed > 0 ? stateOf(`${closed}`, "warning") : "0")],
    ["Store", store.problem === undefined ? `${store.kind}, ready` : stateOf(store.problem, "bad")],
    ["Version", version],
  ];
}

function charts(day: readonly DayPoint[]): Html {
  const counted = (["requests", "logins", "refusals"] as const).map((what) => ({
    label: LABELS[what],
    figure: numberOf(totalOf(day, what)),
    points: day.map((point) => [point.from, point[what]] as const),
  }));
  const latest = day.findLast(({ p95 }) => p95 !== undefined)?.p95;
  const durations = {
    label: "95 of 100 answered within",
    figure: latest === undefined ? "–" : `${numberOf(latest)} ms`,
    points: day.map((point) => [point.from, point.p95] as const),
  };
  return chartGrid({ charts: concat([...counted, durations].map(chartOf)) });
}

const LABELS = { requests: "Requests", logins: "Logins", refusals: "Refusals" } as const;

function numberOf(value: number): string {
  return new Intl.NumberFormat("en", { maximumFractionDigits: 0 }).format(value);
}
