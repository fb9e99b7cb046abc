import openapiText from "../../static/openapi.json" with { type: "text" };
import { jsonText, page, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ownRoutes } from "../edge/own.ts";
import type { Room } from "../house.ts";
import { LOGIN_PATH } from "../pages/paths.ts";
import { type ApiHouse, closeApi, openApi } from "./own.ts";

/** Imported as text, which the compiler, seeing JSON, does not know. */
const openapi = openapiText as unknown as string;

/** What the management API says of itself: a document for programs, and a page made of it. */
export function apiRoom(house: ApiHouse): Room {
  const document = openApi("document", house).get("/openapi.json", () => jsonText(openapi), {
    own: { needs: "user" },
    detail: { summary: "This document" },
  });

  async function show(arrival: Arrival): Promise<Response> {
    const who = await arrival.identify(arrival);
    if (who === undefined || who === "refused") return redirect(302, LOGIN_PATH);
    // Seldom asked for, and not made before.
    const { apiPage } = await import("./page.ts");
    return page(apiPage(openapi));
  }

  const { name, app } = ownRoutes("api", [{ path: "/api/docs", handlers: { GET: show } }]);
  return { name, app: app.use(closeApi(document)) };
}
