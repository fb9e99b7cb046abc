import { ENGLISH, type Language, type Words } from "./language.ts";

/** The languages there are. The file of one is read when somebody first wants it. */
export type Listed = Pick<Language, "tag" | "direction"> & {
  /** What it calls itself. */
  readonly name: string;
  /** Tags by which it is asked for besides its own, in small letters. */
  readonly also?: readonly string[];
  readonly load: () => Promise<{ readonly WORDS: Words }>;
};

const ltr = "ltr";

/** In the order of their own names, as the menu has them. */
export const LANGUAGES: readonly Listed[] = [
  { tag: "cs", name: "Čeština", direction: ltr, load: () => import("./languages/cs.ts") },
  { tag: "de", name: "Deutsch", direction: ltr, load: () => import("./languages/de.ts") },
  { tag: "en", name: "English", direction: ltr, load: async () => ({ WORDS: ENGLISH.words }) },
  { tag: "es", name: "Español", direction: ltr, load: () => import("./languages/es.ts") },
  { tag: "fr", name: "Français", direction: ltr, load: () => import("./languages/fr.ts") },
  { tag: "it", name: "Italiano", direction: ltr, load: () => import("./languages/it.ts") },
  { tag: "nl", name: "Nederlands", direction: ltr, load: () => import("./languages/nl.ts") },
  { tag: "pl", name: "Polski", direction: ltr, load: () => import("./languages/pl.ts") },
  { tag: "pt", name: "Português", direction: ltr, load: () => import("./languages/pt.ts") },
  { tag: "tr", name: "Türkçe", direction: ltr, load: () => import("./languages/tr.ts") },
  { tag: "ru", name: "Русский", direction: ltr, load: () => import("./languages/ru.ts") },
  { tag: "uk", name: "Українська", direction: ltr, load: () => import("./languages/uk.ts") },
  { tag: "ar", name: "العربية", direction: "rtl", load: () => import("./languages/ar.ts") },
  {
    tag: "zh-Hans",
    name: "简体中文",
    direction: ltr,
    also: ["zh", "zh-cn", "zh-sg"],
    load: () => import("./languages/zh.ts"),
  },
  { tag: "ja", name: "日本語", direction: ltr, load: () => import("./languages/ja.ts") },
  { tag: "ko", name: "한국어", direction: ltr, load: () => import("./languages/ko.ts") },
];

/** By all names, in small letters. */
const byTag = new Map(
  LANGUAGES.flatMap((one) => [one.tag, ...(one.also ?? [])].map((tag) => [low(tag), one])),
);

const loaded = new Map<string, Language>([[ENGLISH.tag, ENGLISH]]);

/** The one that is meant by a tag (RFC 5646), in any case. */
export function findLanguage(tag: string): Listed | undefined {
  return byTag.get(low(tag));
}

/** @returns undefined until it is loaded. */
export function loadedLanguage(tag: string): Language | undefined {
  return loaded.get(tag);
}

export async function loadLanguage({ tag, direction, load }: Listed): Promise<Language> {
  const { WORDS } = await load();
  const language = loaded.get(tag) ?? { tag, direction, words: WORDS };
  loaded.set(tag, language);
  return language;
}

function low(tag: string): string {
  return tag.toLowerCase();
}
