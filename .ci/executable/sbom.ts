import type { LinkedLibrary } from "./bun-parts.ts";
import type { Package } from "./packages.ts";

/** The software bill of materials: CycloneDX 1.6 as JSON (ECMA-424), the same bytes for the same build. */

export type Product = {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly commit: string | undefined;
  readonly date: Date | undefined;
};

export type BunInside = {
  readonly version: string;
  readonly libraries: readonly LinkedLibrary[];
  /** The packages that the runtimes of this build's executables came in. */
  readonly runtimes: readonly { readonly name: string; readonly sha512: string }[];
};

type Component = {
  readonly type: "application" | "library" | "platform";
  readonly "bom-ref": string;
  readonly group?: string;
  readonly name: string;
  readonly version?: string;
  readonly hashes?: readonly { readonly alg: "SHA-512"; readonly content: string }[];
  readonly licenses: readonly unknown[];
  readonly purl?: string;
  readonly components?: readonly Component[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
};

export function billOfMaterials(product: Product, packages: readonly Package[], bun: BunInside): string {
  const root: Component = {
    type: "application",
    "bom-ref": product.name,
    name: product.name,
    version: product.version,
    licenses: [licenseOf(product.license)],
    ...(product.commit === undefined
      ? {}
      : { properties: [{ name: "runegate:commit", value: product.commit }] }),
  };
  const runtime = bunComponent(bun);
  const parts = packages.map(packageComponent);
  return `${JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      version: 1,
      metadata: {
        ...(product.date === undefined ? {} : { timestamp: product.date.toISOString() }),
        lifecycles: [{ phase: "build" }],
        component: root,
      },
      components: [runtime, ...parts],
      dependencies: [
        { ref: root["bom-ref"], dependsOn: [runtime, ...parts].map((part) => part["bom-ref"]) },
        ...packages.map((one) => ({ ref: purlOf(one), dependsOn: needed(one, packages) })),
      ],
    },
    undefined,
    2,
  )}\n`;
}

function packageComponent(one: Package): Component {
  const [scope, name] = one.name.startsWith("@") ? one.name.split("/") : [undefined, one.name];
  return {
    type: "library",
    "bom-ref": purlOf(one),
    ...(scope === undefined ? {} : { group: scope }),
    name: name ?? one.name,
    version: one.version,
    hashes: [{ alg: "SHA-512", content: one.sha512 }],
    licenses: [licenseOf(one.license)],
    purl: purlOf(one),
  };
}

function bunComponent({ version, libraries, runtimes }: BunInside): Component {
  const purl = purlOf({ name: "bun", version });
  const builds = runtimes.map(
    ({ name, sha512 }): Component => ({
      type: "platform",
      "bom-ref": purlOf({ name, version }),
      group: name.split("/")[0] ?? "",
      name: name.split("/")[1] ?? "",
      version,
      hashes: [{ alg: "SHA-512", content: sha512 }],
      licenses: [licenseOf("MIT")],
      purl: purlOf({ name, version }),
    }),
  );
  // Bun says which libraries it links, not in which version.
  const linked = libraries.map(
    ({ name, license }): Component => ({
      type: "library",
      "bom-ref": `${purl}#${encodeURIComponent(name)}`,
      name,
      licenses: [{ license: { name: license } }],
    }),
  );
  return {
    type: "platform",
    "bom-ref": purl,
    name: "bun",
    version,
    licenses: [licenseOf("MIT")],
    purl,
    components: [...builds, ...linked],
  };
}

function needed(one: Package, packages: readonly Package[]): string[] {
  return packages
    .filter((other) => one.dependencies.includes(other.name) && isFor(one, other, packages))
    .map(purlOf);
}

/** Of two versions, a package gets the one in its own folder; everybody else gets the other. */
function isFor(one: Package, { name, folder }: Package, packages: readonly Package[]): boolean {
  const own = `${one.folder}/node_modules/${name}`;
  return (
    folder === own || (folder === `node_modules/${name}` && packages.every((other) => other.folder !== own))
  );
}

/** An SPDX identifier, or an expression of several. */
function licenseOf(spdx: string): unknown {
  return /[ ()]/.test(spdx) ? { expression: spdx } : { license: { id: spdx } };
}

/** The package URL; the `@` of a scope is escaped (purl specification, type npm). */
function purlOf({ name, version }: Pick<Package, "name" | "version">): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}
