import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Target } from "../executable/targets.ts";
import { call, program, tarAlike } from "./call.ts";

/**
 * The container image of `deploy/Dockerfile`, of the executable that is there already and the C library of this machine: nothing
 * is fetched, and nothing is run. As an archive of Docker's format, because `docker load`, podman, containerd and skopeo all take
 * it, and OCI's has no place for the health check.
 */

type Machine = {
  readonly platform: string;
  readonly multiarch: string;
  readonly loader: string;
  readonly places: readonly string[];
};

const MACHINES: Partial<Record<Target, Machine>> = {
  "linux-x64": {
    platform: "linux/amd64",
    multiarch: "x86_64-linux-gnu",
    loader: "ld-linux-x86-64.so.2",
    // This machine's own, or Debian's for building for another one.
    places: ["/usr/lib/x86_64-linux-gnu", "/usr/x86_64-linux-gnu/lib"],
  },
  "linux-arm64": {
    platform: "linux/arm64",
    multiarch: "aarch64-linux-gnu",
    loader: "ld-linux-aarch64.so.1",
    places: ["/usr/lib/aarch64-linux-gnu", "/usr/aarch64-linux-gnu/lib"],
  },
};
const LIBRARIES = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"];

/** @returns the name of the file, or undefined where there is no image for that target. */
export async function makeImage(settings: {
  readonly root: string;
  readonly target: Target;
  readonly version: string;
  readonly date: Date;
  /** Where the executable is, and the image is put. */
  readonly folder: string;
}): Promise<string | undefined> {
  const { root, target, version, date, folder } = settings;
  const machine = MACHINES[target];
  if (machine === undefined) return undefined;
  const buildah = program("buildah", "Install it, or go --without image.");
  const libc = machine.places.find((place) => existsSync(join(place, machine.loader)));
  if (libc === undefined) {
    throw new Error(
      `There is no C library for ${target}: install libc6-${target.slice(6)}-cross, or go --without image.`,
    );
  }
  const workshop = mkdtempSync(join(folder, ".image-"));
  const storage = ["--root", join(workshop, "storage"), "--runroot", join(workshop, "run")];
  try {
    const context = join(workshop, "context");
    for (const name of [machine.loader, ...LIBRARIES]) {
      cpSync(realpathSync(join(libc, name)), join(context, "libc/usr/lib", machine.multiarch, name));
    }
    mkdirSync(join(context, "libc/srv"));
    cpSync(join(folder, `runegate-${target}`), join(context, "built/runegate"));
    cpSync(join(folder, "THIRD-PARTY-LICENSES"), join(context, "built/THIRD-PARTY-LICENSES"));
    cpSync(join(root, "LICENSE"), join(context, "LICENSE"));
    const dockerfile = join(workshop, "Dockerfile");
    writeFileSync(dockerfile, lastStage(readFileSync(join(root, "deploy/Dockerfile"), "utf8")));
    const arch = machine.platform.slice("linux/".length);
    const name = `runegate-image-${version}-${arch}.tar`;
    const tag = `localhost/runegate:${version}`;
    const how = [
      "--isolation",
      "chroot",
      "--layers=false",
      "--quiet",
      "--identity-label=false",
      "--format",
      "docker",
      "--pull-never",
    ];
    const time = ["--timestamp", String(date.getTime() / 1000)];
    const labels = [`org.opencontainers.image.version=${version}`, "org.opencontainers.image.licenses=MIT"];
    await call([
      ...[buildah, ...storage, "build", ...how, ...time, "--platform", machine.platform, "--tag", tag],
      ...labels.flatMap((label) => ["--label", label]),
      ...["--file", dockerfile, context],
    ]);
    const pushed = join(workshop, "pushed.tar");
    await call([buildah, ...storage, "push", "--quiet", tag, `docker-archive:${pushed}:${tag}`]);
    await packAlike(pushed, join(workshop, "parts"), join(folder, name), date);
    await call([buildah, ...storage, "rmi", "--all", "--force"]);
    return name;
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}

/**
 * Packs an archive of Docker's format anew, without what is different each time: the name of the container that the image was made
 * in, and the host name that it had.
 */
async function packAlike(archive: string, parts: string, result: string, date: Date): Promise<void> {
  mkdirSync(parts);
  await call(["tar", "-xf", archive, "-C", parts]);
  const [image] = JSON.parse(readFileSync(join(parts, "manifest.json"), "utf8"));
  const { container, container_config, ...described } = JSON.parse(
    readFileSync(join(parts, image.Config), "utf8"),
  );
  if (container === undefined || container_config === undefined) {
    throw new Error("buildah does not describe images as expected.");
  }
  described.config.Hostname = "";
  const config = JSON.stringify(described);
  const digest = new Bun.CryptoHasher("sha256").update(config).digest("hex");
  writeFileSync(join(parts, `${digest}.json`), config);
  writeFileSync(join(parts, "manifest.json"), JSON.stringify([{ ...image, Config: `${digest}.json` }]));
  const names = ["manifest.json", `${digest}.json`, ...image.Layers];
  await call(["tar", ...tarAlike(date), "--mode=0644", "-cf", result, "-C", parts, ...names]);
}

/** What is copied from other stages comes from the folder. */
export function lastStage(dockerfile: string): string {
  const start = dockerfile.indexOf("FROM scratch\n");
  const stage = dockerfile
    .slice(start)
    .replaceAll(/COPY --from=build \/built\//g, "COPY built/")
    .replaceAll(/COPY --from=libc (--chown=\S+ )?\//g, (_, owner = "") => `COPY ${owner}libc/`)
    .replaceAll(/^( +)\/usr\/lib\//gm, "$1libc/usr/lib/")
    // Behind the first of two on one line.
    .replaceAll(/(?<=\\\n {17})\/usr\/lib\//g, "libc/usr/lib/");
  if (start === -1 || stage.includes("--from=")) throw new Error("deploy/Dockerfile is not as expected.");
  return stage;
}
