import { cpSync, mkdirSync, realpathSync } from "node:fs";
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

const BASE = "docker.io/library/debian:bookworm-slim";
const LIBRARIES = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"];

/**
 * Builds the image with buildah. For the Debian image that the Dockerfile takes the C library from stands this machine's
 * own Debian.
 * @param place an empty folder for everything.
 * @param dist where `npm run build` has left its results.
 */
export async function buildImage(buildah: string, place: string, dist: string): Promise<Image> {
  const storage = ["--root", join(place, "storage"), "--runroot", join(place, "run")];
  async function call(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run([buildah, ...storage, ...args]);
    if (code !== 0) throw new Error(`buildah ${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  }
  const debian = join(place, "debian");
  layOutDebian(debian);
  const base = await call("from", "scratch");
  await call("copy", base, debian, "/");
  await call("commit", "--quiet", "--rm", base, BASE);

  const context = join(place, "context");
  cpSync(dist, join(context, "dist"), { recursive: true });
  for (const file of ["LICENSE", ".dockerignore"]) cpSync(join(root, file), join(context, file));
  const dockerfile = ["--file", join(root, "deploy/Dockerfile")];
  // Docker's format: the other one has no health check.
  const how = ["--pull-never", "--isolation", "chroot", "--format", "docker", "--layers=false", "--quiet"];
  await call("build", ...how, ...dockerfile, "--tag", "runegate", context);
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
