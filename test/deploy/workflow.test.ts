import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const text = readFileSync(join(import.meta.dir, "../../.github/workflows/ci.yml"), "utf8");

type Step = {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Record<string, string>;
};
type Job = {
  readonly if?: string;
  readonly needs?: string;
  readonly permissions?: Record<string, string>;
  readonly steps: readonly Step[];
};
const workflow = Bun.YAML.parse(text) as {
  readonly on: Record<string, unknown>;
  readonly permissions: Record<string, string>;
  readonly jobs: { readonly check: Job; readonly release: Job };
};
const { check, release } = workflow.jobs;

/** The hosted workflow, by what must not be lost of it. */

test("every push and pull request runs .ci/run, with nothing that it could write with", () => {
  expect(Object.keys(workflow.on)).toEqual(["push", "pull_request"]);
  expect(workflow.permissions).toEqual({ contents: "read" });
  expect(check.permissions).toBeUndefined();
  expect(check.steps.map(({ run }) => run)).toContain("bash .ci/run");
});
test("only a tag is released, and only what has passed", () => {
  expect([release.if, release.needs]).toEqual(["github.ref_type == 'tag'", "check"]);
  expect(release.permissions).toEqual({ contents: "write" });
});
test("no action of anybody's is used", () => {
  expect([...check.steps, ...release.steps].filter(({ uses }) => uses !== undefined)).toEqual([]);
});
test("the key is known to the one step that signs, and nothing of a branch's name is run", () => {
  const knowing = release.steps.filter(({ env }) => JSON.stringify(env ?? {}).includes("secrets."));
  expect(knowing.map(({ name }) => name)).toEqual(["Make and sign it"]);
  expect(text.match(/secrets\./g)).toHaveLength(1);
  for (const { run = "" } of [...check.steps, ...release.steps]) expect(run).not.toContain("${{");
});
