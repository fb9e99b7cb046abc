import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "../executable/targets.ts";
import { call } from "./call.ts";

/** Packages for Debian, Ubuntu, Fedora and their like: the executable, its unit, and its configuration files. */

/** As nfpm and Debian name machines; those with musl are for Alpine, which has neither format. */
const ARCHITECTURES: Partial<Record<Target, string>> = { "linux-x64": "amd64", "linux-arm64": "arm64" };

/** Debian's form wants an address; RFC 2606 has this one for those that are none. */
const MAINTAINER = "The Runegate authors <maintainers@runegate.invalid>";

export type PackageSettings = {
  readonly root: string;
  readonly nfpm: string;
  readonly target: Target;
  readonly version: string;
  /** When the commit was made, for the times of all files. */
  readonly date: Date;
  /** Where the executable is, its licenses and its bill of materials, and the packages are put. */
  readonly folder: string;
  readonly format: "deb" | "rpm";
};

/** @returns the name of the file, or undefined where there are no packages for that target. */
export async function makePackage(settings: PackageSettings): Promise<string | undefined> {
  const { root, nfpm, target, version, date, folder, format } = settings;
  const arch = ARCHITECTURES[target];
  if (arch === undefined) return undefined;
  const workshop = mkdtempSync(join(folder, ".package-"));
  try {
    const unit = join(workshop, "runegate.service");
    writeFileSync(unit, unitOfPackage(readFileSync(join(root, "deploy/systemd/runegate.service"), "utf8")));
    writeFileSync(join(workshop, "changelog.gz"), zipped(readFileSync(join(root, "CHANGELOG.md"), "utf8")));
    writeFileSync(join(workshop, "changelog.Debian.gz"), zipped(debianChangelog(version, date)));
    const config = join(workshop, "nfpm.json");
    writeFileSync(
      config,
      JSON.stringify(description({ root, folder, target, version, arch, workshop, format, date })),
    );
    const name =
      format === "deb"
        ? `runegate_${version}_${arch}.deb`
        : `runegate-${version}-1.${target === "linux-x64" ? "x86_64" : "aarch64"}.rpm`;
    await call([nfpm, "package", "--config", config, "--packager", format, "--target", join(folder, name)], {
      env: { SOURCE_DATE_EPOCH: String(date.getTime() / 1000) },
    });
    return name;
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}

/**
 * The unit that install.sh brings, for where packages put the executable: in a folder of its own below /usr/lib and not in
 * /usr/bin, so that the service can run what is in there and nothing else. (A single file of /usr/bin would not do: the service
 * would go on to see the one that was replaced.)
 */
export function unitOfPackage(text: string): string {
  const unit = text
    .replace(
      /^# Runegate under systemd\.[\s\S]*?\n\n/,
      "# Runegate under systemd, from its package: what is yours belongs into a drop-in (`systemctl edit runegate`), which stays.\n\n",
    )
    .replaceAll("/opt/runegate/bin", "/usr/lib/runegate")
    .replaceAll("that is how install.sh upgrades", "that is how the package upgrades");
  if (/\/opt\/|install\.sh puts/.test(unit)) throw new Error("The unit is not as expected.");
  return unit;
}

/** Of the package, which has no changes of its own (Debian Policy 4.4). */
function debianChangelog(version: string, date: Date): string {
  const at = date.toUTCString().replace("GMT", "+0000");
  return `runegate (${version}-1) stable; urgency=medium\n\n  * Version ${version}: see changelog.gz.\n\n -- ${MAINTAINER}  ${at}\n`;
}

function zipped(text: string): Uint8Array {
  return Bun.gzipSync(text, { level: 9 });
}

type Entry = {
  readonly src?: string;
  readonly dst: string;
  readonly type?: "config|noreplace" | "dir" | "symlink";
  readonly file_info?: { readonly mode: number };
};

/** What nfpm reads (nfpm.goreleaser.com/configuration); JSON is YAML too. */
function description(settings: {
  readonly root: string;
  readonly folder: string;
  readonly target: Target;
  readonly version: string;
  readonly arch: string;
  /** Where what is made for the package alone is. */
  readonly workshop: string;
  readonly format: "deb" | "rpm";
  readonly date: Date;
}): unknown {
  const { root, folder, target, version, arch, workshop, format, date } = settings;
  const deploy = (name: string) => join(root, "deploy", name);
  const file = (src: string, dst: string, mode = 0o644): Entry => ({ src, dst, file_info: { mode } });
  const doc = "/usr/share/doc/runegate";
  const contents: Entry[] = [
    file(join(folder, `runegate-${target}`), "/usr/lib/runegate/runegate", 0o755),
    { src: "../lib/runegate/runegate", dst: "/usr/bin/runegate", type: "symlink" },
    file(join(workshop, "runegate.service"), "/usr/lib/systemd/system/runegate.service"),
    file(deploy("sysctl/60-runegate.conf"), "/usr/lib/sysctl.d/60-runegate.conf"),
    file(deploy("package/runegate.sysusers"), "/usr/lib/sysusers.d/runegate.conf"),
    { dst: "/etc/runegate", type: "dir", file_info: { mode: 0o750 } },
    { dst: "/etc/runegate/config", type: "dir", file_info: { mode: 0o750 } },
    {
      ...file(deploy("config/email.toml.example"), "/etc/runegate/config/email.toml", 0o640),
      type: "config|noreplace",
    },
    file(deploy("runegate.env.example"), "/usr/share/runegate/runegate.env.example"),
    file(deploy("config/routes.toml.example"), `${doc}/examples/routes.toml`),
    file(deploy("systemd/runegate-edge.conf"), `${doc}/examples/runegate-edge.conf`),
    file(deploy("nginx/runegate-nginx.conf"), `${doc}/examples/runegate-nginx.conf`),
    file(deploy("README.md"), `${doc}/README.md`),
    file(join(workshop, "changelog.gz"), `${doc}/changelog.gz`),
    file(join(root, "LICENSE"), `${doc}/copyright`),
    file(join(folder, "THIRD-PARTY-LICENSES"), `${doc}/THIRD-PARTY-LICENSES`),
    file(join(folder, "runegate.cdx.json"), `${doc}/runegate.cdx.json`),
  ];
  const debian = [
    file(join(workshop, "changelog.Debian.gz"), `${doc}/changelog.Debian.gz`),
    file(deploy("package/runegate.lintian-overrides"), "/usr/share/lintian/overrides/runegate"),
  ];
  if (format === "deb") contents.push(...debian);
  const scripts = {
    preinstall: deploy("package/before-install.sh"),
    postinstall: deploy("package/after-install.sh"),
    preremove: deploy("package/before-remove.sh"),
    postremove: deploy("package/after-remove.sh"),
  };
  return {
    ...{ name: "runegate", arch, platform: "linux", version, version_schema: "semver", release: "1" },
    maintainer: MAINTAINER,
    description:
      "E-mail login in front of private web applications\n" +
      "An identity proxy in one executable: people sign in by a link or code that\n" +
      "is mailed to them, a passkey or an OpenID provider, and reach the\n" +
      "applications behind it.",
    ...{ license: "MIT", section: "web", priority: "optional", mtime: date.toISOString() },
    depends: format === "deb" ? ["libc6", "systemd"] : ["glibc", "systemd"],
    recommends: ["ca-certificates"],
    ...{ contents, scripts },
    deb: { compression: "gzip" },
    rpm: { compression: "zstd:3", buildhost: "localhost", group: "System Environment/Daemons" },
  };
}
