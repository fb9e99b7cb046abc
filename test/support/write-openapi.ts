import { writeFileSync } from "node:fs";
import type { TSchema } from "elysia";
import manifest from "../../package.json" with { type: "json" };
import { systemClock, systemRandom } from "../../src/clock.ts";
import { loadOptions } from "../../src/config/load.ts";
import { API_PREFIX } from "../../src/edge/target.ts";
import { createMailbox } from "../../src/mail/mailbox.ts";
import { createApi } from "../../src/server.ts";
import { createServices } from "../../src/services.ts";
import { SESSION_OPTIONS } from "../../src/session/options.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { renderApiPage } from "./api-page.ts";
import { SILENT } from "./silent.ts";

/** Writes `static/openapi.json` from what the rooms declare, and `static/api.html` from that. */

export const OPENAPI = new URL("../../static/openapi.json", import.meta.url);
export const API_PAGE = new URL("../../static/api.html", import.meta.url);

type Hooks = {
  readonly body?: TSchema;
  readonly query?: TSchema;
  readonly params?: TSchema;
  readonly response?: Readonly<Record<string, Partial<TSchema>>>;
  readonly detail?: Readonly<Record<string, unknown>> & { readonly "x-needs"?: string };
};

export async function renderOpenApi(): Promise<string> {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, hooks } of await declaredRoutes()) {
    const { body, query, params, response = { 200: {} }, detail } = hooks as Hooks;
    if (!path.startsWith(`${API_PREFIX}/`) || detail?.["x-needs"] === undefined) continue;
    const below = path.slice(API_PREFIX.length).replace(/:(\w+)/g, "{$1}");
    const parameters = [...parametersOf(params, "path"), ...parametersOf(query, "query")];
    paths[below] ??= {};
    paths[below][method.toLowerCase()] = {
      ...detail,
      ...(detail["x-needs"] === "operator" ? {} : { security: ANY_PROOF }),
      ...(parameters.length === 0 ? {} : { parameters }),
      ...(body === undefined ? {} : { requestBody: { required: !isOptional(body), ...contentOf(body) } }),
      responses: {
        ...Object.fromEntries(Object.entries(response).map(([status, schema]) => [status, answerOf(schema)])),
        default: { $ref: "#/components/responses/Failure" },
      },
    };
  }
  const document = {
    openapi: "3.1.0",
    info: { title: "Management API", description: DESCRIPTION, version: manifest.version },
    servers: [{ url: API_PREFIX }],
    paths,
    components: {
      responses: { Failure: { description: "What went wrong", ...contentOf(FAILURE) } },
      securitySchemes: {
        session: { type: "apiKey", in: "cookie", name: SESSION_OPTIONS.sessionCookieName.default },
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
      },
    },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

const DESCRIPTION =
  "For a page of the application, with the session cookie; for programs, with a token of the OpenID provider as " +
  "`Authorization: Bearer`, if there is one; and for the operator, who speaks it over the control socket. " +
  "Bodies are JSON. A failure is an object with a stable `error`, a `message` for people and a `request_id`. " +
  "A list comes in pages, of 200 items for users and of 10,000 for the operator: ask again with `next` as `cursor`.";

const ANY_PROOF = [{ session: [] }, { bearer: [] }];

const FAILURE = {
  type: "object",
  required: ["error", "message", "request_id"],
  properties: {
    error: { type: "string" },
    message: { type: "string" },
    request_id: { type: "string" },
    login_url: { type: "string", description: "with a 401" },
  },
};

async function declaredRoutes() {
  const { options } = loadOptions({ env: { RUNEGATE_API_KEYS: "true" } });
  const app = await createApi(
    createServices({
      options,
      email: undefined,
      mailer: createMailbox(),
      mailbox: undefined,
      stores: createMemoryStore({ clock: systemClock }),
      clock: systemClock,
      random: systemRandom,
      loggers: () => SILENT,
    }),
  );
  return app.routes;
}

/** As TypeBox marks what `t.Optional` makes. */
function isOptional(schema: TSchema): boolean {
  return Symbol.for("TypeBox.Optional") in schema;
}

function contentOf(schema: object): { content: object } {
  return { content: { "application/json": { schema } } };
}

function answerOf(schema: Partial<TSchema>): object {
  return schema.type === "void" ? { description: "Done" } : { description: "Done", ...contentOf(schema) };
}

function parametersOf(schema: TSchema | undefined, place: "path" | "query"): object[] {
  const properties = Object.entries((schema?.properties ?? {}) as Record<string, TSchema>);
  return properties.map(([name, one]) => {
    const required = (schema?.required as string[] | undefined)?.includes(name) === true;
    return { name, in: place, required, schema: one };
  });
}

if (import.meta.main) {
  const document = await renderOpenApi();
  writeFileSync(OPENAPI, document);
  writeFileSync(API_PAGE, renderApiPage(JSON.parse(document)));
}
