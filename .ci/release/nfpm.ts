import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { call, program } from "./call.ts";

/** What makes packages. Go holds the module's source against its checksum database before it builds it. */
const MODULE = "github.com/goreleaser/nfpm/v2/cmd/nfpm";
const VERSION = "v2.45.2";

/** Builds it once. @returns the path of the program */
export async function nfpm(root: string, say: (line: string) => void): Promise<string> {
  const cache = join(root, "node_modules/.cache/runegate-release");
  const kept = join(cache, `nfpm-${VERSION}`);
  if (existsSync(kept)) return kept;
  const go = program("go", "Packages are made by nfpm, which takes Go 1.24 or later to build.");
  say(`nfpm: building ${VERSION}`);
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "build-"));
  try {
    await call([go, "install", `${MODULE}@${VERSION}`], { env: { GOBIN: folder, CGO_ENABLED: "0" } });
    // The last step, so that another one finds it whole or not at all.
    renameSync(join(folder, "nfpm"), kept);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return kept;
}
