import { fileURLToPath } from "node:url";
import type { Tab } from "../browser/tab.ts";

let source: Promise<string> | undefined;

/**
 * What axe-core finds wrong with the page that a tab shows, for people who use it by a screen reader, a keyboard or with poor
 * sight: WCAG 2.2 up to AA, and what axe takes for good practice. One line each: the rule, and the elements that break it.
 */
export async function axeViolations(tab: Pick<Tab, "evaluate">): Promise<string[]> {
  source ??= Bun.file(fileURLToPath(import.meta.resolve("axe-core/axe.min.js"))).text();
  // By the debugger, so that the page's policy stays as it is. Only what is wrong comes back: the whole result is megabytes.
  await tab.evaluate(`(() => { ${await source} })()`);
  const found =
    await tab.evaluate(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
    violations.map(({ id, help, nodes }) =>
      id + ": " + help + ": " + nodes.map(({ target }) => target.join(" ")).join(", ")))`);
  return found as string[];
}
