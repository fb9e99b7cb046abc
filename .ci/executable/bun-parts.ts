/** What Bun itself is made of, as its own documentation of this version tells. */

/** A library that is linked into Bun. */
export type LinkedLibrary = { readonly name: string; readonly license: string };

/** The libraries of Bun on Linux: rows `| [`name`](…) | license |` of `docs/project/license.mdx`, and JavaScriptCore. */
export function linkedLibraries(statement: string): LinkedLibrary[] {
  const table = /## Linked libraries\n([\s\S]*?)\n## /.exec(statement)?.[1];
  const engine = /JavaScriptCore \(and WebKit\), which is (\S+) licensed/.exec(statement)?.[1];
  if (table === undefined || engine === undefined) throw new Error("Bun's license page is not as expected.");
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !/^\| (?:Library|---)/.test(line));
  const libraries = rows
    .map((row) => row.split("|").map((cell) => plain(cell.trim())))
    .filter(([, name = ""]) => !name.endsWith("(on Windows)") && !name.includes("Tigerbeetle"))
    .map(([, name = "", license = ""]) => ({ name: name.replace(/^A fork of | \(.*\)$/g, ""), license }));
  return [{ name: "JavaScriptCore", license: engine }, ...libraries];
}

/** Markdown's links and code marks off. */
function plain(cell: string): string {
  return cell.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
}

/** The page as text to pass on: without its front matter. */
export function licenseStatement(page: string): string {
  return page.replace(/^---\n[\s\S]*?\n---\n/, "").trim();
}
