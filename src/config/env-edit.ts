/** Changing single lines of an env file, and nothing else in it: not the order, comments, or how a value is quoted. */

/** @param rename of the line's variable. */
export function renameLine(text: string, name: string, rename: string): string {
  return mapLines(text, name, (line) => line.replace(name, rename));
}

export function removeLine(text: string, name: string): string {
  return mapLines(text, name, () => undefined);
}

/** Adds a line before that of a variable, or at the end where there is none. The value needs no quotes ({@link writtenAs}). */
export function addLine(text: string, name: string, value: string, before?: string): string {
  const ending = text.includes("\r\n") ? "\r" : "";
  const added = `${name}=${value}${ending}`;
  let isAdded = false;
  const changed =
    before === undefined
      ? text
      : mapLines(text, before, (line) => {
          if (isAdded) return line;
          isAdded = true;
          return `${added}\n${line}`;
        });
  if (isAdded) return changed;
  return `${text}${text === "" || text.endsWith("\n") ? "" : `${ending}\n`}${added}\n`;
}

/**
 * Gives a variable a value where its line is, or else where an example of it is commented out, or at the end. Further lines of the
 * variable are removed. The value needs no quotes ({@link writtenAs}).
 */
export function setLine(text: string, name: string, value: string): string {
  const isOf = (line: string) => new RegExp(`^\\ufeff?\\s*${name}\\s*=`).test(line);
  const lines = text.split("\n");
  const at = lines.some(isOf)
    ? lines.findIndex(isOf)
    : lines.findIndex((line) => line.startsWith(`#${name}=`));
  if (at === -1) return addLine(text, name, value);
  return lines
    .flatMap((line, index) => (index === at ? `${name}=${value}` : isOf(line) ? [] : line))
    .join("\n");
}

/** A value as it stands in a line; undefined for one that neither bare nor in single quotes means itself. */
export function writtenAs(value: string): string | undefined {
  if (!/['"\\\s#]/.test(value)) return value;
  return value.includes("'") ? undefined : `'${value}'`;
}

function mapLines(text: string, name: string, change: (line: string) => string | undefined): string {
  const isOf = new RegExp(`^\\ufeff?\\s*${name}\\s*=`);
  return text
    .split("\n")
    .flatMap((line) => (isOf.test(line) ? (change(line) ?? []) : [line]))
    .join("\n");
}
