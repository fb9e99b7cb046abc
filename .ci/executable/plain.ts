import { join } from "node:path";
import type { BuildMetafile, BunPlugin } from "bun";
import { ENTRY, importOf, STAND_IN } from "./kept.ts";

/**
 * Packages that are loaded at first use, kept as source. Their bytecode would be three and a half times as large, 3 MB in all,
 * to save some ten milliseconds once in the life of a process. What is imported together is bundled together, so that nothing is
 * inside twice and there is one of each class.
 */
export const PLAIN: Readonly<Record<string, readonly string[]>> = {
  api: ["elysia", "@elysiajs/static"],
  mail: ["nodemailer/lib/mail-composer", "nodemailer/lib/smtp-connection", "nodemailer/lib/dkim"],
  openid: ["openid-client"],
  passkeys: ["@simplewebauthn/server", "@simplewebauthn/server/helpers"],
};

export type Plain = {
  /** The bundles, by the names of their files. */
  readonly files: ReadonlyMap<string, string>;
  readonly plugin: BunPlugin;
  /** What went into each bundle. */
  readonly metafiles: readonly BuildMetafile[];
};

type Kept = { readonly file: string; readonly key: string; readonly names: readonly string[] };

/**
 * Bundles those packages.
 * @param root of the project.
 * @throws {AggregateError} with the bundler's messages.
 */
export async function plainPackages(root: string): Promise<Plain> {
  const files = new Map<string, string>();
  const kept = new Map<string, Kept>();
  const metafiles: BuildMetafile[] = [];
  for (const [name, modules] of Object.entries(PLAIN)) {
    const file = `${name}.mjs`;
    const { code, metafile } = await bundle(root, modules);
    files.set(file, code);
    metafiles.push(metafile);
    for (const [index, module] of modules.entries()) {
      const names = Object.keys(await import(Bun.resolveSync(module, root)));
      kept.set(module, { file, key: keyOf(index), names });
    }
  }
  return { files, plugin: pluginFor(kept), metafiles };
}

async function bundle(root: string, modules: readonly string[]) {
  const entry = join(root, ENTRY);
  const lines = modules.map((module, index) => `export * as ${keyOf(index)} from "${module}";\n`);
  const { outputs, metafile } = await Bun.build({
    entrypoints: [entry],
    files: { [entry]: lines.join("") },
    root,
    target: "bun",
    format: "esm",
    minify: true,
    metafile: true,
  });
  const [output] = outputs;
  if (output === undefined || metafile === undefined) throw new Error(`${modules} gave no bundle.`);
  return { code: await output.text(), metafile };
}

function keyOf(index: number): string {
  return `m${index}`;
}

function pluginFor(kept: ReadonlyMap<string, Kept>): BunPlugin {
  return {
    name: "plain",
    setup(build) {
      build.onResolve({ filter: /^[@a-z]/ }, ({ path }) =>
        kept.has(path) ? { path, namespace: STAND_IN } : undefined,
      );
      build.onLoad({ filter: /.*/, namespace: STAND_IN }, ({ path }) => {
        const found = kept.get(path);
        if (found === undefined) throw new Error(`${path} is not among the packages kept as source.`);
        return { loader: "js", contents: standIn(found) };
      });
    },
  };
}

/** A module with the same exports, which imports the bundle from inside the executable. */
function standIn({ file, key, names }: Kept): string {
  return [
    importOf(file),
    `const { ${key}: $all } = await import($file);`,
    ...names.map((name) => `export ${name === "default" ? "default" : `const ${name} =`} $all.${name};`),
  ].join("\n");
}
