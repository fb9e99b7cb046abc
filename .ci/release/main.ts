import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import { originOf } from "../executable/origin.ts";
import { isTarget, TARGETS, type Target } from "../executable/targets.ts";
import { call, program, tarAlike } from "./call.ts";
import { changelogSection } from "./changelog.ts";
import { makeImage } from "./image.ts";
import { nfpm } from "./nfpm.ts";
import { makePackage } from "./packages.ts";
import { checkKey, sign, writeSums } from "./sign.ts";

/** `npm run release`. */

const ROOT = resolve(import.meta.dir, "../..");
const LEFT_OUT = ["deb", "rpm", "image"] as const;
const USAGE = 64;

const HELP = `Usage: npm run release -- [--target NAME]… [--without WHAT]… [--outdir FOLDER]

Makes everything that is published of the version in package.json, in
dist/release: the executables, a .deb, a .rpm and an image for those of glibc,
runegate-deploy-VERSION.tar.gz (install.sh and all it needs), the bill of
materials, licenses, the version's section of CHANGELOG.md, SHA256SUMS, and its
signature by minisign if RUNEGATE_RELEASE_KEY names the secret key, which must
be outside of the checkout. The same commit gives the same bytes on the same
Debian: the images have its C library.

  --target NAME     only these: ${TARGETS.join(", ")}
  --without WHAT    leave out what this machine cannot make: ${LEFT_OUT.join(", ")}
  --outdir FOLDER   write there; a release that is there is replaced

deploy/RELEASING.md has the steps around it.
Exit codes: 0 done, 1 failed, 64 usage.`;

type Asked = {
  readonly targets: readonly Target[];
  readonly without: readonly string[];
  readonly outdir: string;
};

function asked(args: string[]): Asked | "help" {
  const { values } = parseArgs({
    args,
    options: {
      target: { type: "string", multiple: true },
      without: { type: "string", multiple: true },
      outdir: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return "help";
  const targets = values.target ?? TARGETS;
  const without = values.without ?? [];
  const unknown =
    targets.find((name) => !isTarget(name)) ?? without.find((what) => !LEFT_OUT.some((one) => one === what));
  if (unknown !== undefined) throw new TypeError(`There is no ${unknown}.`);
  return {
    targets: targets.filter(isTarget),
    without,
    outdir: resolve(values.outdir ?? join(ROOT, "dist/release")),
  };
}

const began = performance.now();
function say(line: string): void {
  console.log(`[${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s] ${line}`);
}

async function release({ targets, without, outdir }: Asked): Promise<void> {
  const { version } = manifest;
  const makes = (what: (typeof LEFT_OUT)[number]) => !without.includes(what);
  const { commit, date = new Date(0) } = await originOf(ROOT, process.env);
  say(`Runegate ${version} of ${commit ?? "no commit"}, ${date.toISOString()}`);
  // All that can be known to fail fails first.
  const section = changelogSection(readFileSync(join(ROOT, "CHANGELOG.md"), "utf8"), version);
  const key = process.env.RUNEGATE_RELEASE_KEY;
  if (key) checkKey(key, ROOT, version, commit);
  if (existsSync(outdir) && !existsSync(join(outdir, "SHA256SUMS")) && readdirSync(outdir).length > 0) {
    throw new Error(`${outdir} holds something else than a release.`);
  }
  if (makes("image")) program("buildah", "Install it, or go --without image.");
  const packager = makes("deb") || makes("rpm") ? await nfpm(ROOT, say) : "";

  const folder = `${outdir}.part`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    say(`executables: ${targets.join(", ")}`);
    const wanted = targets.flatMap((target) => ["--target", target]);
    await call([process.execPath, join(ROOT, ".ci/executable/main.ts"), ...wanted, "--outdir", folder]);
    for (const target of targets) {
      const settings = { root: ROOT, target, version, date, folder };
      for (const format of ["deb", "rpm"] as const) {
        if (makes(format)) tell(await makePackage({ ...settings, nfpm: packager, format }));
      }
      if (makes("image")) tell(await makeImage(settings));
    }
    tell(await packDeploy(folder, version, date));
    writeFileSync(join(folder, `CHANGELOG-${version}.md`), section);
    writeSums(folder);
    if (key && commit !== undefined) {
      const isBelieved = await sign({ folder, root: ROOT, key, version, commit });
      say(
        isBelieved
          ? "signed"
          : "signed, by a key that is not in deploy/release-keys.pub: users have to name it",
      );
    } else say("NOT SIGNED: RUNEGATE_RELEASE_KEY names no key");
    rmSync(outdir, { recursive: true, force: true });
    mkdirSync(dirname(outdir), { recursive: true });
    renameSync(folder, outdir);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  for (const name of readdirSync(outdir).sort()) {
    console.log(`${String(statSync(join(outdir, name)).size).padStart(12)}  ${name}`);
  }
  say(`done: ${outdir}`);
}

function tell(name: string | undefined): void {
  if (name !== undefined) say(name);
}

/** For who installs by install.sh, and the examples. */
async function packDeploy(folder: string, version: string, date: Date): Promise<string> {
  const name = `runegate-deploy-${version}.tar.gz`;
  const how = [
    "--mode=u=rwX,go=rX",
    `--transform=s,^,runegate-${version}/,`,
    "--use-compress-program=gzip -9n",
  ];
  const what = ["-C", ROOT, "deploy", "LICENSE", "CHANGELOG.md"];
  await call(["tar", ...tarAlike(date), ...how, "-cf", join(folder, name), ...what]);
  return name;
}

async function main(args: string[]): Promise<number> {
  let what: Asked | "help";
  try {
    what = asked(args);
  } catch (error) {
    console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
    console.error(HELP.split("\n", 1)[0]);
    return USAGE;
  }
  if (what === "help") {
    console.log(HELP);
    return 0;
  }
  try {
    await release(what);
    return 0;
  } catch (error) {
    console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

process.exit(await main(process.argv.slice(2)));
