import { closeSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import compiledIn from "../../deploy/release-keys.pub" with { type: "text" };
import { systemRandom } from "../clock.ts";
import { EXIT } from "../exit.ts";
import { executablePath } from "../process/executable.ts";
import type { Io } from "../process/io.ts";
import { openLibc } from "../process/libc.ts";
import { type Executables, executablesAt, identityOf } from "../upgrade/executables.ts";
import { fault, UpgradeFault } from "../upgrade/fault.ts";
import { looksLikeKey, type PublicKey, readPublicKeys } from "../upgrade/minisign.ts";
import { openRelease, type Release } from "../upgrade/release.ts";
import type { Service } from "../upgrade/service.ts";
import { TARGET, VERSION } from "../version.ts";
import { type Command, failed, type Given, type Outcome, UsageError } from "./command.ts";
import { mayStart, READY_MS, versionOf } from "./other-version.ts";
import { bringOver, switchOver, systemd, way } from "./switch-over.ts";

const FLAGS = {
  from: { type: "string" },
  back: { type: "boolean" },
  "switch-over": { type: "boolean" },
  "public-key": { type: "string" },
  "allow-rollback": { type: "boolean" },
  "dry-run": { type: "boolean" },
} as const;

/** What is upgraded. */
export type Installed = {
  /** The executable; undefined when run from source. */
  readonly path: string | undefined;
  readonly version: string;
  /** As the names of a release have it. */
  readonly target: string;
  /** Public keys, as text. */
  readonly keys: string;
};

export const upgrade: Command<typeof FLAGS> = createUpgrade({
  path: executablePath(),
  version: VERSION,
  target: TARGET,
  keys: compiledIn,
});

/** `runegate upgrade`: another version in place of this executable, from a release whose signature is good. */
export function createUpgrade(installed: Installed): Command<typeof FLAGS> {
  return {
    name: "upgrade",
    summary: "replace this executable by that of a signed release, or go back",
    help: `Usage: runegate upgrade --from FOLDER [--public-key KEY] [--allow-rollback] [--dry-run]
       runegate upgrade --back
       runegate upgrade --switch-over

Verifies the release in FOLDER, tries its executable for this machine on the
present configuration, and exchanges this executable for it. The service hands
over to the new version without refusing a connection, or is restarted where
that cannot be (the memory store, a unix socket). If the new version does not
take over, or is not ready ${READY_MS / 1000} seconds later, the one before comes back.
Run it as root.

  --from FOLDER     holds SHA256SUMS, SHA256SUMS.minisig and the executable, as
                    they were published
  --public-key KEY  who must have signed it: a key of minisign's, or a file with
                    one or more; in place of those that are compiled in
  --allow-rollback  also take a version that is not newer. What a newer one has
                    mended is open again then
  --dry-run         verify, say what would be done, and change nothing
  --back            go back to the version before, runegate.previous beside this
                    executable
  --switch-over     exchange nothing, and bring the service onto this executable:
                    for packages, which have put it in place themselves

Exit codes: ${EXIT.done} done, or this version is there already; ${EXIT.failed} refused or failed: what ran
runs on; ${EXIT.usage} usage, or no key to verify with; ${EXIT.config} the new version would not start
with this configuration.

Example: runegate upgrade --from /root/runegate-0.2.0`,

    readsOptions: true,
    flags: FLAGS,

    async run({ values }, io) {
      const asked = [values.from, values.back, values["switch-over"]].filter((one) => one !== undefined);
      if (asked.length !== 1) {
        throw new UsageError("upgrade takes one of --from, --back and --switch-over.");
      }
      try {
        if (values["switch-over"]) return await switchOver(installed.path ?? "", io);
        const path = exchangeable(installed.path);
        const executables = executablesAt(path, systemRandom);
        using lock = values["dry-run"] ? undefined : lockFolder(dirname(path));
        if (lock !== undefined) executables.sweep();
        return values.from === undefined
          ? await goBack(executables, io)
          : await takeRelease(values.from, values, installed, executables, io);
      } catch (error) {
        if (error instanceof UpgradeFault) return failed(io, `runegate upgrade: ${error.message}`);
        if (isOfSystem(error)) return failed(io, `runegate upgrade: ${error.message}.${remedyFor(error)}`);
        throw error;
      }
    },
  };
}

/** What the file system says: not permitted, no space left, … */
function isOfSystem(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "code" in error;
}

function remedyFor({ code = "" }: NodeJS.ErrnoException): string {
  return ["EACCES", "EPERM"].includes(code) ? " Try: sudo" : "";
}

/** Also called by the one before, where the present one does not run. */
function exchangeable(running: string | undefined): string {
  if (running === undefined) throw fault("this runs from source, and there is no executable to exchange.");
  const path = running.replace(/\.previous$/, "");
  // What is there belongs to packages (FHS 3.0, section 4).
  if (path.startsWith("/usr/") && !path.startsWith("/usr/local/")) {
    throw fault(`${path} belongs to a package: upgrade that, with apt or dnf.`);
  }
  return path;
}

/** The lock that install.sh takes too. Where there is no C library to call, nobody else is likely to be. */
function lockFolder(folder: string): Disposable {
  const file = openSync(folder, "r");
  if (openLibc()?.lock(file) === false) {
    closeSync(file);
    throw fault("another upgrade or install.sh is at work.");
  }
  return { [Symbol.dispose]: () => closeSync(file) };
}

/** @throws {UsageError} where there is none. */
function trustedKeys(given: string | undefined, compiled: string): PublicKey[] {
  if (given !== undefined) {
    const keys = readPublicKeys(looksLikeKey(given) ? given : readKeyFile(given));
    if (keys.length === 0) throw new UsageError(`there is no key in ${given}.`);
    return keys;
  }
  const keys = readPublicKeys(compiled);
  if (keys.length > 0) return keys;
  throw new UsageError("no key is compiled in, so say who must have signed it: --public-key KEY.");
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw new UsageError(`--public-key ${path} is neither a key of minisign's nor a file that can be read.`);
  }
}

async function takeRelease(
  folder: string,
  values: Given<typeof FLAGS>["values"],
  { version: present, target, keys }: Installed,
  executables: Executables,
  io: Io,
): Promise<Outcome> {
  const release = await openRelease(folder, trustedKeys(values["public-key"], keys));
  const { version, commit } = release;
  io.out(`The signature is good: version ${version} of commit ${commit}.`);
  const isNewer = Bun.semver.order(version, present) > 0;
  if (version === present && !values["allow-rollback"]) {
    io.out(`That is the version of this executable, so nothing was changed.`);
    const outcome = { data: { version, commit, changed: false } };
    // An upgrade that was killed may have left the service with the one before.
    if (values["dry-run"] || !isServiceOf(executables, systemd(io))) return outcome;
    const switched = await switchOver(executables.path, io);
    return typeof switched === "number" ? switched : outcome;
  }
  if (!isNewer && !values["allow-rollback"]) {
    throw fault(
      `that is no newer version than this one, ${present}. To go back all the same: --allow-rollback`,
    );
  }
  const name = `runegate-${target}`;
  if (values["dry-run"]) {
    release.read(name, () => {});
    io.out(`${name} is as it was signed. It would take the place of ${executables.path}, ${present}.`);
    return { data: { version, commit, changed: false } };
  }
  const staged = executables.stage((take) => release.read(name, take));
  return switchTo(staged, release, executables, io);
}

async function goBack(executables: Executables, io: Io): Promise<Outcome> {
  const before = identityOf(executables.previous);
  if (before === undefined || before === identityOf(executables.path)) {
    throw fault(`there is no version before to go back to: ${executables.previous}`);
  }
  return switchTo(executables.stagePrevious(), undefined, executables, io);
}

/** Whether the service is to run what is exchanged, as it does, or would if an upgrade had not been killed. */
function isServiceOf({ path, previous }: Executables, service: Service): boolean {
  return service.isActive() && (service.runs(path) || service.runs(previous));
}

/** Tries what is staged, exchanges it, and brings the service onto it. */
async function switchTo(
  staged: string,
  release: Release | undefined,
  executables: Executables,
  io: Io,
): Promise<Outcome> {
  let version: string;
  const service = systemd(io);
  let isService: boolean;
  try {
    version = versionOf(staged, io);
    if (release !== undefined && version !== release.version) {
      throw fault(`the executable says that it is ${version}, which is not what was signed.`);
    }
    if (!mayStart(staged, io)) return EXIT.config;
    isService = isServiceOf(executables, service);
    executables.exchange(staged);
  } finally {
    executables.discard(staged);
  }
  const outcome: Outcome = { data: { version, commit: release?.commit ?? null, changed: true } };
  io.out(`${executables.path} is ${version} now. The one before: ${executables.previous}`);
  if (!isService) {
    io.out("systemd runs no service of it here: restart what runs, or send it SIGUSR2.");
    return outcome;
  }
  const { path } = executables;
  const how = way(io);
  if (await bringOver(how, service, path, io)) {
    io.out("The service runs it and is ready.");
    return outcome;
  }
  io.err("The new version did not take over, or is not ready: journalctl -u runegate");
  executables.restore();
  const isBack =
    service.runs(path) ||
    (await bringOver(how, service, path, io)) ||
    (await bringOver("restart", service, path, io));
  return failed(io, isBack ? "The version before runs on." : "The version before did not come back either.");
}
