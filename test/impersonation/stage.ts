import type { Client } from "../../src/provider/client.ts";
import type { Store } from "../../src/store/store.ts";
import type { Person } from "../hand-off/person.ts";
import { B, C, H, type Stage, startStage } from "../hand-off/stage.ts";

/** An administrator, somebody to act as, and applications that take it in different ways. */

export const ROOT = "root@example.org";
export const ADA = "ada@example.org";
export const REASON = "ticket 4711: her dashboard is empty";
export const ACTING = "runegate_as";
export const AT = { [B]: "grafana.app.test", [C]: "other.example", [H]: "app.test" } as const;
export const JSON_HEADERS = {
  "Sec-Fetch-Mode": "cors",
  "Sec-Fetch-Dest": "empty",
  Accept: "application/json",
  "Content-Type": "application/json",
};

/** At H: `home`, which does not take it, and `lab`, which does. At B anything may be changed, at C nothing. */
export const ROUTES = `
  [groups]
  admins = ["${ROOT}", "boss@example.org"]

  [[routes]]
  name = "home"
  target = "TARGET"

  [[routes]]
  name = "lab"
  path = "/lab"
  target = "TARGET"
  impersonation = "allow"

  [[routes]]
  name = "grafana"
  host = "grafana.app.test"
  target = "TARGET"
  impersonation = "allow"
  identity = "both"
  allow = ["${ADA}", "bob@example.org", "boss@example.org"]

  [[routes]]
  name = "other"
  host = "other.example"
  target = "TARGET"
  impersonation = "read_only"
`;

export type ActingStage = Stage & {
  readonly root: Person;
  /** Asks to begin, as a program in the browser would. */
  begin(fields?: Readonly<Record<string, unknown>>, who?: Person): Promise<Response>;
  /** Begins and opens it. @returns where that led. */
  act(origin?: typeof B | typeof C | typeof H, fields?: Readonly<Record<string, unknown>>): Promise<string>;
  /** Of these kinds, in order. */
  events(...names: readonly string[]): Promise<Record<string, unknown>[]>;
};

const ROUTE_AT = { [B]: "grafana", [C]: "other", [H]: "lab" } as const;

export async function startActingStage(
  target: string,
  settings: {
    readonly routes?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly wrapped?: (store: Store) => Store;
    readonly clients?: readonly Client[];
  } = {},
): Promise<ActingStage> {
  const { routes = ROUTES, env, wrapped, clients } = settings;
  const stage = await startStage(target, routes, env, wrapped, clients);
  const root = stage.person();
  await root.signIn(`${H}/`, ROOT);

  const begin: ActingStage["begin"] = (fields = {}, who = root) =>
    who.get(`${H}/_runegate/api/admin/impersonate`, {
      method: "POST",
      headers: JSON_HEADERS,
      body: JSON.stringify({ email: ADA, route: "grafana", reason: REASON, ...fields }),
    });

  return {
    ...stage,
    root,
    begin,
    async act(origin = B, fields = {}) {
      const begun = await begin({ route: ROUTE_AT[origin], ...fields });
      if (begun.status !== 201) throw new Error(`${begun.status} ${await begun.text()}`);
      return (await root.follow(`${origin}/_runegate/as/open`)).url;
    },
    async events(...names) {
      // What is counted is counted in the turns after the answer.
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      return stage
        .lines()
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter(({ event }) => names.includes(String(event)));
    },
  };
}
