import type { Elysia } from "elysia";
import pageSource from "../../static/api.html" with { type: "text" };
import openapiText from "../../static/openapi.json" with { type: "text" };
import { jsonText, page, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { arrivalOf } from "../edge/own.ts";
import { isPrincipal } from "../identity/principal.ts";
import { said } from "../pages/language.ts";
import { documentOf } from "../pages/pages.ts";
import { LOGIN_PATH } from "../pages/paths.ts";
import { plain } from "../pages/template.ts";
import { type ApiHouse, closeApi, openApi } from "./own.ts";

/** Imported as text, which the compiler, seeing JSON, does not know. */
const openapi = openapiText as unknown as string;

/** What the management API says of itself: a document for programs, and a page made of it (`npm run docs`). */
export function documentApi(house: ApiHouse): Elysia {
  async function show(arrival: Arrival): Promise<Response> {
    const who = await arrival.identify(arrival, "api");
    if (!isPrincipal(who)) return redirect(302, LOGIN_PATH);
    const look = arrival.lookOf(arrival);
    const content = plain(pageSource, [])({});
    return page(documentOf(look, said("api.title"), content, { wide: true }));
  }

  const app = openApi("document", house)
    .get("/openapi.json", () => jsonText(openapi), {
      own: { needs: "user" },
      detail: { summary: "This document" },
    })
    .get("/docs", ({ request }) => show(arrivalOf(request)));
  return closeApi(app);
}
