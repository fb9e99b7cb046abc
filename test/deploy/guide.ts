import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The commands of the deployment guide, each with what the comment above it says of how it is tested. */
export type GuideBlock = {
  readonly commands: string;
  readonly line: number;
} & (
  | { readonly kind: "run"; readonly name: string }
  | { readonly kind: "tested" | "not tested here"; readonly why: string }
  | { readonly kind: "unmarked" }
);

const GUIDE = join(import.meta.dir, "../../deploy/README.md");
const BLOCK = /^(?<indent> *)```sh\n(?<commands>[\s\S]*?)^ *```$/gm;
const MARK = /^ *<!-- (?<kind>run|tested|not tested here): (?<text>[^\n]+) -->\n$/m;

export function guideBlocks(guide = readFileSync(GUIDE, "utf8")): GuideBlock[] {
  return [...guide.matchAll(BLOCK)].map((match) => {
    const { indent = "", commands = "" } = match.groups ?? {};
    const before = guide.slice(0, match.index);
    const line = before.split("\n").length;
    const block = { commands: commands.replaceAll(new RegExp(`^${indent}`, "gm"), ""), line };
    const mark = MARK.exec(before.slice(before.lastIndexOf("\n", before.length - 2) + 1))?.groups;
    if (mark?.text === undefined) return { ...block, kind: "unmarked" };
    if (mark.kind === "run") return { ...block, kind: "run", name: mark.text };
    return { ...block, kind: mark.kind === "tested" ? "tested" : "not tested here", why: mark.text };
  });
}

/** The commands of a block that a test runs. @throws if the guide has none of that name. */
export function guideCommands(name: string): string {
  const block = guideBlocks().find((one) => one.kind === "run" && one.name === name);
  if (block === undefined) throw new Error(`deploy/README.md has no block "run: ${name}"`);
  return block.commands;
}
