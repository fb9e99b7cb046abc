import { badRequest, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { type AnswerOwn, handlersAt, ownRoutes } from "../edge/own.ts";
import { cutTarget, placeOf } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import { pathOnHost } from "../login/next.ts";
import { said } from "../pages/language.ts";
import { findLanguage } from "../pages/languages.ts";
import { LANGUAGE_PATH, OWN_PREFIX, START_PATH } from "../pages/paths.ts";

/** The menu of languages below every page. */
export function languageRoom(
  { languages, guardPost }: Pick<House, "languages" | "guardPost">,
  rooms: () => readonly Room[],
): Room {
  const { isOpen, cookie, line } = languages;

  /** Back to the page that it was chosen on; not to one that only a form leads to. */
  function backTo(sent: string | undefined): string {
    const back = pathOnHost(sent);
    if (back === undefined) return START_PATH;
    const { path } = cutTarget(back, 0);
    if (placeOf(path) !== "own") return back;
    const isPage = rooms().some(({ paths }) => paths !== undefined && handlersAt(paths, path)?.GET);
    return isPage ? back : START_PATH;
  }

  async function choose(arrival: Arrival): Promise<Response> {
    guardPost(arrival);
    const { lang = "", back } = await readFields(arrival.request);
    const chosen = findLanguage(lang);
    if (chosen === undefined) throw badRequest(said("request.language"));
    return redirect(303, backTo(back), [["Set-Cookie", line(chosen)]]);
  }

  const own = ownRoutes("language", [
    { path: LANGUAGE_PATH.slice(OWN_PREFIX.length), handlers: { POST: choose } },
  ]);
  return { ...(isOpen ? own : { name: "language" }), cookies: [cookie] };
}

/** Has a browser keep the language that an address of ours asks for by `?lang=`. */
export function keepingLanguage({ languages }: Pick<House, "languages">, answer: AnswerOwn): AnswerOwn {
  return async (arrival) => {
    const response = await answer(arrival);
    const line = languages.lineFor(arrival);
    if (line !== undefined) response.headers.append("Set-Cookie", line);
    return response;
  };
}
