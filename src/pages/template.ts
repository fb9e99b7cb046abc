import {
  COUNT,
  counted,
  ENGLISH,
  fillIn,
  holesIn,
  isolated,
  type Language,
  sentenceOf,
  type WordKey,
} from "./language.ts";

/**
 * HTML with holes: `{{name}}`, `{{@word}}` (a text in the language of whoever reads it, with values of the template in it),
 * `{{#if name}}…{{/if}}`, `{{#unless name}}…{{/unless}}`, the last two nestable. Everything that can be wrong with a template is
 * found when it is loaded or type-checked, never at a visitor.
 */

const markup: unique symbol = Symbol("markup");

/** What a template made; the one kind of value that is not escaped again. */
export type Html = { readonly [markup]: string };

/** `undefined` and `""` show nothing and are false to `#if`. */
export type Value = string | Html | undefined;

type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "value"; readonly name: string }
  | { readonly kind: "word"; readonly word: WordKey }
  | { readonly kind: "if" | "unless"; readonly name: string; readonly parts: Part[] };

/**
 * A template, compiled when it is first rendered, so that no start waits for pages that nobody asks for.
 * @param names of all its values: the same ones as in `source`, so that the type of the result can ask for them.
 * @returns what renders it. @throws {SyntaxError} from there, as {@link compile} says.
 */
export function template<Name extends string>(
  source: string,
  names: readonly Name[],
): (language: Language, values: Readonly<Record<Name, Value>>) => Html {
  let parts: readonly Part[] | undefined;
  return (language, values) => {
    parts ??= compile(source, names);
    return { [markup]: render(parts, language, values) };
  };
}

/** @throws {SyntaxError} if a tag is malformed or unbalanced, or if `names` and `source` differ. */
export function compile(source: string, names: readonly string[]): readonly Part[] {
  const unused = new Set<string>(names);
  const stack: { readonly kind: string; readonly parts: Part[] }[] = [{ kind: "template", parts: [] }];
  // Splitting on a capture group gives text and tags in turn.
  for (const [index, piece] of source.split(/\{\{(.*?)\}\}/s).entries()) {
    const parts = stack.at(-1)?.parts ?? [];
    if (index % 2 === 0) {
      parts.push({ kind: "text", text: piece });
      continue;
    }
    if (piece.startsWith("/")) {
      if (stack.pop()?.kind !== piece.slice(1)) throw new SyntaxError(`{{${piece}}} closes nothing`);
      continue;
    }
    if (piece.startsWith("@")) {
      const word = piece.slice(1);
      if (!isWord(word)) throw new SyntaxError(`{{${piece}}} is no text there is`);
      for (const hole of holesIn(ENGLISH.words[word])) {
        if (!names.some((known) => known === hole)) throw new SyntaxError(`{{${piece}}} needs {${hole}}`);
        unused.delete(hole);
      }
      parts.push({ kind: "word", word });
      continue;
    }
    const [, keyword, name] = /^(?:#(if|unless) )?(\w+)$/.exec(piece) ?? [];
    if (!names.some((known) => known === name) || name === undefined) {
      throw new SyntaxError(`{{${piece}}} is not a known tag or name`);
    }
    unused.delete(name);
    if (keyword === "if" || keyword === "unless") {
      const block: { kind: "if" | "unless"; name: string; parts: Part[] } = {
        kind: keyword,
        name,
        parts: [],
      };
      parts.push(block);
      stack.push(block);
    } else {
      parts.push({ kind: "value", name });
    }
  }
  const [root] = stack;
  if (root === undefined || stack.length !== 1) throw new SyntaxError("a block is left open");
  if (unused.size > 0) throw new SyntaxError(`the template has no {{${[...unused].join("}}, {{")}}}`);
  return root.parts;
}

function isWord(word: string): word is WordKey {
  return Object.hasOwn(ENGLISH.words, word);
}

/** A template without texts, which is the same in every language. */
export function plain<Name extends string>(
  source: string,
  names: readonly Name[],
): (values: Readonly<Record<Name, Value>>) => Html {
  const rendered = template(source, names);
  return (values) => rendered(ENGLISH, values);
}

/** Puts what templates made one after another. */
export function concat(pieces: readonly Html[]): Html {
  return { [markup]: pieces.map(toText).join("") };
}

/** A string as text that is safe between tags and in a quoted attribute; markup as it is. */
export function toText(value: Value): string {
  if (typeof value === "object") return value[markup];
  return (value ?? "").replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** A text as markup, with values that are escaped unless they are markup. */
export function marked(language: Language, word: WordKey, values: Readonly<Record<string, Value>>): Html {
  const sentence = toText(sentenceOf(language, word, values.count));
  const text = fillIn(sentence.replace(/\*\*(.*?)\*\*/g, "<strong>$1</strong>"), (name) => {
    const value = values[name];
    return name === COUNT && typeof value === "string"
      ? counted(language, value)
      : isolated(language, toText(value));
  });
  return { [markup]: text };
}

function render(parts: readonly Part[], language: Language, values: Readonly<Record<string, Value>>): string {
  return parts
    .map((part) => {
      if (part.kind === "text") return part.text;
      if (part.kind === "word") return toText(marked(language, part.word, values));
      const text = toText(values[part.name]);
      if (part.kind === "value") return text;
      return (part.kind === "if") === (text !== "") ? render(part.parts, language, values) : "";
    })
    .join("");
}
