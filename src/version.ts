import manifest from "../package.json" with { type: "json" };

/** Both replaced when the executable is built (`.ci/executable/compile.ts`), and not declared at all when run from source. */
declare const RUNEGATE_COMMIT: string | undefined;
declare const RUNEGATE_TARGET: string | undefined;

export const VERSION: string = manifest.version;

/** The commit this was built from, if the build said so. */
export const COMMIT: string | undefined = typeof RUNEGATE_COMMIT === "string" ? RUNEGATE_COMMIT : undefined;

/** The machine this was built for, such as `linux-x64-musl`; run from source, the one it runs on. */
export const TARGET: string =
  typeof RUNEGATE_TARGET === "string" ? RUNEGATE_TARGET : `${process.platform}-${process.arch}`;

/** Tells one build from another, where processes of both may meet. */
export const BUILD = `${VERSION} ${COMMIT ?? "source"}`;
