import { expect, test } from "bun:test";
import { Glob } from "bun";
import { KINDS } from "../../src/control/kinds.ts";

const SRC = new URL("../../src/", import.meta.url).pathname;

test("every kind of records that a room keeps is among those that are copied, under its own name", async () => {
  const declared = new Set<string>();
  for await (const path of new Glob("**/*.ts").scan(SRC)) {
    if (path.startsWith("store/")) continue;
    const text = await Bun.file(SRC + path).text();
    // As a constant, as what a function makes, checked afterwards, and made of another.
    for (const [, name = ""] of text.matchAll(/: Kind<[^=]*?(?:=|=>) \(?\{\s*name: "([a-z_]+)"/g))
      declared.add(name);
    for (const [, name = ""] of text.matchAll(
      /const [A-Z_]+ = \{[^}]*?name: "([a-z_]+)"[^}]*\} as const(?: satisfies Kind)?/g,
    ))
      if (text.includes("satisfies Kind<")) declared.add(name);
  }
  expect([...declared].sort()).toEqual(KINDS.map(({ name }) => name).sort());
});
