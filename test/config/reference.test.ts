import { describe, expect, test } from "bun:test";
import { EXAMPLES } from "../../src/config/examples.ts";
import { OPTION_LIST, OPTION_NAMES, ROOMS } from "../../src/config/options.ts";
import { ROUTES_FILE } from "../../src/config/routes.ts";
import { emailTable } from "../../src/mail/settings.ts";
import { renderBasics, renderReference } from "../support/reference.ts";
import { routesIn } from "../support/routes.ts";
import { withReference } from "../support/write-reference.ts";

const rowsOf = (page: string) => page.split("\n").filter((line) => /^\| `/.test(line));
const namesIn = (page: string) => rowsOf(page).map((line) => /^\| `(\w+)` \|/.exec(line)?.[1] ?? line);

describe("the options of the rooms", () => {
  test("have each a key and a name of their own", () => {
    const keys = Object.values(ROOMS).flatMap((options) => Object.keys(options));
    expect(keys.length).toBe(new Set(keys).size);
    expect(OPTION_LIST.map(([key]) => String(key))).toEqual(keys);
    expect(new Set(OPTION_NAMES).size).toBe(OPTION_NAMES.length);
  });
});

describe("the option reference", () => {
  const [reference = "", email = "", routes = ""] = renderReference().split(
    /\n\n## `(?:email|routes)\.toml`/,
  );
  const cellsOf = (line: string) => line.split(/(?<!\\)\|/).length - 2;

  test("is tables of three columns", () => {
    for (const line of reference.split("\n").filter((line) => line.startsWith("|")))
      expect([line, cellsOf(line)]).toEqual([line, 3]);
  });
  test("has every option once, in one row, under its room", () => {
    expect(namesIn(reference)).toEqual(
      OPTION_NAMES.filter((name) => name === "RUNEGATE_ENV_FILE" || !name.endsWith("_FILE")),
    );
    expect([...(reference.match(/^## .+$/gm) ?? [])]).toEqual(
      Object.keys(ROOMS).map((title) => `## ${title}`),
    );
    expect(reference.split("## Limits")[1]?.split("## ")[0]).toContain("`RUNEGATE_LOGIN_RATE_LIMIT`");
  });
  test.each([
    ["a fixed default", "| `RUNEGATE_LANDING_PATH` | `/` |"],
    ["a computed one", "| `RUNEGATE_JWT_SECRET` | random per start |"],
    ["the rules of production", "(P) required, https unless loopback."],
    ["the files of secrets", "Also as `RUNEGATE_SESSION_KEY_FILE`."],
  ])("shows %s", (_, text) => expect(reference).toContain(text));

  test("explains email.toml too", () => {
    const { keys } = emailTable({
      secret: String,
      credential: () => undefined,
      path: String,
      text: (path) => ({ path, text: "" }),
    });
    expect(namesIn(email)).toEqual(Object.values(keys).map(({ name }) => name));
    expect(email).toContain("| `smtp_host` |  | Name of the mail server. |");
    expect(email).toContain("| `from_address` | required |");
  });
  test("explains routes.toml too", () => {
    const { routes: list, providers } = ROUTES_FILE.keys;
    const { health } = list.tables.keys;
    expect(namesIn(routes)).toEqual(
      [list.tables.keys, health.table.keys, providers.tables.keys].flatMap((keys) =>
        Object.values(keys).map(({ name }) => name),
      ),
    );
    expect(routes).toContain('| `path` | `"/"` |');
  });

  test("the example of routes.toml is one that is taken", () => {
    expect(routesIn(EXAMPLES.get("routes") ?? "").map(({ name }) => name)).toEqual(["grafana", "lab"]);
  });

  test("of a first deployment is a dozen of the same rows", () => {
    const basics = rowsOf(renderBasics());
    expect(basics.length).toBeWithin(10, 15);
    expect(rowsOf(reference)).toEqual(expect.arrayContaining(basics));
    for (const name of ["RUNEGATE_BASE_URL", "RUNEGATE_TARGET_SERVICE", "RUNEGATE_SESSION_KEY"])
      expect(namesIn(renderBasics())).toContain(name);
  });

  test("goes between the markers of a page and leaves the rest alone", () => {
    const page = "before\n<!-- options -->\noutdated\n<!-- /options -->\nafter\n";
    const written = withReference(page, "| new |");
    expect(written).toBe("before\n<!-- options -->\n\n| new |\n\n<!-- /options -->\nafter\n");
    expect(withReference(written, "| new |")).toBe(written);
  });
  test.each(["", "<!-- options -->", "<!-- /options --><!-- options -->"])("%j has no markers", (page) => {
    expect(() => withReference(page, "")).toThrow("needs the markers");
  });
});
