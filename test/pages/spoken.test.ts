import { expect, test } from "bun:test";
import type { Language, Words } from "../../src/pages/language.ts";
import { EN } from "../../src/pages/languages/en.ts";
import { LANGUAGES } from "../../src/pages/languages.ts";
import { PLAIN } from "../../src/pages/look.ts";
import { mailsIn, pagesIn, SAMPLE } from "./samples.ts";

/** That all that is said on a page comes from the file of its language: in one without any letters, there is no word left. */

const masked = (text: string) => text.replaceAll(/\{\w+\}|[a-z]/gi, (part) => (part.length > 1 ? part : "○"));
const NOTHING: Language = {
  // Whose dates have no Latin letters either.
  ...{ tag: "ja", direction: "ltr" },
  words: Object.fromEntries(
    Object.entries(EN).map(([key, text]) => [
      key,
      typeof text === "string" ? masked(text) : { other: masked(text.other) },
    ]),
  ) as Words,
};
const look = { ...PLAIN, language: NOTHING, back: SAMPLE.path };

/** Names, what people typed, and what a form asks for in the words of HTTP. */
const NOT_OURS = [
  ...Object.values(SAMPLE),
  ...["Runegate", "localhost", "UTC", "Safari", "iOS", "2001:db8::7334", "4f0c19ab2e", "ada"],
  ...["GET, HEAD", "GET", "/api/*", "XXXX-XXXX", "ABCD-2345"],
  ...LANGUAGES.map(({ name }) => name),
];

/** Texts, and attributes that are read out or shown. */
const SPOKEN = ["alt", "aria-label", "placeholder", "title", "data-soon", "data-copied"];
const SPOKEN_TOO = ["data-there", "data-failed", "data-refused", "data-old", "data-full"];

function spokenIn(html: string): string[] {
  const found: string[] = [];
  new HTMLRewriter()
    .on("*", {
      element(element) {
        for (const name of [...SPOKEN, ...SPOKEN_TOO]) found.push(element.getAttribute(name) ?? "");
        // A field that says what it is for by its own value.
        if (element.tagName === "input" && element.getAttribute("type") === "submit") {
          found.push(element.getAttribute("value") ?? "");
        }
      },
    })
    .on("*", { text: ({ text }) => void found.push(text) })
    // What is for browsers without scripts is read as theirs.
    .transform(html.replace(/<style>.*?<\/style>/s, "").replaceAll(/<\/?noscript>/g, ""));
  return found;
}

function wordsIn(html: string): readonly string[] {
  const text = spokenIn(html)
    .join(" ")
    .replaceAll(/&#(\d+);/g, (_, char) => String.fromCharCode(Number(char)))
    .replaceAll(SAMPLE.curl, " ")
    .replaceAll(/https:\/\/\S+/g, " ");
  const longestFirst = NOT_OURS.toSorted((a, b) => b.length - a.length);
  const rest = longestFirst.reduce((left, known) => left.replaceAll(known, " "), text);
  return rest.match(/[a-z]{2,}/gi) ?? [];
}

test.each(Object.entries({ ...pagesIn(look), ...mailsIn(look) }))(
  "%s has no word of its own",
  (_name, html) => {
    expect(wordsIn(html)).toEqual([]);
  },
);

test("a word would be seen, wherever it is", () => {
  const html = `<title>One</title><p title="two">three <b>four</b></p><input placeholder="five"><img alt="six">`;
  expect(wordsIn(html).toSorted()).toEqual(["One", "five", "four", "six", "three", "two"].toSorted());
});
