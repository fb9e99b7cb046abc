import { readFileSync } from "node:fs";
import type { Options } from "../config/options.ts";

const SETTING = "net.ipv4.tcp_migrate_req";

/**
 * What the kernel's setting for sockets that share a port means for an upgrade, where it is off and there is something to
 * hand over (ip-sysctl.rst of the kernel's documentation).
 * @param read for tests: the text of a file, or a throw.
 */
export function kernelNote(
  { listen, store }: Pick<Options, "listen" | "store">,
  read: (path: string) => string = (path) => readFileSync(path, "utf8"),
): string | undefined {
  if (listen.kind !== "tcp" || store.kind === "memory") return undefined;
  let value: string;
  try {
    value = read(`/proc/sys/${SETTING.replaceAll(".", "/")}`).trim();
  } catch {
    // Another system, or a kernel before Linux 5.14.
    return undefined;
  }
  if (value !== "0") return undefined;
  return (
    `${SETTING} is 0 on this machine, so connections that are just being made when an upgrade hands over are reset. ` +
    `Set it to 1: copy sysctl/60-runegate.conf to /etc/sysctl.d and run \`sysctl --system\`.`
  );
}
