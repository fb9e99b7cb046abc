import type { BunPlugin } from "bun";

/** Files that exist while the executable is made and inside it: at no path, because what is made must not depend on one. */
const NAMESPACE = "kept";

/**
 * @param contents by name.
 * @returns what resolves {@link importOf}.
 */
export function keptFiles(contents: ReadonlyMap<string, string | Uint8Array>): BunPlugin {
  return {
    name: NAMESPACE,
    setup(build) {
      build.onResolve({ filter: new RegExp(`^${NAMESPACE}:`) }, ({ path }) => ({
        path: path.slice(NAMESPACE.length + 1),
        namespace: NAMESPACE,
      }));
      build.onLoad({ filter: /.*/, namespace: NAMESPACE }, ({ path }) => {
        const found = contents.get(path);
        if (found === undefined) throw new Error(`${path} was not made.`);
        return { loader: "file", contents: found };
      });
    },
  };
}

/** A line of JavaScript after which `$file` is the path of that file inside the executable. */
export function importOf(name: string): string {
  return `import $file from "${NAMESPACE}:${name}" with { type: "file" };`;
}

/** Whether the bundler's list means what was made on the way, which comes from no package. */
export function isMade(input: string): boolean {
  return input === ENTRY || input.startsWith(`${NAMESPACE}:`) || input.startsWith(`${STAND_IN}:`);
}

/** In the project's folder, so that its packages are found from there; no such file is written. */
export const ENTRY = "the-entry-of-a-bundle.ts";

/** The namespace of modules that stand in for what is in such a file. */
export const STAND_IN = "stand-in";
