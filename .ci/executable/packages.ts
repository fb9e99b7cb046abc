import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BuildMetafile } from "bun";
import { locked } from "./lockfile.ts";

/** A package of which something is in the executable. */
export type Package = {
  /** Where it is installed, below the project: in `node_modules`, or in that of the one package that wants this version. */
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  /** As its package.json says: an SPDX identifier or expression. */
  readonly license: string;
  /** The text of the license as the package carries it. */
  readonly licenseText: string;
  /** What its package.json says it needs, bundled or not. */
  readonly dependencies: readonly string[];
  /** SHA-512 of the package as npm has it, in hexadecimal. */
  readonly sha512: string;
};

/**
 * The packages that the bundler took something from, in the order of their names.
 * @throws if a file comes from neither the project nor a locked package with a license.
 */
export function bundledPackages(metafiles: readonly BuildMetafile[], root: string): Package[] {
  const folders = new Set<string>();
  for (const { inputs } of metafiles.flatMap(({ outputs }) => Object.values(outputs))) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = packageFolder(path);
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  return [...folders]
    .map((folder) => describePackage(root, folder))
    .sort((one, other) => compare(one.name, other.name) || compare(one.version, other.version));
}

const OWN = /^(?:src|static|deploy)\/|^package\.json$/;

function packageFolder(path: string): string | undefined {
  const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0];
  if (folder === undefined && !OWN.test(path)) throw new Error(`Nobody knows where ${path} comes from.`);
  return folder;
}

function describePackage(root: string, folder: string): Package {
  const manifest: unknown = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
  const { name, version, license, dependencies } = manifest as {
    name?: string;
    version?: string;
    license?: string;
    dependencies?: Record<string, string>;
  };
  if (name === undefined || version === undefined) throw new Error(`${folder} is not a package.`);
  if (typeof license !== "string") throw new Error(`${name} names no license.`);
  return {
    folder,
    name,
    version,
    license,
    licenseText: licenseText(join(root, folder), name),
    dependencies: Object.keys(dependencies ?? {}),
    sha512: Buffer.from(locked(name, version).integrity.slice("sha512-".length), "base64").toString("hex"),
  };
}

function licenseText(folder: string, name: string): string {
  const files = readdirSync(folder).filter((file) => /^licen[cs]e/i.test(file));
  if (files.length === 0) throw new Error(`${name} carries no license.`);
  return files
    .sort(compare)
    .map((file) => readFileSync(join(folder, file), "utf8").trim())
    .join("\n\n");
}

/** By code unit: the same in every locale. */
function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
