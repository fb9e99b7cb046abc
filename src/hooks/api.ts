import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, closeApi, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import type { HookState } from "./hooks.ts";
import { placeText } from "./table.ts";

/** Hooks, for the operator: which there are, and trying one. */

const COUNT = t.Number({ minimum: 0, multipleOf: 1 });

const Listed = closed({
  name: t.String(),
  mode: t.Union([t.Literal("notify"), t.Literal("decide")]),
  url: t.String({ description: "without its query" }),
  events: t.Array(t.String()),
  on_error: t.Union([t.String(), t.Null()], { description: "of one that decides" }),
  waiting: t.Number({ minimum: 0, multipleOf: 1, description: "what it has not been told yet" }),
  off_since: t.Union([TIME, t.Null()], { description: "since it said 410" }),
});
export type ListedHook = Static<typeof Listed>;

const Tested = closed({
  status: t.Union([COUNT, t.Null()], { description: "null where it gave no answer" }),
  text: t.String({ description: "the beginning of its answer, or why there is none" }),
  milliseconds: COUNT,
});
export type TestedHookItem = Static<typeof Tested>;

export function hookApi(house: ApiHouse & Pick<House, "hooks">): Elysia {
  const { hooks } = house;
  const app = openApi("hooks", house)
    .get(
      "/hooks",
      async ({ principal, query }) =>
        takePage((await hooks.list()).map(listed), ({ name }) => name, query.cursor, principal),
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Listed) },
        detail: { summary: "Hooks, by name" },
      },
    )
    .post(
      "/hooks/:name/test",
      async ({ params }) => {
        const tested = await hooks.test(params.name);
        if (tested === undefined) throw new Refusal({ ...NOT_FOUND, message: "There is no such hook." });
        return { ...tested, status: tested.status ?? null };
      },
      {
        own: { needs: "operator" },
        params: t.Object({ name: t.String({ pattern: "^[a-z0-9-]{1,32}$" }) }),
        response: { 200: Tested },
        detail: {
          summary: "Send a signed event of type `test` to a hook",
          description: "One that said 410 is told again from the moment that it takes this.",
        },
      },
    );
  return closeApi(app);
}

function listed({ hook, waiting, offSince }: HookState): ListedHook {
  const { name, mode, place, events, onError = "deny" } = hook;
  return {
    ...{ name, mode, url: placeText(place), events: [...events], waiting },
    on_error: mode === "decide" ? onError : null,
    off_since: offSince === undefined ? null : timeOf(offSince),
  };
}
