import { ENGLISH, inUtc } from "./language.ts";
import { concat, type Html, plain, type Value } from "./template.ts";

/**
 * Tables and forms of the pages for administrators, which are in English alone. On a phone, each row of a table becomes a list of
 * its cells under their headings.
 */

// The roles are what the elements are; a browser forgets them where style makes them blocks.
const table = plain(
  `<div class="table"{{#if live}} data-live id="{{live}}"{{/if}}><table role="table">
<caption>{{caption}}</caption>
<thead role="rowgroup"><tr role="row">{{heads}}</tr></thead>
<tbody role="rowgroup">
{{rows}}</tbody>
</table></div>
`,
  ["live", "caption", "heads", "rows"],
);
const headCell = plain('<th role="columnheader" scope="col">{{label}}</th>', ["label"]);
const rowOf = plain('<tr role="row">{{cells}}</tr>\n', ["cells"]);
const firstCell = plain('<th role="rowheader" scope="row">{{value}}</th>', ["value"]);
const cell = plain('<td role="cell" data-label="{{label}}"><div>{{value}}</div></td>', ["label", "value"]);
const nothing = plain(
  '<div class="table"{{#if live}} data-live id="{{live}}"{{/if}}><h2>{{caption}}</h2>\n<p class="hint">{{empty}}</p></div>\n',
  ["live", "caption", "empty"],
);

// Without an action, a form goes to the address of its page, query included.
const form = plain(
  `<form method="post" class="act"><input type="hidden" name="do" value="{{act}}">{{fields}}<button class="{{#unless confirmed}}quiet {{/unless}}small" type="submit"{{#if name}} aria-label="{{name}}"{{/if}}>{{label}}</button></form>`,
  ["act", "fields", "label", "name", "confirmed"],
);
const asked = plain(
  `<details class="act"><summary{{#if name}} aria-label="{{name}}"{{/if}}>{{label}}…</summary><div class="confirm"><p>{{question}}</p>{{form}}</div></details>`,
  ["label", "name", "question", "form"],
);
const hidden = plain('<input type="hidden" name="{{name}}" value="{{value}}">', ["name", "value"]);
const search = plain(
  `<form method="get" role="search" class="search">
{{fields}}<button class="small" type="submit">{{label}}</button>
</form>
{{#if note}}<p class="hint" role="status">{{note}}</p>
{{/if}}`,
  ["fields", "label", "note"],
);
const field = plain(
  `<div><label for="{{name}}">{{label}}</label><input id="{{name}}" name="{{name}}" type="{{type}}" value="{{value}}" maxlength="500" autocomplete="off" autocapitalize="none" spellcheck="false"{{#if hint}} placeholder="{{hint}}"{{/if}}></div>
`,
  ["name", "label", "type", "value", "hint"],
);
const choice = plain(
  `<div><label for="{{name}}">{{label}}</label><select id="{{name}}" name="{{name}}">{{options}}</select></div>
`,
  ["name", "label", "options"],
);
const option = plain('<option value="{{value}}"{{#if chosen}} selected{{/if}}>{{label}}</option>', [
  ...(["value", "label", "chosen"] as const),
]);
const pages = plain(
  `<nav class="pages" aria-label="Pages">{{#if first}}<a href="{{first}}">First page</a>{{/if}}{{#if next}}<a href="{{next}}" rel="next">Next page</a>{{/if}}</nav>
`,
  ["first", "next"],
);
const list = plain('<dl class="facts"{{#if live}} data-live id="{{live}}"{{/if}}>\n{{facts}}</dl>\n', [
  "live",
  "facts",
]);
const fact = plain("<div><dt>{{name}}</dt><dd>{{value}}</dd></div>\n", ["name", "value"]);
const source = plain(
  '<details class="source"><summary>{{caption}}</summary><pre dir="ltr">{{json}}</pre></details>\n',
  ["caption", "json"],
);
const foreign = plain("<bdi>{{text}}</bdi>", ["text"]);
const noted = plain("{{value}} <small>{{note}}</small>", ["value", "note"]);
const badge = plain('<span class="state {{tone}}">{{word}}</span>', ["tone", "word"]);
const anchor = plain('<a href="{{href}}">{{label}}</a>', ["href", "label"]);
const moment = plain(
  '<time datetime="{{isoTime}}"{{#if near}} data-short{{/if}}{{#unless near}} data-brief{{/unless}}>{{utcTime}}</time>',
  ["isoTime", "near", "utcTime"],
);
const paragraph = plain('<p class="hint">{{text}}</p>\n', ["text"]);

export type Table = {
  readonly caption: string;
  readonly columns: readonly string[];
  /** As many cells as columns; the first one says what the row is about. */
  readonly rows: readonly (readonly Value[])[];
  /** What stands there where there are none. */
  readonly empty: string;
  /** An id on the page, for a table that a script keeps current while nobody is in it. */
  readonly live?: string;
};

export function tableOf({ caption, columns, rows, empty, live }: Table): Html {
  if (rows.length === 0) return nothing({ live, caption, empty });
  const cellsOf = (row: readonly Value[]) =>
    row.map((value, at) => (at === 0 ? firstCell({ value }) : cell({ label: columns[at] ?? "", value })));
  return table({
    ...{ live, caption },
    heads: concat(columns.map((label) => headCell({ label }))),
    rows: concat(rows.map((row) => rowOf({ cells: concat(cellsOf(row)) }))),
  });
}

/** Facts with their names, as boxes side by side. @param live as of a table. */
export function factsOf(facts: readonly (readonly [name: string, value: Value])[], live?: string): Html {
  return list({ live, facts: concat(facts.map(([name, value]) => fact({ name, value }))) });
}

/** What somebody else has written, in whatever direction it is. */
export function bdi(text: string): Html {
  return foreign({ text });
}

export function withNote(value: Value, note: Value): Html {
  return noted({ value, note });
}

const HALF_A_DAY = 12 * 60 * 60_000;

/** A time, milliseconds since the epoch as is `now`: without its day where that is clear. A script makes it the reader's own. */
export function timeOf(at: number, now: number): Html {
  const isNear = Math.abs(at - now) < HALF_A_DAY;
  const isoTime = new Date(at).toISOString();
  const utcTime = isNear ? inUtc(ENGLISH, at, "time") : `${isoTime.slice(0, 16).replace("T", " ")} UTC`;
  return moment({ isoTime, utcTime, near: isNear ? "yes" : "" });
}

/** A state in a word, which stands out. */
export function statusOf(word: string, tone: "good" | "warning" | "bad"): Html {
  return badge({ word, tone });
}

export function linkTo(href: string, label: Value): Html {
  return anchor({ href, label });
}

/** Data as it is, for whoever wants all of it. */
export function jsonOf(caption: string, value: object): Html {
  return source({ caption, json: JSON.stringify(value, null, 2) });
}

export function hint(text: Value): Html {
  return paragraph({ text });
}

/**
 * A form that is one button, and goes to the page that it is on.
 * @param shown.act which of the screen's acts it asks for.
 * @param shown.name what it is called where its row is not seen, if not by its label.
 * @param shown.confirm what is asked before: the button is behind it, for what is not easily undone.
 */
export function actForm(shown: {
  readonly act: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly label: string;
  readonly name?: string;
  readonly confirm?: Value;
}): Html {
  const { act, fields = {}, label, name, confirm } = shown;
  const sent = concat(Object.entries(fields).map(([name, value]) => hidden({ name, value })));
  const confirmed = confirm === undefined ? "" : "yes";
  const button = form({ act, fields: sent, label, name, confirmed });
  return confirm === undefined ? button : asked({ label, name, question: confirm, form: button });
}

/** A field of a search: what to type, or with `options` (value and label) what to choose from. */
export type SearchField = {
  readonly name: string;
  readonly label: string;
  readonly value: string;
  readonly hint?: string;
  readonly type?: "search" | "date" | "url";
  readonly options?: readonly (readonly [value: string, label: string])[];
};

/** A form that asks for the same page with another query. @param note what is said of what was searched for. */
export function searchForm(fields: readonly SearchField[], note?: string, label = "Search"): Html {
  const shown = fields.map(({ name, label, value, hint, type = "search", options }) => {
    if (options === undefined) return field({ name, label, type, value, hint });
    const all = options.map((one) =>
      option({ value: one[0], label: one[1], chosen: one[0] === value ? "yes" : "" }),
    );
    return choice({ name, label, options: concat(all) });
  });
  return search({ fields: concat(shown), note, label });
}

/**
 * Links to the first and the next page of a list, which the query's `cursor` says where to begin.
 * @param query of this page. @param next the cursor of the next page; undefined on the last.
 */
export function pageLinks(query: URLSearchParams, next: string | undefined): Html {
  const at = (cursor: string | undefined) => {
    const other = new URLSearchParams(query);
    other.delete("done");
    if (cursor === undefined) other.delete("cursor");
    else other.set("cursor", cursor);
    return `?${other}`;
  };
  if (next === undefined && !query.has("cursor")) return concat([]);
  return pages({
    first: query.has("cursor") ? at(undefined) : undefined,
    next: next === undefined ? undefined : at(next),
  });
}
