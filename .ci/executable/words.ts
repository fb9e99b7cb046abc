import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { BunPlugin } from "bun";
import { importOf } from "./kept.ts";

/** @property files the compressed texts, by the names of their files. */
export type Words = { readonly files: ReadonlyMap<string, Uint8Array>; readonly plugin: BunPlugin };

/**
 * The texts of languages other than English, which are read when somebody first wants them, compressed: a third of their size, and
 * no bytecode for what is only data.
 * @param root of the project.
 */
export async function compressedWords(root: string): Promise<Words> {
  const languages = join(root, "src/pages/languages");
  const files = new Map<string, Uint8Array>();
  for (const name of readdirSync(languages)) {
    const { WORDS }: { readonly WORDS?: unknown } = await import(join(languages, name));
    if (WORDS !== undefined) {
      files.set(fileOf(name), Bun.zstdCompressSync(JSON.stringify(WORDS), { level: STRONGEST }));
    }
  }
  const plugin: BunPlugin = {
    name: "words",
    setup(build) {
      build.onLoad({ filter: /\/src\/pages\/languages\/(?!en\.)[^/]+\.ts$/ }, ({ path }) => ({
        loader: "js",
        contents: reading(fileOf(path)),
      }));
    },
  };
  return { files, plugin };
}

const STRONGEST = 19;

function fileOf(path: string): string {
  return `${basename(path, ".ts")}.zst`;
}

function reading(file: string): string {
  return [
    importOf(file),
    "const bytes = await Bun.zstdDecompress(await Bun.file($file).bytes());",
    "export const WORDS = JSON.parse(new TextDecoder().decode(bytes));",
  ].join("\n");
}
