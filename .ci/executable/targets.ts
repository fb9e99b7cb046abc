import { closeSync, openSync, readSync } from "node:fs";

/** The machines an executable can be built for, under the names that stand in file names and in `version --json`. */

export const TARGETS = ["linux-x64", "linux-arm64", "linux-x64-musl", "linux-arm64-musl"] as const;
export type Target = (typeof TARGETS)[number];

export function isTarget(name: string): name is Target {
  return TARGETS.some((target) => target === name);
}

/** The npm package that holds Bun for a target. */
export function runtimePackage(target: Target): string {
  return `@oven/bun-${target.replace("arm64", "aarch64")}`;
}

/** The name of the machine this runs on; none of `TARGETS` on another system than Linux. */
export function thisMachine(): string {
  const libc = process.platform === "linux" && usesMusl(process.execPath) ? "-musl" : "";
  return `${process.platform}-${process.arch}${libc}`;
}

/** Both C libraries may be installed; which one a program wants is in its header, as the path of its loader. */
function usesMusl(path: string): boolean {
  const head = Buffer.alloc(4096);
  const file = openSync(path, "r");
  try {
    readSync(file, head);
  } finally {
    closeSync(file);
  }
  return head.includes("/ld-musl-");
}
