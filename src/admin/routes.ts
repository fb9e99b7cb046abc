import { ADMINS } from "../access/people.ts";
import { badRequest, NOT_FOUND, page, quiet, Refusal, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { ownRoutes } from "../edge/own.ts";
import { withoutPrefix } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import { ADMIN_PATH, adminPath, OWN_PREFIX } from "../pages/paths.ts";
import { linkTo } from "../pages/tables.ts";
import { concat } from "../pages/template.ts";
import { adminApi } from "./api.ts";
import { createGuard } from "./guard.ts";
import { overviewScreen } from "./overview.ts";
import { adminPage } from "./page.ts";
import type { AdminScreen, AdminVisit } from "./screen.ts";

/** The pages for administrators: a frame, and in it the screens that rooms add. */

/** In the navigation; those of other names come after them. */
const ORDER = ["", "sessions", "people", "activity", "keys", "mail", "routes"];

/** @param rooms all there are, asked when a page is. */
export function adminRoom(house: House, rooms: () => readonly Pick<Room, "admin">[]): Room {
  const guard = createGuard(house);
  const overview = overviewScreen(house);
  let known: readonly AdminScreen[] | undefined;

  function screens(): readonly AdminScreen[] {
    known ??= joined([overview, ...rooms().flatMap(({ admin }) => admin ?? [])]);
    return known;
  }

  /** @throws {Refusal} */
  function screenAt(arrival: Arrival): AdminScreen {
    const id = withoutPrefix(arrival.target.path, ADMIN_PATH).replaceAll("/", "");
    const screen = screens().find((one) => one.id === id);
    if (screen === undefined) throw new Refusal(NOT_FOUND);
    return screen;
  }

  async function answer(visit: AdminVisit, screen: AdminScreen, error?: string): Promise<Response> {
    const content = await screen.show(visit);
    const html = adminPage(visit, { screens: screens(), screen, content, error });
    return page(html, error === undefined ? 200 : 400);
  }

  async function show(arrival: Arrival): Promise<Response> {
    const screen = screenAt(arrival);
    const visit = await guard.admit(arrival, screen.recent === true);
    if (visit instanceof Response) return visit;
    const shown = await answer(visit, screen);
    // The script that keeps lists current.
    return arrival.headers["sec-fetch-dest"] === "empty" ? quiet(shown) : shown;
  }

  async function act(arrival: Arrival): Promise<Response> {
    const screen = screenAt(arrival);
    const visit = await guard.admit(arrival, true);
    if (visit instanceof Response) return visit;
    house.guardPost(arrival);
    const fields = await readFields(arrival.request);
    const name = fields.do ?? "";
    const todo = Object.hasOwn(screen.acts ?? {}, name) ? screen.acts?.[name] : undefined;
    if (todo === undefined) throw badRequest("There is nothing of that name to do.");
    const outcome = await todo(visit, fields);
    if ("error" in outcome) return answer(visit, screen, outcome.error);
    if ("go" in outcome) return redirect(303, outcome.go);
    // The same list, searched by the same words.
    const query = new URLSearchParams(visit.query);
    query.set("done", outcome.done);
    return redirect(303, `${adminPath(screen.id)}?${query}`);
  }

  const handlers = { GET: show, POST: act };
  const below = withoutPrefix(ADMIN_PATH, OWN_PREFIX);
  return {
    ...ownRoutes("admin", [
      { path: below, handlers },
      { path: `${below}/*`, handlers },
    ]),
    api: () => adminApi(house),
    account: {
      id: "admin",
      show: ({ found, arrival }) =>
        found.principal.groups.has(ADMINS) && arrival.origin === house.routes.home.origin
          ? { heading: "Administration", content: linkTo(ADMIN_PATH, "Sessions, keys, mail, applications") }
          : undefined,
    },
  };
}

/** Those of one id as one. */
function joined(all: readonly AdminScreen[]): AdminScreen[] {
  const placeOf = ({ id }: AdminScreen) => {
    const at = ORDER.indexOf(id);
    return at === -1 ? ORDER.length : at;
  };
  const byId = [...Map.groupBy(all, ({ id }) => id).values()].flatMap((parts) => {
    const [first, ...others] = parts;
    if (first === undefined || others.length === 0) return first ?? [];
    return {
      ...first,
      ...(parts.some(({ recent }) => recent) ? { recent: true as const } : {}),
      notices: Object.assign({}, ...parts.map(({ notices }) => notices)),
      show: async (visit: AdminVisit) => concat(await Promise.all(parts.map((part) => part.show(visit)))),
      acts: Object.assign({}, ...parts.map(({ acts }) => acts)),
    };
  });
  return byId.sort((a, b) => placeOf(a) - placeOf(b));
}
