import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "../build/support.ts";

/** The image of deploy/Dockerfile, made and run without a daemon and without a registry of images. */

export type Image = {
  /** The image's files, as a folder. */
  readonly files: string;
  readonly config: {
    readonly User: string;
    readonly Entrypoint: readonly string[];
    readonly Env: readonly string[];
    readonly Healthcheck: { readonly Test: readonly string[] };
  };
  remove(): Promise<void>;
};

const DOCKERFILE = readFileSync(join(root, "deploy/Dockerfile"), "utf8");
const BASE = "docker.io/library/debian:bookworm-slim";
const LIBRARIES = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"];
/** What the build's shell lines call. */
const PROGRAMS = ["sh", "sed", "head", "dirname", "mv"];
/** What `.dockerignore` lets through. */
const SOURCE = [
  "LICENSE",
  "package.json",
  "bun.lock",
  "bunfig.toml",
  ".dockerignore",
  ".ci",
  "src",
  "static",
  "deploy",
];

/** The image with Bun that the Dockerfile builds in. */
function builder(): string {
  const [, name] = /^FROM (?:--\S+ )?(\S+) AS build$/m.exec(DOCKERFILE) ?? [];
  if (name === undefined) throw new Error("the Dockerfile has no stage that builds");
  return name;
}

/**
 * Builds the image with buildah. For Debian and the Debian with Bun that the Dockerfile begins with stands this machine's own, and for
 * what it would fetch from npm, this checkout's `node_modules`.
 * @param place an empty folder for everything.
 */
export async function buildImage(buildah: string, place: string): Promise<Image> {
  const storage = ["--root", join(place, "storage"), "--runroot", join(place, "run")];
  async function call(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run([buildah, ...storage, ...args]);
    if (code !== 0) throw new Error(`buildah ${args.join(" ")}: ${stderr}${stdout}`);
    return stdout.trim();
  }
  for (const [name, layOut] of [
    [BASE, layOutDebian],
    [builder(), layOutBuilder],
  ] as const) {
    const folder = join(place, "base", name);
    layOut(folder);
    const base = await call("from", "scratch");
    await call("copy", base, folder, "/");
    await call("commit", "--quiet", "--rm", base, name);
  }

  const context = join(place, "context");
  for (const name of SOURCE) {
    // Times too: what is installed is newer than what says so.
    cpSync(join(root, name), join(context, name), { recursive: true, preserveTimestamps: true });
  }
  const how = ["--pull-never", "--isolation", "chroot", "--layers=false", "--quiet", "--file"];
  const installed = ["--volume", `${realpathSync(join(root, "node_modules"))}:/build/node_modules:ro`];
  // Docker's format: the other one has no health check.
  const format = ["--format", "docker", "--tag", "runegate"];
  // Newer ones say so by themselves.
  const platform = ["--platform", `linux/${process.arch === "x64" ? "amd64" : process.arch}`];
  await call("build", ...installed, ...platform, ...format, ...how, join(root, "deploy/Dockerfile"), context);
  const container = await call("from", "--pull-never", "localhost/runegate");
  const described = JSON.parse(await call("inspect", "--type", "image", "localhost/runegate"));
  return {
    files: await call("mount", container),
    config: described.Docker.config,
    async remove() {
      await call("rm", "--all");
      await call("rmi", "--all", "--force");
    },
  };
}

function layOutDebian(folder: string): void {
  const [multiarch, loader] =
    process.arch === "arm64"
      ? ["aarch64-linux-gnu", "ld-linux-aarch64.so.1"]
      : ["x86_64-linux-gnu", "ld-linux-x86-64.so.2"];
  mkdirSync(join(folder, "srv"), { recursive: true });
  for (const file of [loader, ...LIBRARIES]) {
    const path = join("/usr/lib", multiarch, file);
    cpSync(realpathSync(path), join(folder, path));
  }
}

/** Some programs and the libraries they call, as ldd tells of them; Bun is among what is installed. */
function layOutBuilder(folder: string): void {
  mkdirSync(join(folder, "tmp"), { recursive: true });
  const bun = realpathSync(process.execPath);
  const programs = PROGRAMS.map((name) => Bun.which(name) ?? name);
  const needed = [...programs, bun].flatMap((program) => {
    const listed = Bun.spawnSync(["ldd", program]).stdout.toString();
    return [...listed.matchAll(/(?:^|=>)\s*(\/\S+) \(/gm)].map(([, path = ""]) => path);
  });
  for (const path of new Set([...programs, ...needed])) cpSync(realpathSync(path), join(folder, path));
  symlinkSync("usr/bin", join(folder, "bin"));
}

export type Container = {
  readonly image: Image;
  /** What comes behind the entry point. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The folder behind /var/lib/runegate. */
  readonly state: string;
};

/**
 * The command that runs it as compose.yaml says: the image's user without a single capability, everything read-only but
 * the state and a temporary /run/runegate. The network is this machine's. As root only.
 */
export function inContainer({ image, command, env, state }: Container): string[] {
  const { User, Entrypoint, Env } = image.config;
  const variables = [...Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const enter = `set -eu
    files=$1 state=$2 user=$3; shift 3
    mount --bind "$files" "$files"
    mkdir -p "$files/proc" "$files/dev" "$files/etc"
    mount --rbind /dev "$files/dev"
    mount -t proc proc "$files/proc"
    mount -t tmpfs -o "size=1m,mode=0700,uid=\${user%:*},gid=\${user#*:}" tmpfs "$files/run/runegate"
    mount --bind "$state" "$files/var/lib/runegate"
    mount -o remount,bind,ro "$files"
    cd /
    exec env -i "$@"`;
  // What is left of the capabilities is what entering takes; it goes with the user.
  const rights = ["--bounding-set=-all,+sys_chroot,+setuid,+setgid", "--no-new-privs", "--clear-groups"];
  const enterAs = ["setpriv", ...rights, "chroot", `--userspec=${User}`];
  return [
    ...["unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh"],
    ...[image.files, state, User, ...variables, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", ...enterAs],
    ...[image.files, ...Entrypoint, ...command],
  ];
}
