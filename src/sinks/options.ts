import type { Declaration } from "../option/option.ts";
import { ValueError } from "../option/value-error.ts";
import { filePath, list } from "../option/values.ts";
import { type SinkAddress, shownSinks, sinkAddress } from "./address.ts";

const sinks = list(sinkAddress);

/** By names that differ. @throws {ValueError} also where one is there twice: lines would be too. */
function differentSinks(text: string): readonly SinkAddress[] {
  const all = sinks(text);
  for (const [at, one] of all.entries())
    if (all.findIndex(({ text }) => text === one.text) < at)
      throw new ValueError(`has ${one.name} twice`, "Keep one of them.");
  return all.map((one, at) => {
    const alike = all.slice(0, at).filter(({ name }) => name === one.name).length;
    return alike === 0 ? one : { ...one, name: `${one.name} (${alike + 1})` };
  });
}

export const SINK_OPTIONS = {
  logSinks: {
    name: "RUNEGATE_LOG_SINKS",
    parse: differentSinks,
    default: "",
    help:
      "Where log lines go as JSON, beside standard output: URLs, separated by commas. `file:/path?max=50MB&keep=7`, " +
      "`syslog:unix:/dev/log`, `syslog+udp://`, `syslog+tcp://` or `syslog+tls://host`, `otlp+https://host/v1/logs`, " +
      "`https://host/path`.",
    holdsSecret: true,
    shown: shownSinks,
  },
  auditSinks: {
    name: "RUNEGATE_AUDIT_SINKS",
    parse: differentSinks,
    default: "",
    help: "The same for the lines of the audit alone, which are kept on disk while a sink does not take them.",
    holdsSecret: true,
    shown: shownSinks,
  },
  auditSpool: {
    name: "RUNEGATE_AUDIT_SPOOL",
    parse: filePath,
    default: {
      described: "`spool` in the working directory, which systemd sets to /var/lib/runegate",
      text: () => "spool",
    },
    help: "The directory where audit lines wait for such a sink, at most 64 MB for each.",
  },
} satisfies Declaration;
