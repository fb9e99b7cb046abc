/**
 * The section of a version: what stands between its heading, `## 0.2.0` or `## 0.2.0, 2026-12-01`, and the next one.
 * @throws if there is none, or nothing in it.
 */
export function changelogSection(text: string, version: string): string {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line === `## ${version}` || line.startsWith(`## ${version},`));
  if (start === -1) throw new Error(`CHANGELOG.md has no section "## ${version}": say what is new first.`);
  const end = lines.findIndex((line, index) => index > start && line.startsWith("## "));
  const body = lines
    .slice(start + 1, end === -1 ? undefined : end)
    .join("\n")
    .trim();
  if (body === "") throw new Error(`CHANGELOG.md says nothing under "## ${version}".`);
  return `${lines[start]}\n\n${body}\n`;
}
