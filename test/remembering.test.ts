import { expect, test } from "bun:test";
import { remembering } from "../src/remembering.ts";

function counted(most?: number) {
  const worked: string[] = [];
  const ask = remembering((text) => {
    worked.push(text);
    return text === "nothing" ? undefined : text.length > 1;
  }, most);
  return { ask, worked };
}

test("an answer is worked out once, false too", () => {
  const { ask, worked } = counted();
  expect([ask("a"), ask("ab"), ask("a"), ask("ab")]).toEqual([false, true, false, true]);
  expect(worked).toEqual(["a", "ab"]);
});

test.each([
  ["what came to nothing", "nothing"],
  ["what is longer than anything honest", "x".repeat(301)],
])("%s is not kept", (_, text) => {
  const { ask, worked } = counted();
  ask(text);
  ask(text);
  expect(worked).toHaveLength(2);
});

test("beyond the most, all are worked out again", () => {
  const { ask, worked } = counted(2);
  for (const text of ["a", "b", "c", "a", "c"]) ask(text);
  expect(worked).toEqual(["a", "b", "c", "a"]);
});
