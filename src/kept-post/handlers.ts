import { type ExtraHeaders, page, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import type { House } from "../house.ts";
import { createVisits } from "../login/visit.ts";
import { keptPage } from "../pages/pages.ts";
import { LOGIN_PATH } from "../pages/paths.ts";
import { fieldsOf } from "./kept.ts";

/** Shown of a form: nobody reads more. */
const MOST_FIELDS = 30;
const MOST_CHARACTERS = 60;

export function createKeptPostHandlers(house: House) {
  const { keptPosts, guardPost } = house;
  const { posts, cookie, ownerOf } = keptPosts;
  const visits = createVisits(house);
  const gone: ExtraHeaders = [["Set-Cookie", cookie.expire()]];

  async function show(arrival: Arrival): Promise<Response> {
    const next = visits.destination(arrival, new URLSearchParams(arrival.target.search).get("next"));
    const key = cookie.read(arrival);
    const post = key && (await posts.look(key));
    if (key === undefined || post === undefined || post.origin !== arrival.origin) {
      return redirect(303, next, gone);
    }
    const found = await visits.findSession(arrival);
    if (found === undefined) return redirect(303, LOGIN_PATH);
    const look = arrival.lookOf(arrival, post.target);
    if (!ownerOf.is(post.owner, found.principal.subject.email)) {
      await posts.take(key);
      return page(keptPage(look, { post: undefined, next }), 200, gone);
    }
    const fields = fieldsOf(post)
      .slice(0, MOST_FIELDS)
      .map((name) => name.slice(0, MOST_CHARACTERS));
    return page(
      keptPage(look, { post: { id: key.id, target: post.target, fields }, next: post.page || next }),
    );
  }

  async function drop(arrival: Arrival): Promise<Response> {
    guardPost(arrival);
    const { next } = await readFields(arrival.request);
    const key = cookie.read(arrival);
    if (key !== undefined) await posts.take(key);
    return redirect(303, visits.destination(arrival, next), gone);
  }

  return { show, drop };
}
