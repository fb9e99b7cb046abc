import { EN } from "./languages/en.ts";

/** What is said, and in which language. */

export type WordKey = keyof typeof EN;

/** By the plural rules of the language (Unicode CLDR). */
export type Plural = Readonly<Partial<Record<Intl.LDMLPluralRule, string>>> & { readonly other: string };

/** What a language has to have: every text of the English one. */
export type Words = {
  readonly [Key in WordKey]: (typeof EN)[Key] extends string ? string : Plural;
};

export type Language = {
  /** RFC 5646, such as `en`. */
  readonly tag: string;
  readonly direction: "ltr" | "rtl";
  readonly words: Words;
};

export const ENGLISH: Language = { tag: "en", direction: "ltr", words: EN };

/** So many of a unit, said in the words of the language that it is said in. */
export type Amount = { readonly amount: number; readonly unit: "second" | "minute" };

type Spoken = string | Amount;

type Sentence<Key extends WordKey> = (typeof EN)[Key] extends string
  ? (typeof EN)[Key]
  : (typeof EN)[Key] extends { readonly other: infer Other }
    ? Other
    : never;
type Hole<Text> = Text extends `${string}{${infer Name}}${infer Rest}` ? Name | Hole<Rest> : never;
type Values<Key extends WordKey> = Readonly<Record<Hole<Sentence<Key>>, Spoken>>;

/** A text with what goes into it, in no language yet. */
export type Said = { readonly word: WordKey; readonly values: Readonly<Record<string, Spoken>> };

/** What is shown to people in their language; or a string, that of an operator or for programs, as it is. */
export type Text = Said | string;

export function said<Key extends WordKey>(
  word: Key,
  ...[values]: [Hole<Sentence<Key>>] extends [never] ? [] : [Values<Key>]
): Said {
  return { word, values: values ?? {} };
}

/** As plain text. */
export function say(language: Language, text: Text): string {
  if (typeof text === "string") return text;
  const { word, values } = text;
  const sentence = sentenceOf(language, word, values.count);
  return fillIn(sentence.replaceAll("**", ""), (name) => {
    const value = values[name] ?? "";
    const text =
      name === COUNT && typeof value === "string" ? counted(language, value) : spoken(language, value);
    return isolated(language, text);
  });
}

export function spoken(language: Language, value: Spoken): string {
  if (typeof value === "string") return value;
  const { amount, unit } = value;
  return new Intl.NumberFormat(language.tag, { style: "unit", unit, unitDisplay: "long" }).format(amount);
}

/** A time, milliseconds since the Unix epoch, for whoever sees it without a script that would make it theirs. */
export function inUtc(
  { tag }: Language,
  at: number,
  what: "time" | "date and time" = "date and time",
): string {
  const style = what === "time" ? TIME : DATE_AND_TIME;
  return new Intl.DateTimeFormat(tag, style).format(at);
}

const TIME = { hour: "numeric", minute: "2-digit", timeZone: "UTC", timeZoneName: "short" } as const;
const DATE_AND_TIME = { dateStyle: "long", timeStyle: "long", timeZone: "UTC" } as const;

/** Where what surrounds it is written from right to left, it keeps its own direction and order (UAX #9, FSI and PDI). */
export function isolated({ direction }: Language, text: string): string {
  return direction === "rtl" ? `\u2068${text}\u2069` : text;
}

/** What a text calls that by which its plural form is chosen. */
export const COUNT = "count";

/** A number in the digits of the language. */
export function counted({ tag }: Language, count: string): string {
  return new Intl.NumberFormat(tag).format(Number(count));
}

/** The text itself, in the plural form that goes with `count`. */
export function sentenceOf({ tag, words }: Language, word: WordKey, count: unknown): string {
  const sentence: string | Plural = words[word];
  if (typeof sentence === "string") return sentence;
  return formOf(sentence, new Intl.PluralRules(tag).select(Number(count)));
}

function formOf(plural: Plural, rule: Intl.LDMLPluralRule): string {
  return plural[rule] ?? plural.other;
}

/** Names of what goes into a text. */
export function holesIn(sentence: string | Plural): string[] {
  const text = typeof sentence === "string" ? sentence : sentence.other;
  return [...text.matchAll(HOLE)].flatMap(([, name]) => name ?? []);
}

export function fillIn(sentence: string, filling: (name: string) => string): string {
  return sentence.replace(HOLE, (_, name: string) => filling(name));
}

const HOLE = /\{(\w+)\}/g;
