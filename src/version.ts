import manifest from "../package.json" with { type: "json" };

/** Replaced by `bun build --define RUNEGATE_COMMIT='"…"'`; not declared at all when run from source. */
declare const RUNEGATE_COMMIT: string | undefined;

export const VERSION: string = manifest.version;

/** The commit this was built from, if the build said so. */
export const COMMIT: string | undefined = typeof RUNEGATE_COMMIT === "string" ? RUNEGATE_COMMIT : undefined;
