import { accessSync, constants, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readableByOthers, readTextFile } from "../option/files.ts";
import { ConfigError, type Finding } from "../option/finding.ts";
import { nearest } from "../option/nearest.ts";
import { flagOf, isConfidential, type Known, type Option } from "../option/option.ts";
import { ValueError } from "../option/value-error.ts";
import { type EnvEntry, parseEnvFile } from "./env-file.ts";
import { ENV_FILE, OPTION_LIST, OPTION_NAMES, OPTIONS, type OptionKey, type Options } from "./options.ts";
import { RULES } from "./rules.ts";
import { type Environment, type Given, type Surroundings, SYSTEM } from "./surroundings.ts";

/** Reads every option from the command line, then the environment, the env file, its default (CONTRACT section 9). */

/** Where a value came from, in words: `command line`, `environment`, `/etc/runegate/runegate.env:3`, `default`. */
export type Sourced = {
  readonly source: string;
  readonly given: boolean;
  /** The value as written, or as its default would be; undefined if there is none, or if it is a secret. */
  readonly text: string | undefined;
};

export type Sources = Readonly<Record<OptionKey, Sourced>>;

export type LoadedOptions = {
  readonly options: Options;
  readonly warnings: readonly Finding[];
  readonly sources: Sources;
};

/** As {@link LoadedOptions}, before anything is decided about the problems. `options` has the good values only. */
export type ReadOptions = {
  readonly options: Partial<Options>;
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
  readonly sources: Sources;
};

/**
 * Loads the options.
 * @throws {ConfigError} with every problem there is, if there is one.
 */
export function loadOptions(given: Given, surroundings: Surroundings = SYSTEM): LoadedOptions {
  const { options, problems, warnings, sources } = readOptions(given, surroundings);
  if (problems.length > 0) throw new ConfigError(problems, warnings);
  // Without a problem, every key of the declaration has been read, and those are the keys of `Options`.
  return { options: options as Options, warnings, sources };
}

/** Reads everything that can be read and reports the rest; for showing a configuration that may be broken. */
export function readOptions({ env, flags = {} }: Given, surroundings: Surroundings = SYSTEM): ReadOptions {
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  const file = readEnvFile(flags[ENV_FILE.name] || env[ENV_FILE.name], surroundings, problems, warnings);
  const credentials: Credentials = {
    own: env.CREDENTIALS_DIRECTORY || undefined,
    service: surroundings.serviceCredentials,
  };
  const find: Find = (name, emptyIsValue = false) => {
    const entry = file.entries.get(name);
    for (const [text, source] of [
      [flags[name], COMMAND_LINE],
      [env[name], "environment"],
      [entry?.value, `${file.path}:${entry?.line}`],
    ] as const) {
      if (text !== undefined && (text.trim() !== "" || emptyIsValue)) return { name, text, source };
    }
    return undefined;
  };

  const values: Record<string, unknown> = {};
  const sources: Partial<Record<OptionKey, Sourced>> = {};
  const failed = new Set<OptionKey>();
  const known: Known = {
    get production() {
      return values.production === true;
    },
    isGiven: (key) => sources[key as OptionKey]?.given === true,
    textOf(key) {
      const good = failed.has(key as OptionKey) ? undefined : sources[key as OptionKey]?.text;
      return good ?? defaultText(OPTIONS[key as OptionKey], known) ?? "";
    },
    random: surroundings.random,
    runtimeDirectory: runtimeDirectory(env, surroundings),
  };

  for (const [key, option] of OPTION_LIST) {
    const report = (name: string, problem: string, remedy: string) => {
      problems.push({ option: name, problem, remedy });
      failed.add(key);
    };
    const given = isConfidential(option)
      ? findSecret(option, find, credentials, report, warnings)
      : (find(option.name, option.emptyIsValue) ??
        (option.alternative === undefined ? undefined : find(option.alternative)));
    const text = given?.text ?? defaultText(option, known);
    // A secret is taken as it is; a blank at the end of anything else is a slip.
    const clean = option.secret ? text : text?.trim();
    sources[key] = {
      source: given?.source ?? "default",
      given: given !== undefined || failed.has(key),
      text: option.secret ? undefined : clean,
    };
    if (failed.has(key)) continue;
    try {
      values[key] = clean === undefined ? undefined : option.parse(clean);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      report(nameOf(option, given), error.problem, error.remedy);
    }
  }

  applyRules(values as Options, known.isGiven, failed, problems, warnings);
  warnings.push(...misspelt([...Object.keys(env), ...file.entries.keys()]));
  return { options: values, problems, warnings, sources: sources as Sources };
}

function defaultText(option: Option<unknown>, known: Known): string | undefined {
  return typeof option.default === "string" ? option.default : option.default.text(known);
}

const COMMAND_LINE = "command line";

/** As whoever wrote the value knows it. */
function nameOf(option: Option<unknown>, given: Found | undefined): string {
  if (given === undefined) return option.name;
  if (given.source === COMMAND_LINE) return option.flag ?? flagOf(given.name);
  return given.source === "environment" ? given.name : `${given.name} (${given.source})`;
}

type Found = { readonly name: string; readonly text: string; readonly source: string };
type Find = (name: string, emptyIsValue?: boolean) => Found | undefined;

/** The env file that options are read from; undefined where there is none. */
export function findEnvFile(
  { env, flags = {} }: Given,
  surroundings: Surroundings = SYSTEM,
): string | undefined {
  const configured = flags[ENV_FILE.name] || env[ENV_FILE.name];
  return configured || surroundings.envFiles.find((path) => existsSync(path));
}

function readEnvFile(
  configured: string | undefined,
  surroundings: Surroundings,
  problems: Finding[],
  warnings: Finding[],
): { path: string; entries: ReadonlyMap<string, EnvEntry> } {
  for (const path of configured ? [configured] : surroundings.envFiles) {
    const read = readTextFile(path);
    if (read.kind === "read") {
      const parsed = parseEnvFile(read.text, path);
      problems.push(...parsed.problems);
      warnings.push(...parsed.warnings);
      const holdsSecrets = OPTION_LIST.some(
        ([, option]) => option.secret && parsed.entries.get(option.name)?.value,
      );
      const exposed = holdsSecrets ? readableByOthers(path, read.mode, read.uid) : undefined;
      if (exposed) warnings.push(exposed);
      return { path, entries: parsed.entries };
    }
    if (read.kind === "failed") {
      problems.push({ option: ENV_FILE.name, problem: read.problem, remedy: read.remedy });
      return { path, entries: new Map() };
    }
    if (configured) {
      problems.push({
        option: ENV_FILE.name,
        problem: `names a file that does not exist: ${path}`,
        remedy: "Create it, or leave the option out.",
      });
    }
  }
  return { path: "", entries: new Map() };
}

/** Directories of systemd credentials: the ones this process was given, and the installed service's. */
type Credentials = { readonly own: string | undefined; readonly service: string };

/** A secret is given once: as `X`, as `X_FILE`, or as a systemd credential. Twice is a mistake someone should look at. */
function findSecret(
  option: Option<unknown>,
  find: Find,
  { own, service }: Credentials,
  report: (name: string, problem: string, remedy: string) => void,
  warnings: Finding[],
): Found | undefined {
  const { name } = option;
  const fileName = `${name}_FILE`;
  const found = [find(name), find(fileName)];
  // A flag goes before whatever is given elsewhere, in either form.
  const byFlag = found.some((one) => one?.source === COMMAND_LINE);
  const [direct, file] = found.map((one) => (byFlag && one?.source !== COMMAND_LINE ? undefined : one));
  const credentialPath = join(own ?? service, name.toLowerCase());
  let credential = readTextFile(credentialPath);
  // The administrator's own commands are given none. They would call a secret missing that the service has, and with the
  // one they propose to add it would be given twice. Whoever may not read the service's is not concerned.
  const beside = own === undefined;
  if (byFlag || (beside && (direct !== undefined || file !== undefined || credential.kind === "failed")))
    credential = { kind: "missing" };

  const ways = [
    direct && `${name} (${direct.source})`,
    file && `${fileName} (${file.source})`,
    credential.kind !== "missing" && `the credential ${credentialPath}`,
  ].filter((way) => way !== undefined && way !== false);
  if (ways.length > 1) {
    report(name, `is given ${ways.length} times: ${ways.join(", ")}`, "Keep one and remove the others.");
    return undefined;
  }
  if (direct !== undefined) return direct;
  if (file !== undefined) {
    const path = file.text.trim();
    const read = readTextFile(path);
    if (read.kind === "missing") {
      report(fileName, `names a file that does not exist: ${path}`, "Create it with `runegate secrets`.");
      return undefined;
    }
    const exposed = read.kind === "read" && readableByOthers(path, read.mode, read.uid);
    if (exposed) warnings.push(exposed);
    return secretIn(read, fileName, path, report);
  }
  if (credential.kind === "missing") return undefined;
  // systemd alone decides who can read a credential, so its mode says nothing.
  return secretIn(credential, name, credentialPath, report);
}

function secretIn(
  read: Exclude<ReturnType<typeof readTextFile>, { kind: "missing" }>,
  name: string,
  path: string,
  report: (name: string, problem: string, remedy: string) => void,
): Found | undefined {
  if (read.kind === "failed") {
    report(name, read.problem, read.remedy);
    return undefined;
  }
  const text = read.text.replace(/[\r\n]+$/, "");
  if (text !== "") return { name, text, source: path };
  report(name, `names an empty file: ${path}`, "Write the secret into it; `runegate secrets` makes one.");
  return undefined;
}

function applyRules(
  options: Options,
  given: (key: OptionKey) => boolean,
  failed: Set<OptionKey>,
  problems: Finding[],
  warnings: Finding[],
): void {
  for (const { needs, check } of RULES) {
    if (needs.some((key) => failed.has(key))) continue;
    const verdict = check(options, given);
    if (verdict === undefined) continue;
    const finding = { option: OPTIONS[verdict.key].name, problem: verdict.problem, remedy: verdict.remedy };
    (verdict.severity === "error" ? problems : warnings).push(finding);
    // What else there would be to say follows from a value that will be another one.
    if (verdict.severity === "error") failed.add(verdict.key);
  }
}

function misspelt(names: readonly string[]): Finding[] {
  return [...new Set(names)]
    .filter((name) => /^runegate_/i.test(name) && !OPTION_NAMES.includes(name))
    .map((name) => {
      const meant = nearest(name.toUpperCase(), OPTION_NAMES);
      return {
        option: name,
        problem: "is not an option of this version",
        remedy: meant === undefined ? "`runegate config` lists them." : `Did you mean ${meant}?`,
      };
    });
}

/**
 * systemd names the service's own directory; whoever runs a command beside the service finds the same one under
 * `/run`. Elsewhere it is the login session's directory, or one for this user among the temporary files.
 */
function runtimeDirectory(env: Environment, surroundings: Surroundings): string {
  const own = env.RUNTIME_DIRECTORY?.split(":", 1)[0];
  if (own) return own;
  if (isWritable(surroundings.serviceRuntimeDirectory)) return surroundings.serviceRuntimeDirectory;
  if (env.XDG_RUNTIME_DIR) return join(env.XDG_RUNTIME_DIR, "runegate");
  return join(tmpdir(), `runegate-${process.getuid?.() ?? "user"}`);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
