import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AUDIT_KINDS, renderEvents } from "../support/audit-events.ts";

test("every kind of event has a name of its own, and says what it tells", () => {
  const names = AUDIT_KINDS.map(({ event }) => event);
  expect(names.length).toBeGreaterThan(40);
  expect(new Set(names).size).toBe(names.length);
  for (const { event, help = "" } of AUDIT_KINDS) {
    expect(event).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect({ event, help }).toEqual({ event, help: expect.stringMatching(/^[A-Z].{10,}\.$/) });
  }
});

test("deploy/AUDIT.md has them all, as they are declared", () => {
  const page = readFileSync(join(import.meta.dir, "../../deploy/AUDIT.md"), "utf8");
  expect(page).toContain(`<!-- events -->\n\n${renderEvents()}\n\n<!-- /events -->`);
});
