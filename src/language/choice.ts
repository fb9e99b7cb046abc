import type { Arrival } from "../edge/arrival.ts";
import { type OwnCookie, setCookieLine } from "../edge/cookies.ts";
import { ENGLISH, type Language } from "../pages/language.ts";
import { findLanguage, type Listed, loadedLanguage, loadLanguage } from "../pages/languages.ts";
import { remembering } from "../remembering.ts";
import { acceptedLanguage, lookUp } from "./accept.ts";
import type { LanguageOptions } from "./options.ts";

/** As much of a request as says which language it wants. */
export type Wanting = Partial<Pick<Arrival, "target" | "headers" | "cookies">>;

/** In which language somebody is answered: the configured one, else what they chose, else what their browser asks for. */
export type LanguageChoice = {
  /** Whether visitors may choose. */
  readonly isOpen: boolean;
  readonly cookie: OwnCookie;
  /** To be called before a request is answered. @returns undefined if its language is loaded, which it is but for the first time. */
  prepare(asked: Wanting): Promise<unknown> | undefined;
  /** English for a request that was not prepared. */
  of(asked: Wanting): Language;
  /** For what no request has caused. @param tag of somebody's last known one. */
  usual(tag: string | undefined): Promise<Language>;
  /** The `Set-Cookie` line by which a browser keeps a choice. */
  line(chosen: Listed): string;
  /** The same for one that the address asks for by `?lang=`. */
  lineFor(asked: Wanting): string | undefined;
};

/** The query's word for a language. */
export const LANG = "lang";

/** Browsers keep no cookie longer. */
const COOKIE_DAYS = 400;

export function createLanguageChoice(
  { language: fixed }: LanguageOptions,
  secureCookie: boolean,
): LanguageChoice {
  const name = secureCookie ? "__Host-runegate_language" : "runegate_language";
  const accepted = remembering((field) => acceptedLanguage(field) ?? "none");

  function wanted({ target, headers, cookies }: Wanting): Listed | undefined {
    if (fixed !== undefined) return fixed;
    const [chosen] = cookies?.valuesOf(name) ?? [];
    const named = inQuery(target) ?? (chosen === undefined ? undefined : findLanguage(chosen));
    if (named !== undefined) return named;
    const field = headers?.["accept-language"];
    const best = field === undefined ? "none" : accepted(field);
    return best === "none" ? undefined : best;
  }

  function line({ tag }: Listed): string {
    return setCookieLine(name, tag, { maxAgeSeconds: COOKIE_DAYS * 24 * 60 * 60, secure: secureCookie });
  }

  return {
    isOpen: fixed === undefined,
    cookie: { name, accepts: (value) => findLanguage(value)?.tag === value },

    prepare(asked) {
      const listed = wanted(asked);
      return listed === undefined || loadedLanguage(listed.tag) !== undefined
        ? undefined
        : loadLanguage(listed);
    },

    of(asked) {
      return loadedLanguage(wanted(asked)?.tag ?? ENGLISH.tag) ?? ENGLISH;
    },

    async usual(tag) {
      const listed = fixed ?? (tag === undefined ? undefined : findLanguage(tag));
      return listed === undefined ? ENGLISH : loadLanguage(listed);
    },

    line,

    lineFor({ target }) {
      const listed = fixed === undefined ? inQuery(target) : undefined;
      return listed && line(listed);
    },
  };
}

function inQuery(target: Wanting["target"]): Listed | undefined {
  // Most requests are spared the parsing.
  if (target === undefined || !target.search.includes(`${LANG}=`)) return undefined;
  const tag = new URLSearchParams(target.search).get(LANG);
  return tag === null ? undefined : lookUp(tag.slice(0, 35));
}
