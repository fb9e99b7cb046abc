import { join } from "node:path";
import type { BuildMetafile } from "bun";
import { isMade, keptFiles } from "./kept.ts";
import { plainPackages } from "./plain.ts";
import type { Target } from "./targets.ts";
import { compressedWords } from "./words.ts";

export type CompileSettings = {
  readonly root: string;
  /** Where the executable is written, under the name `runegate`. */
  readonly folder: string;
  /** As `version --json` names it. */
  readonly target: Target | (string & {});
  /** The Bun to put inside. */
  readonly runtime: string;
  readonly commit: string | undefined;
};

/** The constants of `src/version.ts`. */
export function constants({
  commit,
  target,
}: Pick<CompileSettings, "commit" | "target">): Record<string, string> {
  return {
    ...(commit === undefined ? {} : { RUNEGATE_COMMIT: JSON.stringify(commit) }),
    RUNEGATE_TARGET: JSON.stringify(target),
  };
}

/**
 * Makes one executable.
 * @returns what went into it.
 * @throws {AggregateError} with the bundler's messages.
 */
export async function compile(settings: CompileSettings): Promise<BuildMetafile[]> {
  const { root, folder, target, runtime } = settings;
  const [plain, words] = [await plainPackages(root), await compressedWords(root)];
  const result = await Bun.build({
    entrypoints: [join(root, "src/main.ts")],
    root,
    target: "bun",
    // Whatever is imported at first use is a file of its own, whose bytecode is read then: a process that starts itself again
    // (`proxy/ceiling.ts`), and a small command, read little.
    format: "esm",
    splitting: true,
    minify: true,
    bytecode: true,
    sourcemap: "linked",
    metafile: true,
    plugins: [
      plain.plugin,
      words.plugin,
      keptFiles(new Map<string, string | Uint8Array>([...plain.files, ...words.files])),
    ],
    define: constants(settings),
    compile: {
      target: `bun-${target}` as Bun.Build.CompileTarget,
      executablePath: runtime,
      // The name is kept inside: were it different for each target, so would be the bytes.
      outfile: join(folder, "runegate"),
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
  });
  if (result.metafile === undefined) throw new Error("The bundler does not say what it bundled.");
  return [withoutMade(result.metafile), ...plain.metafiles.map(withoutMade)];
}

function withoutMade(metafile: BuildMetafile): BuildMetafile {
  const outputs = Object.entries(metafile.outputs).map(([path, output]) => {
    const inputs = Object.fromEntries(Object.entries(output.inputs).filter(([input]) => !isMade(input)));
    return [path, { ...output, inputs }] as const;
  });
  return { ...metafile, outputs: Object.fromEntries(outputs) };
}
