import type { DayPoint } from "../metrics/day.ts";
import { adminPath } from "../pages/paths.ts";
import { factsOf, linkTo, statusOf as stateOf } from "../pages/tables.ts";
import { concat, type Html, plain, type Value } from "../pages/template.ts";
import { chartOf } from "./chart.ts";
import type { AdminScreen } from "./screen.ts";
import { type Status, type StatusHouse, statusOf, totalOf } from "./status.ts";

const chartGrid = plain('<div class="charts">\n{{charts}}</div>\n', ["charts"]);

/** How things are: who is signed in, what waits, what is closed, what runs, and the last day in four charts. */
export function overviewScreen(house: StatusHouse): AdminScreen {
  return {
    id: "",
    label: "Overview",
    async show() {
      const status = await statusOf(house);
      return concat([factsOf(factsFrom(status)), charts(status.day)]);
    },
  };
}

function factsFrom({ sessions, mail, applications, store, version, day }: Status): [string, Value][] {
  const closed = applications.filter((one) => one.closed !== undefined).length;
  const at = (screen: string, value: Value) => linkTo(adminPath(screen), value);
  return [
    ["Sessions", at("sessions", `${sessions ?? "?"}`)],
    ["Logins of the last day", `${totalOf(day, "logins")}`],
    ["Refusals of the last day", `${totalOf(day, "refusals")}`],
    ["Mail that waits", at("mail", `${mail?.waiting ?? "?"}`)],
    ["Mail that failed", at("mail", mail?.failed ? stateOf(`${mail.failed}`, "bad") : "0")],
    ["Applications", at("routes", `${applications.length}`)],
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
