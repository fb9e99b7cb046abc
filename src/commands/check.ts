import { checkDnsHook } from "../certificates/dns-hook.ts";
import { readPairs } from "../certificates/files.ts";
import { namesToOrder } from "../certificates/names.ts";
import { systemClock } from "../clock.ts";
import { type Configuration, loadConfiguration } from "../config/configuration.ts";
import { OPTIONS } from "../config/options.ts";
import { type Surroundings, SYSTEM } from "../config/surroundings.ts";
import { EXIT } from "../exit.ts";
import { createBackends, verifyBackends } from "../mail/backends.ts";
import { messageOf } from "../observe/message-of.ts";
import { callbackPath } from "../oidc-login/provider.ts";
import { ConfigError, describe, type Finding } from "../option/finding.ts";
import { hostsOf } from "../process/hosts.ts";
import type { Io } from "../process/io.ts";
import { type Command, UsageError } from "./command.ts";
import { kernelNote } from "./kernel-note.ts";
import type { Probe, ProbeResult } from "./probe.ts";
import { probeApplications } from "./probe-application.ts";
import { probeNames } from "./probe-names.ts";
import { probeProviders } from "./probe-providers.ts";
import { probeStore } from "./probe-store.ts";

const PROBES: readonly Probe[] = [
  { name: "application", run: probeApplications },
  { name: "providers", run: probeProviders },
  { name: "names", run: (configuration) => probeNames(configuration) },
  { name: "store", run: ({ options }) => probeStore(options.store, options.storeSchema) },
  {
    name: "mail",
    run: async ({ email }) =>
      email === undefined
        ? { ok: true, lines: ["There is no email.toml: mail is kept in the development mailbox."] }
        : verifyBackends(createBackends(email, systemClock)),
  },
];

const FLAGS = { online: { type: "boolean" }, edge: { type: "string" } } as const;

export const check: Command<typeof FLAGS> = createCheckCommand(PROBES, SYSTEM);

/** `runegate check`: everything that is wrong, or might be. */
export function createCheckCommand(
  probes: readonly Probe[],
  surroundings: Surroundings,
): Command<typeof FLAGS> {
  return {
    name: "check",
    summary: "validate the configuration and report",
    help: `Usage: runegate check [--online | --edge URL]

Reads the whole configuration, email.toml and routes.toml included, and prints
every problem and warning. The exit code is ${EXIT.done} if Runegate would start, ${EXIT.config} if not.

  --online    also try to reach every target of every application, the store, the
              OpenID providers and the mail server, and whether applications answer to
              their public name; with RUNEGATE_TLS=acme, whether each host leads here
              and port 80 answers; the exit code is ${EXIT.failed} if one of them does not
              answer, or refuses the name
  --edge URL  in place of all that: sends some twenty requests to a page of yours
              at its public address, forged headers among them, and says what
              the proxy in front makes of them. The page is one that takes a
              sign-in; nobody is signed in for it. The exit code is
              ${EXIT.failed} if something is wrong. What came through is seen by the
              running instance, which is asked over its control socket or its
              store; where that cannot be, by the answers alone.

Examples: runegate check --online
          runegate check --edge https://app.example.org`,

    readsOptions: true,
    flags: FLAGS,

    async run({ values }, io) {
      if (values.edge !== undefined) {
        if (values.online) throw new UsageError("check takes --online or --edge, not both.");
        const { checkEdge } = await import("./check-edge.ts");
        return checkEdge(values.edge, io);
      }
      let configuration: Configuration;
      try {
        configuration = loadConfiguration(io, surroundings);
        mustHaveCertificates(configuration);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        printFindings(error.problems, error.warnings, io);
        io.out(`Runegate would not start: ${count(error.problems.length, "problem")}.`);
        return { code: EXIT.config, data: { ok: false, problems: error.problems, warnings: error.warnings } };
      }
      printFindings([], configuration.warnings, io);
      const remarks = configuration.warnings.length;
      io.out(
        remarks === 0
          ? "The configuration is good."
          : `The configuration is good, with ${count(remarks, "warning")}.`,
      );
      const { routesFile } = configuration;
      const { baseUrl } = configuration.options;
      if (routesFile !== undefined && routesFile.routes.length > 0)
        io.out(`It has ${count(routesFile.routes.length, "application")}.`);
      for (const one of routesFile?.providers ?? []) {
        io.out(`The redirect URI to register with ${one.name} is ${baseUrl}${callbackPath(one)}.`);
      }
      const note = kernelNote(configuration.options);
      if (note !== undefined) io.out(`note: ${note}`);
      const reached = values.online ? await runProbes(probes, configuration, io) : [];
      const ok = reached.every((probe) => probe.ok);
      const { warnings } = configuration;
      return { code: ok ? EXIT.done : EXIT.failed, data: { ok, problems: [], warnings, note, reached } };
    },
  };
}

/**
 * A start takes them. No rule of the configuration says so, since a reload goes on with those there were.
 * @throws {ConfigError}
 */
function mustHaveCertificates(configuration: Configuration): void {
  const { tls, tlsCert, tlsKey, acmeDnsHook } = configuration.options;
  const attempt = (option: string, remedy: string, work: () => unknown) => {
    try {
      work();
    } catch (error) {
      const problem = `cannot be used: ${messageOf(error)}`;
      throw new ConfigError([{ option, problem, remedy }], configuration.warnings);
    }
  };
  if (tls === "files" && tlsCert !== undefined) {
    attempt(OPTIONS.tlsCert.name, "Name a certificate with its key, or a folder of them.", () =>
      readPairs({ cert: tlsCert, key: tlsKey ?? tlsCert }),
    );
  }
  if (tls !== "acme") return;
  attempt(OPTIONS.tls.name, "Or have something in front that has certificates.", () =>
    namesToOrder(hostsOf(configuration), configuration.options),
  );
  if (acmeDnsHook === undefined) return;
  attempt(OPTIONS.acmeDnsHook.name, "Write where the program is.", () => checkDnsHook(acmeDnsHook));
}

function printFindings(problems: readonly Finding[], warnings: readonly Finding[], io: Io): void {
  for (const finding of problems) io.out(`error: ${describe(finding)}`);
  for (const finding of warnings) io.out(`warning: ${describe(finding)}`);
}

async function runProbes(probes: readonly Probe[], configuration: Configuration, io: Io) {
  const reached: ({ name: string } & ProbeResult)[] = [];
  for (const { name, run } of probes) {
    const result = await run(configuration);
    if (result === undefined) continue;
    const { ok, lines } = result;
    reached.push({ name, ok, lines });
    io.out(`${name}: ${ok ? "ok" : "FAILED"}`);
    for (const line of lines) io.out(`    ${line}`);
  }
  return reached;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
