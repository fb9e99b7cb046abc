import type { Package } from "./packages.ts";

/** The licenses of everything inside, as text to hand on with the executable. */
export function licenseTexts(packages: readonly Package[], bunVersion: string, bunStatement: string): string {
  const sections = packages.map(({ name, version, license, licenseText }) =>
    section(`${name} ${version} (${license})`, licenseText),
  );
  return [
    "Runegate contains the following software. SBOM: runegate.cdx.json.",
    section(`bun ${bunVersion} (MIT)`, bunStatement),
    ...sections,
  ].join("\n\n");
}

function section(title: string, text: string): string {
  // A license file may come with the line ends of another system.
  return `${"=".repeat(80)}\n${title}\n${"=".repeat(80)}\n\n${text.replaceAll("\r\n", "\n")}\n`;
}
