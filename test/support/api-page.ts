import { concat, type Html, plain as template, toText } from "../../src/pages/template.ts";

/** The OpenAPI document for people: what stands in the frame that all pages have. */

/** As much of JSON Schema as our documents use. */
type Schema = {
  readonly type?: string;
  readonly const?: unknown;
  readonly format?: string;
  readonly description?: string;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
};

type Operation = {
  readonly summary: string;
  readonly description?: string;
  readonly "x-needs": string;
  readonly "x-recent"?: true;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content & { readonly description: string }>>;
};

type Content = { readonly content?: { readonly "application/json": { readonly schema: Schema } } };

export type Document = {
  readonly info: { readonly title: string; readonly description: string; readonly version: string };
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

const overview = template(
  `<h1>{{title}}</h1>
<p>{{description}}</p>
<p class="hint">Version {{version}}. For programs: <a href="/_runegate/api/openapi.json">OpenAPI document</a></p>
{{operations}}
`,
  ["title", "description", "version", "operations"],
);
const operation = template(
  `<article aria-labelledby="{{id}}">
<h2 id="{{id}}">{{summary}}</h2>
<p><code>{{method}} {{path}}</code></p>
{{#if description}}<p>{{description}}</p>
{{/if}}<p class="hint">For {{needs}}{{#if recent}}; a session must have begun within 15 minutes{{/if}}.</p>
{{#if parameters}}<h3>Parameters</h3>
<dl>
{{parameters}}</dl>
{{/if}}{{#if body}}<h3>Body</h3>
<dl>
{{body}}</dl>
{{/if}}<h3>Answer {{status}}{{#if bare}}, without a body{{/if}}</h3>
{{#if answer}}<dl>
{{answer}}</dl>
{{/if}}</article>
`,
  [
    ...["id", "method", "path", "summary", "description"],
    ...["needs", "recent", "parameters", "body", "status", "bare", "answer"],
  ],
);
const field = template(
  `<dt><code>{{name}}</code></dt>
<dd>{{type}}{{#if description}}: {{description}}{{/if}}</dd>
`,
  ["name", "type", "description"],
);

const plain = template("{{text}}", ["text"]);
const code = template("<code>{{text}}</code>", ["text"]);

/** Whom the values of `x-needs` mean. */
const NEEDS: Readonly<Record<string, string>> = {
  user: "whoever is signed in or shows a bearer, and the operator on the control socket",
  admin: "administrators, and the operator on the control socket",
  operator: "the operator, on the control socket",
};

export function renderApiPage({ info, servers, paths }: Document): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) =>
      article(method.toUpperCase(), servers[0]?.url + path, one),
    ),
  );
  const { title, description, version } = info;
  const shown = { title, description: proseOf(description), version, operations: concat(operations) };
  return toText(overview(shown));
}

function article(method: string, path: string, one: Operation): Html {
  const [status = "", answer] = Object.entries(one.responses)[0] ?? [];
  const asked = (one.parameters ?? []).map((parameter) => {
    const where = parameter.in === "path" ? "in the path" : "in the query";
    return fieldOf(parameter.name, parameter.schema, parameter.required ? where : `${where}, optional`);
  });
  return operation({
    id: `${method}${path}`.toLowerCase().replace(/[^a-z]+/g, "-"),
    method,
    path,
    summary: one.summary,
    description: proseOf(one.description),
    needs: NEEDS[one["x-needs"]] ?? one["x-needs"],
    recent: one["x-recent"] === true ? "yes" : "",
    parameters: concat(asked),
    body: fieldsOf(schemaOf(one.requestBody)),
    status,
    bare: answer?.content === undefined ? "yes" : "",
    answer: fieldsOf(schemaOf(answer)),
  });
}

/** What stands between backticks is code. */
function proseOf(text: string | undefined): Html {
  return concat((text ?? "").split("`").map((part, i) => (i % 2 === 0 ? plain : code)({ text: part })));
}

function schemaOf(content: Content | undefined): Schema {
  return content?.content?.["application/json"].schema ?? {};
}

/** The fields of an object, those of what it lists by their path. */
function fieldsOf(schema: Schema, before = ""): Html {
  return concat(
    Object.entries(schema.properties ?? {}).map(([name, value]) => {
      const path = before + name;
      const optional = schema.required?.includes(name) ? "" : "optional";
      const inner =
        value.items === undefined ? fieldsOf(value, `${path}.`) : fieldsOf(value.items, `${path}[].`);
      return concat([fieldOf(path, value, optional), inner]);
    }),
  );
}

function fieldOf(name: string, schema: Schema, note: string): Html {
  const type = [typeOf(schema), note].filter((part) => part !== "").join(", ");
  return field({ name, type, description: proseOf(schema.description) });
}

function typeOf({ type, const: only, format, anyOf }: Schema): string {
  if (anyOf !== undefined) return anyOf.map(typeOf).join(" or ");
  if (only !== undefined) return JSON.stringify(only);
  return format ?? type ?? "";
}
