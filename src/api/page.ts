import pageSource from "../../static/api.html" with { type: "text" };
import fieldSource from "../../static/api-field.html" with { type: "text" };
import operationSource from "../../static/api-operation.html" with { type: "text" };
import { documentOf } from "../pages/pages.ts";
import { concat, type Html, template } from "../pages/template.ts";

/** The OpenAPI document as a page, for people. */

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

type Document = {
  readonly info: { readonly title: string; readonly description: string; readonly version: string };
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

const overview = template(pageSource, ["description", "version", "operations"]);
const operation = template(operationSource, [
  ...["id", "method", "path", "summary", "description"],
  ...["needs", "parameters", "body", "status", "bare", "answer"],
]);
const field = template(fieldSource, ["name", "type", "description"]);

const plain = template("{{text}}", ["text"]);
const code = template("<code>{{text}}</code>", ["text"]);

/** Whom the values of `x-needs` mean. */
const NEEDS: Readonly<Record<string, string>> = {
  user: "whoever is signed in, and the operator on the control socket",
  admin: "the operator, on the control socket",
};

/** @param source of the document, as it is served */
export function apiPage(source: string): string {
  const { info, servers, paths } = JSON.parse(source) as Document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) =>
      article(method.toUpperCase(), servers[0]?.url + path, one),
    ),
  );
  const { title, description, version } = info;
  return documentOf(
    title,
    overview({ description: proseOf(description), version, operations: concat(operations) }),
    "wide",
  );
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
