import { PLACEHOLDERS } from "./placeholders.ts";

/** What is wrong with a template of a mail, found when it is read and not when somebody waits for the mail. */
export type TemplateProblem = {
  /** The first is 1. */
  readonly line: number;
  /** A clause that follows what it is about. */
  readonly problem: string;
  readonly remedy: string;
};

/** @returns what is wrong, in the order it stands; nothing for one that is good. */
export function checkTemplate(written: string, kind: "text" | "html"): readonly TemplateProblem[] {
  const lineAt = (index: number) => written.slice(0, index).split("\n").length;
  const control = /\p{Cc}/u.exec(written.replace(/[\t\r\n]/g, " "));
  if (control !== null) {
    const line = lineAt(control.index);
    return [{ line, problem: "contains a control character", remedy: "Write plain text." }];
  }
  const problems = unknownPlaceholders(written, lineAt);
  // A link in a comment is none.
  const seen = kind === "html" ? written.replace(/<!--[\s\S]*?-->/g, "") : written;
  if (!seen.includes("{login_url}")) {
    const problem = "does not contain {login_url}, so nobody could sign in";
    problems.push({ line: 1, problem, remedy: "Add {login_url} where the link goes." });
  }
  return kind === "html" ? [...problems, ...checkHtml(written, lineAt)] : problems;
}

/** Only what looks like a name counts: the braces of a style sheet are none of our business. */
export function unknownPlaceholders(
  written: string,
  lineAt: (index: number) => number = () => 1,
): TemplateProblem[] {
  const unknown = [...written.matchAll(/\{(\w+)\}/g)].filter(
    ([, name]) => !PLACEHOLDERS.some((known) => known === name),
  );
  const [first] = unknown;
  if (first === undefined) return [];
  const names = new Set(unknown.map(([name]) => name));
  return [
    {
      line: lineAt(first.index),
      problem: `contains ${[...names].join(", ")}, which stands for nothing`,
      remedy: `The placeholders are ${PLACEHOLDERS.map((name) => `{${name}}`).join(", ")}.`,
    },
  ];
}

/** Elements without content, and those whose end may be left out (HTML §13.1.2). */
const VOID = "area base br col embed hr img input link meta source track wbr".split(" ");
const OPEN_ENDED = "html head body p li dt dd tr td th thead tbody tfoot colgroup option".split(" ");
/** A tag with its attributes, values in quotes or without; a comment; or the beginning of either that has no end. */
const MARKUP =
  /<!--(?:[\s\S]*?(-->)|)|<!doctype[^>]*>|<(\/?)([a-z][a-z0-9:-]*)((?:"[^"]*"|'[^']*'|[^"'<>])*)(>|)/gi;

/**
 * Stricter than browsers, which read anything in some way: mail programs do not agree on which. What is not closed, or closed
 * in another order, is a mistake.
 */
function checkHtml(written: string, lineAt: (index: number) => number): TemplateProblem[] {
  const problems: TemplateProblem[] = [];
  const open: { readonly name: string; readonly line: number }[] = [];
  const report = (line: number, problem: string, remedy: string) => problems.push({ line, problem, remedy });
  let skipUntil: number | undefined;

  for (const {
    0: whole,
    1: commentEnd,
    2: slash,
    3: tag,
    4: attributes = "",
    5: end,
    index,
  } of written.matchAll(MARKUP)) {
    if (skipUntil !== undefined && index < skipUntil) continue;
    const line = lineAt(index);
    if (whole.startsWith("<!--") && commentEnd === undefined) {
      report(line, "begins a comment that never ends", "Add --> where it ends.");
      break;
    }
    if (tag === undefined) continue;
    const name = tag.toLowerCase();
    if (end === "") {
      report(
        line,
        `begins <${slash}${name} and does not end it`,
        "Add the > or the quotation mark that is missing.",
      );
      break;
    }
    if (/=\s*[^\s"'>]*\{login_url\}/.test(attributes)) {
      report(line, "has {login_url} in an attribute without quotes", 'Write href="{login_url}".');
    }
    if (slash === "/") close(name, line);
    else if (!VOID.includes(name) && !attributes.endsWith("/")) {
      open.push({ name, line });
      if (name === "style" || name === "script" || name === "title") {
        const closing = written.toLowerCase().indexOf(`</${name}`, index);
        skipUntil = closing === -1 ? written.length : closing;
      }
    }
  }
  for (const { name, line } of open) {
    if (!OPEN_ENDED.includes(name)) report(line, `opens <${name}>, which is never closed`, `Add </${name}>.`);
  }
  return problems.toSorted((a, b) => a.line - b.line);

  function close(name: string, line: number): void {
    const at = open.findLastIndex((one) => one.name === name);
    if (at === -1) {
      report(line, `closes </${name}>, which is not open`, "Remove it, or open it before.");
      return;
    }
    const inside = open.splice(at).slice(1);
    const unclosed = inside.find((one) => !OPEN_ENDED.includes(one.name));
    if (unclosed === undefined) return;
    report(
      line,
      `closes </${name}> before the <${unclosed.name}> inside it`,
      `Write </${unclosed.name}> first.`,
    );
  }
}
