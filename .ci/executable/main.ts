import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import { licenseStatement, linkedLibraries } from "./bun-parts.ts";
import { compile } from "./compile.ts";
import { licenseTexts } from "./license-texts.ts";
import { locked } from "./lockfile.ts";
import { originOf } from "./origin.ts";
import { bundledPackages, type Package } from "./packages.ts";
import { runtimeFor } from "./runtime.ts";
import { billOfMaterials } from "./sbom.ts";
import { isTarget, runtimePackage, TARGETS, type Target, thisMachine } from "./targets.ts";

/** `npm run build`. */

const ROOT = resolve(import.meta.dir, "../..");

const HELP = `Usage: npm run build -- [--target NAME]… [--all] [--outdir FOLDER]

Builds Runegate as one executable, dist/runegate for this machine. Beside it:
SHA256SUMS (for sha256sum --check), runegate.cdx.json (what is inside, as a
CycloneDX bill of materials) and THIRD-PARTY-LICENSES. What an earlier build
left there is removed. The same commit gives the same bytes everywhere.

  --target NAME      build dist/runegate-NAME; may be given several times:
                     ${TARGETS.join(", ")}
  --all              all of those
  --outdir FOLDER    write there and not to dist

Example: npm run build -- --target linux-x64 --target linux-arm64-musl`;

const USAGE = 64;

/** What one run makes: a file name and the machine it is for. */
type Wanted = { readonly file: string; readonly target: string };

function say(line: string): void {
  console.log(line);
}

function wantedBy(args: string[]): { wanted: Wanted[]; outdir: string } | "help" {
  const { values } = parseArgs({
    args,
    options: {
      target: { type: "string", multiple: true },
      all: { type: "boolean" },
      outdir: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return "help";
  const names: readonly string[] = values.all ? TARGETS : [...new Set(values.target ?? [])];
  const unknown = names.find((name) => !isTarget(name));
  if (unknown !== undefined)
    throw new TypeError(`unknown target ${unknown}. There are: ${TARGETS.join(", ")}.`);
  const wanted = names.map((name) => ({ file: `runegate-${name}`, target: name }));
  return {
    wanted: wanted.length > 0 ? wanted : [{ file: "runegate", target: thisMachine() }],
    outdir: resolve(values.outdir ?? join(ROOT, "dist")),
  };
}

async function build(wanted: readonly Wanted[], outdir: string): Promise<void> {
  const origin = await originOf(ROOT, process.env);
  mkdirSync(outdir, { recursive: true });
  // On the same file system, so that each result appears whole.
  const workshop = mkdtempSync(join(outdir, ".build-"));
  try {
    let packages: Package[] = [];
    for (const { file, target } of wanted) {
      const started = performance.now();
      const folder = join(workshop, `${file}.parts`);
      mkdirSync(folder);
      const runtime = isTarget(target) ? await runtimeFor(target, ROOT, say) : process.execPath;
      const metafiles = await compile({ root: ROOT, folder, target, runtime, commit: origin.commit });
      packages = bundledPackages(metafiles, ROOT);
      chmodSync(join(folder, "runegate"), 0o755);
      renameSync(join(folder, "runegate"), join(workshop, file));
      // The source map is inside; this is a copy of it.
      rmSync(folder, { recursive: true });
      say(`${target}: built in ${Math.round(performance.now() - started)} ms`);
    }
    const runtimes = wanted.map(({ target }) => target).filter(isTarget);
    writeInventory(workshop, packages, runtimes, origin);
    publish(workshop, outdir);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}

function writeInventory(
  folder: string,
  packages: readonly Package[],
  targets: readonly Target[],
  origin: { readonly commit: string | undefined; readonly date: Date | undefined },
): void {
  const page = readFileSync(join(ROOT, "node_modules/bun-types/docs/project/license.mdx"), "utf8");
  const product = { name: manifest.name, version: manifest.version, license: manifest.license, ...origin };
  const runtimes = targets.map((target) => {
    const name = runtimePackage(target);
    const { integrity } = locked(name, Bun.version);
    return { name, sha512: Buffer.from(integrity.slice("sha512-".length), "base64").toString("hex") };
  });
  const bun = { version: Bun.version, libraries: linkedLibraries(page), runtimes };
  writeFileSync(join(folder, "runegate.cdx.json"), billOfMaterials(product, packages, bun));
  writeFileSync(
    join(folder, "THIRD-PARTY-LICENSES"),
    licenseTexts(packages, Bun.version, licenseStatement(page)),
  );
}

/** Names that a build writes, of which an earlier one may have left more. */
const OURS =
  /^(?:runegate(?:-(?:linux|darwin)-[a-z0-9-]+)?(?:\.map)?|runegate\.cdx\.json|SHA256SUMS|THIRD-PARTY-LICENSES)$/;

function publish(workshop: string, outdir: string): void {
  const made = readdirSync(workshop).sort();
  const sums = made.map((file) => {
    const content = readFileSync(join(workshop, file));
    const sum = new Bun.CryptoHasher("sha256").update(content).digest("hex");
    const megabytes = (content.length / 1e6).toFixed(1);
    const shown = content.length > 1e6 ? `${megabytes} MB` : `${content.length} bytes`;
    say(`${relative(process.cwd(), join(outdir, file))}  ${shown}  sha256 ${sum}`);
    return `${sum}  ${file}\n`;
  });
  writeFileSync(join(workshop, "SHA256SUMS"), sums.join(""));
  for (const file of readdirSync(outdir)) {
    if (OURS.test(file) && !made.includes(file) && file !== "SHA256SUMS") rmSync(join(outdir, file));
  }
  for (const file of [...made, "SHA256SUMS"]) renameSync(join(workshop, file), join(outdir, file));
}

async function main(args: string[]): Promise<number> {
  let asked: ReturnType<typeof wantedBy>;
  try {
    asked = wantedBy(args);
  } catch (error) {
    console.error(`build: ${error instanceof Error ? error.message : String(error)}`);
    console.error(HELP.split("\n", 1)[0]);
    return USAGE;
  }
  if (asked === "help") {
    say(HELP);
    return 0;
  }
  await build(asked.wanted, asked.outdir);
  return 0;
}

process.exit(await main(process.argv.slice(2)));
