import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ENGLISH } from "../../src/pages/language.ts";
import { compile, concat, template, toText } from "../../src/pages/template.ts";

describe("values", () => {
  const cases: [value: string | undefined, shown: string][] = [
    ["plain", "plain"],
    ["", ""],
    [undefined, ""],
    ["<b>", "&#60;b&#62;"],
    ["a & b", "a &#38; b"],
    ["&amp;", "&#38;amp;"],
    [`"quoted" 'twice'`, "&#34;quoted&#34; &#39;twice&#39;"],
    ["{{other}}", "{{other}}"],
    ["$& $1 \\", "$&#38; $1 \\"],
    ["zażółć 🗝", "zażółć 🗝"],
  ];
  test.each(cases)("%p shows as %p, in text and in an attribute", (value, shown) => {
    const render = template(`<i title="{{value}}">{{value}}</i>`, ["value"]);
    expect(toText(render(ENGLISH, { value }))).toBe(`<i title="${shown}">${shown}</i>`);
  });

  test("markup of another template is not escaped again", () => {
    const inner = template("<b>{{name}}</b>", ["name"]);
    const outer = template("<p>{{content}}</p>", ["content"]);
    const content = concat([inner(ENGLISH, { name: "<" }), inner(ENGLISH, { name: ">" })]);
    expect(toText(outer(ENGLISH, { content }))).toBe("<p><b>&#60;</b><b>&#62;</b></p>");
  });

  test("an HTML parser reads back what was put in, and nothing else", async () => {
    const render = template(`<i title="{{value}}"></i>`, ["value"]);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom(..."<>&\"'=/ ;#a1x{}`") }), async (value) => {
        const attributes: [string, string][] = [];
        const rewriter = new HTMLRewriter().on("*", {
          element: (element) => {
            attributes.push(...([...element.attributes] as [string, string][]));
          },
        });
        const html = toText(render(ENGLISH, { value }));
        await rewriter.transform(new Response(html)).text();
        expect(attributes).toEqual([["title", toText(value)]]);
        expect(decode(toText(value))).toBe(value);
      }),
    );
  });
});

describe("blocks", () => {
  const cases: [source: string, value: string | undefined, shown: string][] = [
    ["a{{#if x}}b{{/if}}c", "1", "abc"],
    ["a{{#if x}}b{{/if}}c", "", "ac"],
    ["a{{#if x}}b{{/if}}c", undefined, "ac"],
    ["a{{#unless x}}b{{/unless}}c", "1", "ac"],
    ["a{{#unless x}}b{{/unless}}c", undefined, "abc"],
    ["{{#if x}}<{{x}}>{{/if}}", "1", "<1>"],
    ["{{#if x}}a{{#if x}}b{{/if}}c{{/if}}d", "1", "abcd"],
    ["{{#if x}}a{{#unless x}}b{{/unless}}c{{/if}}d", "1", "acd"],
    ["{{#if x}}a{{#if x}}b{{/if}}c{{/if}}d", "", "d"],
  ];
  test.each(cases)("%p with %p gives %p", (source, x, shown) => {
    expect(toText(template(source, ["x"])(ENGLISH, { x }))).toBe(shown);
  });
});

describe("texts", () => {
  test("stand where they are named, with values that are escaped, and emphasis", () => {
    const render = template("<p>{{@start.who}}</p>", ["email"]);
    expect(toText(render(ENGLISH, { email: "<b>" }))).toBe(
      "<p>You are signed in as <strong>&#60;b&#62;</strong>.</p>",
    );
  });

  test("come from the language that is handed in", () => {
    const german = {
      ...{ tag: "de", direction: "ltr" as const },
      words: { ...ENGLISH.words, "start.who": "Sie sind **{email}**." },
    };
    const render = template("{{@start.who}}", ["email"]);
    expect(toText(render(german, { email: "{email}" }))).toBe("Sie sind <strong>{email}</strong>.");
  });
});

describe("refused when loaded", () => {
  const cases: [why: string, source: string, names: string[]][] = [
    ["an unknown name", "{{x}}", []],
    ["a name the file does not use", "plain", ["x"]],
    ["an unknown condition", "{{#if y}}{{x}}{{/if}}", ["x"]],
    ["an unknown keyword", "{{#each x}}{{/each}}", ["x"]],
    ["space inside a tag", "{{ x }}", ["x"]],
    ["an empty tag", "{{}}{{x}}", ["x"]],
    ["a block left open", "{{#if x}}", ["x"]],
    ["a block closed twice", "{{#if x}}{{/if}}{{/if}}", ["x"]],
    ["a block closed by another's end", "{{#if x}}{{/unless}}", ["x"]],
    ["blocks that cross", "{{#if x}}{{#unless x}}{{/if}}{{/unless}}", ["x"]],
    ["a text there is not", "{{@no.such}}{{x}}", ["x"]],
    ["a text that needs what is not there", "{{@start.who}}{{x}}", ["x"]],
    ["the end of the whole template", "{{x}}{{/template}}", ["x"]],
  ];
  test.each(cases)("%s", (_why, source, names) => {
    expect(() => compile(source, names)).toThrow(SyntaxError);
  });
});

function decode(html: string): string {
  return html.replace(/&#(\d+);/g, (_match, digits) => String.fromCharCode(Number(digits)));
}
