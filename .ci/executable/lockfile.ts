import lock from "../../bun.lock";

/** What `bun.lock` holds of a package: `[name@version, registry, manifest, integrity]`. */
export type Locked = { readonly entry: readonly unknown[]; readonly integrity: string };

/** @throws if the package is not locked in this version, or without an integrity. */
export function locked(name: string, version: string): Locked {
  const entry = Object.values(lock.packages).find(([id]) => id === `${name}@${version}`);
  const integrity = entry?.at(-1);
  if (entry === undefined || typeof integrity !== "string" || !integrity.startsWith("sha512-")) {
    throw new Error(`bun.lock has no integrity for ${name}@${version}.`);
  }
  return { entry, integrity };
}
