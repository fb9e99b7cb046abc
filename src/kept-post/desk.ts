import type { Clock, Random } from "../clock.ts";
import { type ExtraHeaders, type Failure, failure, Refusal, START } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readWhole } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import type { SignIn } from "../edge/sign-in.ts";
import type { Address } from "../identity/address.ts";
import type { Principal } from "../identity/principal.ts";
import { said } from "../pages/language.ts";
import { KEPT_PATH, type Kept } from "../pages/paths.ts";
import type { Keys } from "../secret/keys.ts";
import type { SessionOptions } from "../session/options.ts";
import type { RecordStore } from "../store/records.ts";
import { createKeptCookie, createOwnerCookie, createOwnerOf, type KeptKey } from "./cookies.ts";
import { createKeptPosts, isForm, isUrlEncoded, type KeptPost } from "./kept.ts";

/** Keeping a form whose session has ended, and sending it on: what requests for the application have to do with it. */

/** For a form to arrive, in milliseconds; people's lines are slower than what our own forms are given. */
const BODY_TIMEOUT_MS = 60_000;
/** By its name and a form's id, the button that sends what is kept is told from a form of the application. */
const MARK = "runegate_kept=";
const MARK_BYTES = MARK.length + 22;

export function createKeptPostDesk(settings: {
  readonly options: Pick<SessionOptions, "sessionTtl" | "cookieDomain"> & {
    readonly keepPost: number;
    readonly magicLinkExpiry: number;
    readonly secureCookie: boolean;
    readonly landingPath: string;
  };
  readonly store: RecordStore;
  readonly keys: Keys;
  readonly signIn: SignIn;
  readonly clock: Clock;
  readonly random: Random;
}) {
  const { options, keys } = settings;
  const posts = createKeptPosts(settings.store, settings.random, settings.clock, {
    most: Math.max(1, options.keepPost),
    lifetime: options.magicLinkExpiry,
  });
  const cookie = createKeptCookie(options.secureCookie);
  const ownerOf = createOwnerOf(keys);
  const ownerCookie = createOwnerCookie(ownerOf, keys, options);
  const isOn = options.keepPost > 0;

  /** Nobody but a page of this host: what a foreign one sends would get past `SameSite` when it is sent again from here. */
  const isFromHere = ({ headers, origin }: Arrival) => headers.origin === origin;

  /** Whose session it was that has ended, or is too old. */
  function lastOwner(arrival: Arrival, who: Principal | undefined): string | undefined {
    return who !== undefined && "email" in who.subject
      ? ownerOf(who.subject.email)
      : ownerCookie.read(arrival);
  }

  async function keep(arrival: Arrival, owner: string): Promise<{ kept: Kept; headers: ExtraHeaders }> {
    const { headers, target, origin } = arrival;
    const body = await bodyOf(arrival);
    if (body === undefined) return { kept: "large", headers: [] };
    const before = cookie.read(arrival);
    if (before !== undefined) await posts.take(before);
    const page = headers.referer?.startsWith(`${origin}/`) ? headers.referer.slice(origin.length) : "";
    const post = {
      owner,
      origin,
      target: target.path + target.search,
      type: headers["content-type"] ?? "",
      page,
    };
    const key = await posts.keep({ ...post, body });
    if (key === undefined) return { kept: "full", headers: [["Set-Cookie", cookie.expire()]] };
    return { kept: "yes", headers: [["Set-Cookie", cookie.line(key, posts.lifetime)]] };
  }

  async function bodyOf({ headers, request }: Arrival): Promise<Uint8Array | undefined> {
    if (Number(headers["content-length"] ?? 0) > options.keepPost) return undefined;
    try {
      return await readWhole(request, options.keepPost, BODY_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof Refusal && error.failure.status === 413) return undefined;
      throw error;
    }
  }

  /** What the button of the page was pressed for, if it is that button. */
  async function takeFor(arrival: Arrival, key: KeptKey, who: Principal): Promise<KeptPost | undefined> {
    const { origin, target } = arrival;
    const post = await posts.look(key);
    const isTheirs =
      "email" in who.subject && post !== undefined && ownerOf.is(post.owner, who.subject.email);
    if (!isTheirs || post.origin !== origin || post.target !== target.path + target.search) return undefined;
    return posts.take(key);
  }

  return {
    isOn,
    posts,
    cookie,
    ownerCookie,
    ownerOf,

    /** Where somebody goes who has signed in: by way of what they had written. */
    onward: (arrival: Arrival, href: string) =>
      isOn && cookie.read(arrival) !== undefined ? `${KEPT_PATH}?next=${encodeURIComponent(href)}` : href,

    /** For whoever signs in: whose session it was, once it has ended. */
    remember: (email: Address): ExtraHeaders => (isOn ? [["Set-Cookie", ownerCookie.line(email)]] : []),

    /** Nothing of it is left. @throws {StoreUnavailable} */
    async forget(arrival: Arrival): Promise<ExtraHeaders> {
      if (!isOn) return [];
      const key = cookie.read(arrival);
      if (key !== undefined) await posts.take(key);
      return [cookie.expire(), ownerCookie.expire()].map((line) => ["Set-Cookie", line]);
    },

    /**
     * Answers a form of somebody who has to sign in: it is kept, and they are sent to do so.
     * @returns undefined for what is no form of theirs.
     */
    challenge(arrival: Arrival, who: Principal | undefined, again: boolean): Promise<Response> | undefined {
      const { method, headers, request } = arrival;
      if (!isOn || method !== "POST" || !isForm(headers["content-type"] ?? "")) return undefined;
      // Signed in again, an administrator is somebody else than this was written as.
      if (who?.actor !== undefined) return undefined;
      if (!isFromHere(arrival) || !isNavigation(request.headers) || "content-encoding" in headers)
        return undefined;
      const owner = lastOwner(arrival, who);
      if (owner === undefined) return undefined;
      return keep(arrival, owner).then(({ kept, headers: cookies }) => {
        const response = settings.signIn(arrival, 303, options.landingPath, again, kept);
        for (const [name, value] of cookies) response.headers.append(name, value);
        return response;
      });
    },

    /**
     * Puts what is kept in the place of the button that sends it.
     * @returns undefined where this cannot be that button; else the request to go on with, or an answer.
     */
    substitute(arrival: Arrival, who: Principal | undefined): Promise<Arrival | Response> | undefined {
      const { method, headers, request } = arrival;
      if (!isOn || method !== "POST" || headers["content-length"] !== String(MARK_BYTES)) return undefined;
      const key = cookie.read(arrival);
      if (key === undefined || who === undefined || !isUrlEncoded(headers["content-type"] ?? ""))
        return undefined;
      if (!isFromHere(arrival) || !isNavigation(request.headers)) return undefined;
      return readWhole(request, MARK_BYTES, BODY_TIMEOUT_MS).then(async (body) => {
        if (Buffer.from(body).toString() !== MARK + key.id)
          return withBody(arrival, headers["content-type"] ?? "", body);
        const post = await takeFor(arrival, key, who);
        return post === undefined ? failure(arrival, NOT_KEPT) : withBody(arrival, post.type, post.body);
      });
    },
  };
}

export type KeptPostDesk = ReturnType<typeof createKeptPostDesk>;

/** The same request with another body. */
function withBody(arrival: Arrival, type: string, body: Uint8Array): Arrival {
  const headers = { ...arrival.headers, "content-type": type, "content-length": String(body.byteLength) };
  const { url, method, signal } = arrival.request;
  const request = new Request(url, {
    method,
    headers,
    body: new Blob([body as Uint8Array<ArrayBuffer>]),
    signal,
  });
  return { ...arrival, headers, request };
}

const NOT_KEPT: Failure = {
  status: 409,
  error: "not_kept",
  title: said("kept.goneTitle"),
  message: said("kept.gone"),
  action: START,
};
