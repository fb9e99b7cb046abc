import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { findLanguage, LANGUAGES, type Listed } from "../pages/languages.ts";

export type LanguageOptions = OptionsOf<typeof LANGUAGE_OPTIONS>;

const TAGS = LANGUAGES.map(({ tag }) => tag);

export const LANGUAGE_OPTIONS = {
  language: {
    name: "RUNEGATE_LANGUAGE",
    parse: parseLanguage,
    default: unset("each visitor's own"),
    help:
      "The one language of all pages and mails. Left unset, the browser says which (`Accept-Language`), and a menu below every page " +
      `changes it; English where there is no other way to know. There are ${TAGS.map((tag) => `\`${tag}\``).join(", ")}.`,
    words: TAGS,
  },
} satisfies Declaration;

function parseLanguage(text: string): Listed {
  const found = findLanguage(text);
  if (found !== undefined) return found;
  throw new ValueError(`is no language that there is: ${quote(text)}`, `Write one of ${TAGS.join(", ")}.`);
}
